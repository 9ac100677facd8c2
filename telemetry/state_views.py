"""Section 4 of the API, as far as people read it."""

from typing import Any
from uuid import UUID

from accounts.authentication import caller
from devices import services as devices
from telemetry import cups
from telemetry import serializers as s
from telemetry.views import DeviceStateViewSet
from zinzino.api.fields import span
from zinzino.api.renderers import raw
from zinzino.api.schema import operation
from zinzino.api.views import ApiViewSet, Request, Response


class StateViewSet(DeviceStateViewSet):
    """`/states/:id`: the dispenser writes, its owner reads."""

    def initialize_request(self, request: Any, *args: Any, **kwargs: Any) -> Request:
        kind = DeviceStateViewSet if request.method == "POST" else ApiViewSet
        for name in ("authentication_classes", "permission_classes"):
            setattr(self, name, getattr(kind, name))
        return super().initialize_request(request, *args, **kwargs)

    @operation("The cup state of a device, and its newest readings", response=s.DeviceState, errors=(403, 404))
    def retrieve(self, request: Request, device_id: UUID) -> Response:
        user_id = caller(request).id
        return Response(raw(devices.visible(cups.current(device_id, asked_by=user_id), to=user_id)))


class StateHistoryViewSet(ApiViewSet):
    @operation(
        "How cups stood on a device",
        query=s.StateHistoryQuery,
        response=s.StateHistory,
        errors=(403, 404),
        description="The newest `limit` readings, oldest first; the statistics are of the whole range.",
    )
    def history(self, request: Request, device_id: UUID) -> Response:
        query, user = self.queried(s.StateHistoryQuery, request), caller(request)
        bounds = span(query["start_date"], query["end_date"], user.timezone)
        found = cups.history(device_id, asked_by=user.id, limit=query["limit"], **bounds)
        return Response(raw(devices.visible(found, to=user.id)))
