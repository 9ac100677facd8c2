"""Section 5 of the API: synchronisation; and the edits that section 5 guards."""

from uuid import UUID

from accounts.authentication import caller
from devices import services as devices
from devices import sql as devices_sql
from devices.serializers import Device
from syncapi import edits, feed
from syncapi import serializers as s
from telemetry.views import OneDeviceViewSet
from zinzino import clock
from zinzino.api.renderers import raw
from zinzino.api.schema import operation
from zinzino.api.views import ApiViewSet, Request, Response

RENAMED = {
    "mutation_id": "9b2f1c3e-0000-4000-8000-000000000001",
    "entity": "device",
    "op": "update",
    "id": "550e8400-e29b-41d4-a716-446655440000",
    "base_version": "2025-12-05T08:59:00.000Z",
    "fields": {"device_name": "Mutfak 2"},
    "client_timestamp": "2025-12-05T08:59:30Z",
}
CLIENT_ID = "1c0ffee0-0000-4000-8000-000000000001"
OFFLINE = "Changes take effect before the copy is read; each at most once. See docs/sync-protocol.md."


class SyncViewSet(ApiViewSet):
    @operation(
        "The whole copy",
        request=s.FullRequest,
        response=s.Full,
        example={"client_id": CLIENT_ID, "changes": [RENAMED]},
        description=OFFLINE,
    )
    def full(self, request: Request) -> Response:
        form = self.parsed(s.FullRequest, request)
        phone, changes, place = form["phone"], form["changes"], form.get("cursor")
        return Response(feed.full(caller(request).id, phone, changes, place=place, now=clock.now()))

    @operation(
        "What has changed",
        request=s.DeltaRequest,
        response=s.Delta,
        errors=(409,),
        example={"last_sync": "2025-12-05T09:00:00.000Z", "client_id": CLIENT_ID, "changes": [RENAMED]},
        description=OFFLINE,
    )
    def delta(self, request: Request) -> Response:
        form = self.parsed(s.DeltaRequest, request)
        phone, changes, last_sync = form["phone"], form["changes"], form["last_sync"]
        return Response(feed.delta(caller(request).id, phone, changes, last_sync=last_sync, now=clock.now()))

    @operation("How far a phone is behind, and what its copy must come to", query=s.StatusQuery, response=s.Status)
    def status(self, request: Request) -> Response:
        query = self.queried(s.StatusQuery, request)
        return Response(feed.status(caller(request).id, **query, now=clock.now()))


class GuardedDeviceViewSet(OneDeviceViewSet):
    """`/devices/:id`: a change may say up to when its author knew the device, so that the route lives here."""

    @operation("Change a device", request=s.DeviceUpdate, response=Device, errors=(403, 404, 409))
    def update(self, request: Request, device_id: UUID) -> Response:
        user, fields = caller(request), self.parsed(s.DeviceUpdate, request)
        if base := fields.pop("base_version", None):
            edits.put_device(device_id, user.id, fields, base=base, now=clock.now())
        else:
            devices.update(device_id, user.id, fields, now=clock.now())
        return Response(raw(devices.visible(devices_sql.device(device_id), to=user.id)))
