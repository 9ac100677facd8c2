"""What Sentry is told of our failures, where SENTRY_DSN is set: code, and nothing of people (ADR 0033).

Every line of the log of level error becomes an event, of whatever process. It is made anew from a list of what
may leave: types of exceptions, the lines of code they passed, the route, the job, the id of the request. What an
exception says stands in our log under that id; it may quote a row.
"""

import logging
import sys
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import sentry_sdk
from django.conf import settings
from sentry_sdk.types import Event, Hint
from sentry_sdk.utils import event_from_exception

from zinzino import metrics
from zinzino.api.context import current_request_id

# Whose lines have constant words; others put values into theirs.
OURS = {"zinzino", "accounts", "devices", "notifications", "telemetry", "analytics", "syncapi", "backoffice"}
OF_AN_EVENT = ("event_id", "timestamp", "level", "platform", "release", "environment", "logger", "message", "tags")
OF_A_FRAME = ("filename", "function", "module", "lineno", "in_app")


class CrashReports(logging.Handler):
    """A handler of logging; it begins to report when it is made."""

    def __init__(self, level: int | str = logging.ERROR) -> None:
        super().__init__(level)
        sentry_sdk.init(
            dsn=settings.SENTRY_DSN,
            environment=settings.ENVIRONMENT,
            release=f"zinzino@{settings.VERSION}",
            # Nothing listens but this handler.
            default_integrations=False,
            auto_session_tracking=False,
            send_client_reports=False,
            include_local_variables=False,
            include_source_context=False,
            max_request_body_size="never",
            max_breadcrumbs=0,
            before_send=cleaned,
        )

    def emit(self, record: logging.LogRecord) -> None:
        # A dependency is away: alerts tell, and every request would.
        if getattr(record, "status_code", None) == HTTPStatus.SERVICE_UNAVAILABLE:
            return
        try:
            sentry_sdk.capture_event(event_of(record))
        except Exception:  # noqa: BLE001  (a report that cannot be made must not fail what it is about)
            self.handleError(record)


def event_of(record: logging.LogRecord) -> Event:
    event: Event = {"level": "error", "logger": record.name, "message": words(record), "tags": tags(record)}
    # structlog has made text of it; the exception itself is still being handled.
    failure = record.exc_info or (sys.exc_info() if "exception" in fields(record) else None)
    if failure and failure[0]:
        event |= event_from_exception(failure, client_options=sentry_sdk.get_client().options)[0]
        event["level"] = "error"
    return event


def fields(record: logging.LogRecord) -> Mapping[str, Any]:
    """Of a line of structlog."""
    return record.msg if isinstance(record.msg, Mapping) else {}


def words(record: logging.LogRecord) -> str:
    """The constant part of the line."""
    if record.name.partition(".")[0] not in OURS:
        return record.name
    return str(fields(record).get("event", "") if fields(record) else record.msg)


def tags(record: logging.LogRecord) -> dict[str, str]:
    found = {"request_id": current_request_id()}
    if request := getattr(record, "request", None):
        found |= {"route": metrics.route(request), "method": str(request.method)}
    job = getattr(record, "data", None)
    if isinstance(job, Mapping):
        found["job"] = str(job.get("name", ""))
    return {name: value for name, value in found.items() if value}


def cleaned(event: Event, _hint: Hint) -> Event:
    """The event anew, of what may leave."""
    kept: Any = {name: event[name] for name in OF_AN_EVENT if name in event}  # type: ignore[literal-required]
    exceptions = (event.get("exception") or {}).get("values", [])
    if exceptions:
        kept["exception"] = {"values": [cleaned_exception(each) for each in exceptions]}
    return kept  # type: ignore[no-any-return]


def cleaned_exception(exception: Mapping[str, Any]) -> dict[str, Any]:
    frames = (exception.get("stacktrace") or {}).get("frames", [])
    code = [{name: frame[name] for name in OF_A_FRAME if name in frame} for frame in frames]
    kept = {name: exception.get(name) for name in ("type", "module")}
    return {**kept, "stacktrace": {"frames": code}} if code else kept
