"""`GET /metrics` for Prometheus; not public (api.md 10, ADR 0021)."""

import hmac

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from prometheus_client import CONTENT_TYPE_LATEST

from analytics.gauges import Sampled
from zinzino import metrics
from zinzino.api.errors import MethodNotAllowed, Unauthorized, http_response, unknown_path


@csrf_exempt
def exposition(request: HttpRequest) -> HttpResponse:
    """An unknown address, until METRICS_TOKEN is set; then for who sends it as a bearer token."""
    if not settings.METRICS_TOKEN:
        return unknown_path(request)
    if request.method not in {"GET", "HEAD"}:
        return http_response(MethodNotAllowed())
    offered = request.META.get("HTTP_AUTHORIZATION", "").encode()
    if not hmac.compare_digest(offered, f"Bearer {settings.METRICS_TOKEN}".encode()):
        return http_response(Unauthorized())
    answer = HttpResponse(metrics.exposition(Sampled()), content_type=CONTENT_TYPE_LATEST)
    answer["Cache-Control"] = "no-store"
    return answer
