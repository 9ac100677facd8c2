"""`/devices/:id/commands`: what people want their dispensers to do now (iot.md 2)."""

from uuid import UUID

from accounts.authentication import caller
from devices import command_serializers as s
from devices import commands
from zinzino import clock
from zinzino.api.idempotency import idempotent
from zinzino.api.schema import operation
from zinzino.api.views import ApiViewSet, Request, Response


class CommandsViewSet(ApiViewSet):
    @operation(
        "The commands of a device, newest first", query=s.ListQuery, response=s.CommandList, errors=(403, 404)
    )
    def list(self, request: Request, device_id: UUID) -> Response:
        query, user = self.queried(s.ListQuery, request), caller(request)
        found = commands.of_device(device_id, user.id, now=clock.now(), **query)
        return Response({"commands": [s.shown_to_person(command) for command in found]})

    @operation(
        "Give a command",
        request=s.Give,
        response=s.CommandWithResult,
        status=202,
        errors=(403, 404, 409),
        example={"type": "sync", "params": {}, "ttl_s": 300},
    )
    @idempotent()
    def create(self, request: Request, device_id: UUID) -> Response:
        form = self.parsed(s.Give, request)
        given = {"type": form["type"], "params": form["params"], "ttl_s": form.get("ttl_s")}
        command = commands.give(device_id, caller(request).id, **given, now=clock.now())
        return Response(s.shown_to_person(command), status=202)


class CommandViewSet(ApiViewSet):
    @operation("One command and how it ended", response=s.CommandWithResult, errors=(403, 404))
    def retrieve(self, request: Request, device_id: UUID, command_id: UUID) -> Response:
        found = commands.visible(device_id, command_id, caller(request).id, now=clock.now())
        return Response(s.shown_to_person(found))

    @operation("Cancel a command that waits", response=s.CommandWithResult, errors=(403, 404, 409))
    def destroy(self, request: Request, device_id: UUID, command_id: UUID) -> Response:
        cancelled = commands.cancel(device_id, command_id, caller(request).id, now=clock.now())
        return Response(s.shown_to_person(cancelled))
