"""Section 8: hello, heartbeat, tokens and commands of a dispenser (iot.md 2)."""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _

from devices import command_serializers as c
from devices.commands import Ack
from devices.credentials import dispenser
from devices.views import DeviceRoute
from telemetry import contact
from telemetry import contact_serializers as s
from telemetry.views import server_clock
from zinzino import clock
from zinzino.api.renderers import Message
from zinzino.api.schema import operation
from zinzino.api.views import Request, Response, said

HELLO = {"boot": 42, "conn": 1, "reset_reason": "power_on", "firmware_version": "1.3.0", "battery_level": 84}


class ContactViewSet(DeviceRoute):
    @operation(
        "Say hello", request=s.Introduction, response=s.Welcome, errors=(403,), auth="device", example=HELLO
    )
    def hello(self, request: Request) -> Response:
        now, hello = clock.now(), s.hello_of(self.parsed(s.Introduction, request))
        welcome = contact.greet(dispenser(request), hello, now=now)
        waiting = [c.shown(command) for command in welcome.commands]
        return Response(contact.said_of(welcome) | {"commands": waiting} | server_clock(now))

    @operation("Be there", request=s.Heartbeat, response=s.HeartbeatTaken, auth="device")
    def heartbeat(self, request: Request) -> Response:
        status = s.status_of(self.parsed(s.Heartbeat, request))
        device, waiting = contact.beat(dispenser(request), status, now=clock.now())
        answer = {"plan_version": device.plan_version, "pending_commands": waiting}
        return Response(answer | {"heartbeat_s": settings.HEARTBEAT_S})

    @operation("Take a token of your own", request=s.Rotate, response=s.RotatedToken, auth="device")
    def rotate(self, request: Request) -> Response:
        self.parsed(s.Rotate, request)
        return Response({"token": contact.rotate(dispenser(request), now=clock.now())})

    @operation("Say that everything was forgotten", response=Message, auth="device")
    def factory_reset(self, request: Request) -> Response:
        contact.reset(dispenser(request), now=clock.now())
        return said(_("The dispenser was reset; it still belongs to its owner."))


class DeviceCommandsViewSet(DeviceRoute):
    @operation(
        "The commands that wait for this dispenser",
        query=c.WaitQuery,
        response=c.CommandsForDevice,
        auth="device",
        description="With `wait` the answer comes as soon as a command does, or empty after so many seconds. It "
        "may come empty earlier: ask again after 5 s. One wait a dispenser; a new one ends the one before.",
    )
    def fetch(self, request: Request) -> Response:
        """Answers at once: it is the process `live` that waits, to which the proxy leads this path (ADR 0032)."""
        wait = timedelta(seconds=self.queried(c.WaitQuery, request)["wait"])
        waiting = contact.fetch_commands(dispenser(request), wait=wait, now=clock.now())
        return Response({"commands": [c.shown(command) for command in waiting]})

    @operation(
        "Say what became of a command",
        request=c.Ack,
        response=c.Acked,
        errors=(403, 404, 409),
        auth="device",
        example={"status": "succeeded", "code": 0},
    )
    def acknowledge(self, request: Request, command_id: UUID) -> Response:
        ack = Ack(**self.parsed(c.Ack, request))
        command = contact.acknowledge_command(dispenser(request), command_id, ack, now=clock.now())
        return Response({"id": command.pk, "status": command.status})
