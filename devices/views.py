"""Section 3 of the API, as far as it needs nothing of telemetry."""

from uuid import UUID

import orjson
from django.utils.translation import gettext as _

from accounts.authentication import caller
from devices import credentials, services, sql
from devices import serializers as s
from zinzino import clock
from zinzino.api.idempotency import AnswerWithSecret, idempotent
from zinzino.api.renderers import Message, raw
from zinzino.api.schema import operation
from zinzino.api.views import ApiViewSet, Request, Response, said


def registered(device_id: UUID, user_id: UUID, token: str) -> Response:
    device = services.visible(sql.device(device_id), to=user_id)
    answer = orjson.loads(device) | {"device_token": token}
    return AnswerWithSecret(answer, status=201, reference=device_id)


def register_again(view: object, request: Request, reference: UUID) -> Response:
    """The same registration again: the same device with a fresh token (api.md 0)."""
    token = services.new_token(reference, caller(request).id, now=clock.now(), revoke_old=False)
    return registered(reference, caller(request).id, token)


def issue_again(view: object, request: Request, reference: UUID) -> Response:
    token = services.new_token(reference, caller(request).id, now=clock.now(), revoke_old=False)
    return Response({"device_token": token}, status=201)


class DevicesViewSet(ApiViewSet):
    @operation("Your devices", query=s.ListQuery, response=s.Device, many=True)
    def list(self, request: Request) -> Response:
        return Response(raw(sql.devices_of(caller(request).id, **self.queried(s.ListQuery, request))))

    @operation("Add a device", request=s.Register, response=s.RegisteredDevice, status=201, errors=(409,))
    @idempotent(again=register_again)
    def create(self, request: Request) -> Response:
        user, form = caller(request), self.parsed(s.Register, request)
        device, token = services.register(user.id, user.timezone, now=clock.now(), **form)
        return registered(device.pk, user.id, token)


class DeviceViewSet(ApiViewSet):
    @operation("Change a device", request=s.Update, response=s.Device, errors=(403, 404))
    def update(self, request: Request, device_id: UUID) -> Response:
        services.update(device_id, caller(request).id, self.parsed(s.Update, request), now=clock.now())
        return Response(raw(services.visible(sql.device(device_id), to=caller(request).id)))

    @operation("Remove a device", response=Message, errors=(403, 404))
    def destroy(self, request: Request, device_id: UUID) -> Response:
        services.remove(device_id, caller(request).id, now=clock.now())
        return said(_("The device has been removed."))

    @operation(
        "Issue a new device token", request=s.NewToken, response=s.IssuedToken, status=201, errors=(403, 404)
    )
    @idempotent(again=issue_again)
    def new_token(self, request: Request, device_id: UUID) -> Response:
        form = self.parsed(s.NewToken, request)
        token = services.new_token(device_id, caller(request).id, now=clock.now(), **form)
        return AnswerWithSecret({"device_token": token}, status=201, reference=device_id)


class DeviceRoute(ApiViewSet):
    """The base of routes that a dispenser calls with its own token."""

    authentication_classes = (credentials.DeviceTokenAuthentication,)
    permission_classes = (credentials.OwnDeviceOnly,)
