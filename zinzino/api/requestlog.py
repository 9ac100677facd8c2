"""The one line that every request leaves in the log."""

import logging

import structlog
from django.http import HttpRequest, HttpResponse

from zinzino.api.bearer import Kind, bearer

# Asked every few seconds.
PROBES = ("health", "health/live", "health/ready", "metrics")

NAME = "zinzino.requests"
log = structlog.stdlib.get_logger(NAME)
wanted = logging.getLogger(NAME).isEnabledFor


def log_request(request: HttpRequest, response: HttpResponse, *, ms: float) -> None:
    """One line a request. The route, not the path: ids and query strings stay out."""
    route = request.resolver_match.route if request.resolver_match else ""
    level = logging.DEBUG if route.endswith(PROBES) and response.status_code == 200 else logging.INFO
    if not wanted(level):  # to put the line together takes a twentieth of a short request
        return
    log.log(
        level,
        "request",
        method=request.method,
        route=route or "unknown",
        status=response.status_code,
        ms=round(ms, 1),
        **sender(request),
    )


def sender(request: HttpRequest) -> dict[str, str]:
    known = bearer(request)
    if not known.subject:
        return {}
    return {"device" if known.kind is Kind.DEVICE else "user": known.subject}
