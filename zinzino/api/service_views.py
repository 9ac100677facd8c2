"""What a client or an operator asks of the server itself: health, version, time (api.md 10)."""

import hashlib
from typing import Any

from django.conf import settings
from django.http import HttpResponseBase
from django.urls import URLPattern
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext_lazy
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from zinzino import clock
from zinzino.api import health
from zinzino.api.errors import ServiceUnavailable
from zinzino.api.renderers import dumps
from zinzino.api.schema import operation
from zinzino.api.views import OpenViewSet, route

CHECK = {"type": "object", "properties": {"ok": {"type": "boolean"}, "ms": {"type": "number"}}}
AGE = {"type": ["number", "null"], "description": "Seconds."}
READINESS = {
    "type": "object",
    "properties": {
        "status": {"type": "string", "enum": ["ok", "degraded"]},
        "checks": {
            "type": "object",
            "properties": {
                "database": CHECK,
                "redis": CHECK,
                "migrations": CHECK,
                "outbox_lag_s": AGE,
                "beat_age_s": AGE,
                "storage": CHECK,
                "draining": CHECK,
            },
        },
    },
    "required": ["status", "checks"],
}


class NotReady(ServiceUnavailable):
    message = gettext_lazy("The server is not ready.")


class LiveSerializer(serializers.Serializer[Any]):
    status = serializers.CharField(default="ok")


class VersionSerializer(serializers.Serializer[Any]):
    version = serializers.CharField(help_text="Of the server.")
    api = serializers.CharField(help_text="Of the API, as in its address.")


class TimeSerializer(serializers.Serializer[Any]):
    server_time = serializers.DateTimeField()
    epoch_ms = serializers.IntegerField()


class HealthViewSet(OpenViewSet):
    @operation("The process is alive; touches nothing", response=LiveSerializer, auth="none")
    def live(self, _request: Request) -> Response:
        return uncached(Response({"status": "ok"}))

    @operation("The process can serve", response=READINESS, auth="none")
    def ready(self, _request: Request) -> Response:
        found = health.checks()
        if not health.is_ready(found):
            raise NotReady(checks=found)
        return uncached(Response({"status": health.status(found), "checks": found}))

    @operation("The same as ready", response=READINESS, auth="none")
    def overall(self, request: Request) -> Response:
        return self.ready(request)


class ServerViewSet(OpenViewSet):
    @operation(
        "The server's version",
        response=VersionSerializer,
        auth="none",
        answer={"version": settings.VERSION, "api": "v1"},
    )
    def version(self, request: Request) -> HttpResponseBase:
        return tagged(request, {"version": settings.VERSION, "api": "v1"})

    @operation("The server's clock", response=TimeSerializer, auth="none")
    def time(self, _request: Request) -> Response:
        now = clock.now()
        return Response({"server_time": now, "epoch_ms": clock.epoch_ms(now)})


def uncached(response: Response) -> Response:
    """At the root of the server no middleware says it."""
    response["Cache-Control"] = "no-store"
    return response


def tagged(request: Request, data: Any, *, cache: str = "no-cache") -> HttpResponseBase:
    """`data` with its ETag, or 304 for a client that has it already."""
    tag = f'"{hashlib.sha256(dumps(data)).hexdigest()[:32]}"'
    response = Response(data, headers={"ETag": tag, "Cache-Control": cache})
    return get_conditional_response(request._request, etag=tag, response=response) or response


probes: list[URLPattern] = [
    route("health/live", HealthViewSet, "health-live", get="live"),
    route("health/ready", HealthViewSet, "health-ready", get="ready"),
    route("health", HealthViewSet, "health", get="overall"),
]
urlpatterns: list[URLPattern] = [
    *probes,
    route("version", ServerViewSet, "version", get="version"),
    route("time", ServerViewSet, "time", get="time"),
]
