"""What dispensers say on MQTT, topic by topic, by the services that HTTP calls (iot.md 3).

Each handler takes a parsed body and gives what is published to the dispenser: (topic, body, seconds it is good).
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from msgspec.structs import replace
from rest_framework import serializers

from devices import command_serializers as c
from devices.commands import Ack
from devices.credentials import DeviceCaller
from devices.models import Device
from telemetry import contact, presence, services, updates
from telemetry import contact_serializers as s
from telemetry import firmware_serializers as f
from telemetry import iot_serializers as iot
from telemetry.events import LIVE_FOR
from telemetry.presence import Status
from telemetry.views import said_to_device, server_clock
from zinzino import clock
from zinzino.api.fields import StrictBoolean
from zinzino.api.forms import filled_in

PREFIX = "znz/v1/"
DECISION_GOOD_S = 60
HELLO_GOOD_S = 3600
# The word that a unit may install is not to be heard an hour later.
FIRMWARE_GOOD_S = 300


@dataclass(frozen=True, slots=True)
class Heard:
    """One message, parsed; `waited` where it may have stood in a queue while no bridge was there."""

    caller: DeviceCaller
    body: Mapping[str, Any]
    at: datetime
    waited: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """Something for one dispenser."""

    device_id: UUID
    topic: str
    body: Mapping[str, Any]
    good_s: int

    @property
    def address(self) -> str:
        return f"{PREFIX}{self.device_id}/down/{self.topic}"


def address_of(topic: str) -> tuple[UUID, str] | None:
    """The dispenser and the kind of a topic `znz/v1/{device_id}/up/{kind}`."""
    parts = topic.removeprefix(PREFIX).split("/")
    if len(parts) != 3 or parts[1] != "up":
        return None
    try:
        return UUID(parts[0]), parts[2]
    except ValueError:
        return None


# The dispensers, as the broker has let them in: with the newest token that was used.
CALLERS = """
SELECT d.id, d.user_id, d.device_type,
       coalesce((SELECT c.by_device FROM device_credentials c
                  WHERE c.device_id = d.id AND c.ended_at IS NULL AND c.first_used_at IS NOT NULL
                  ORDER BY c.id DESC LIMIT 1), false)
  FROM devices d WHERE d.id = ANY(%s::uuid[])"""


def callers(device_ids: Collection[UUID]) -> dict[UUID, DeviceCaller]:
    """Those of the dispensers that are still there."""
    with connection.cursor() as cursor:
        cursor.execute(CALLERS, (list(device_ids),))
        return {row[0]: DeviceCaller(*row) for row in cursor.fetchall()}


def request(heard: Heard) -> Said:
    """A dose is asked for. Where the message may have waited, only a trusted time makes it fresh."""
    reading = iot.reading_of(filled_in(iot.DispenseRequest, heard.body))
    if reading.timestamp is None:
        asked_at = heard.at - 2 * LIVE_FOR if heard.waited else heard.at
        reading = replace(reading, timestamp=asked_at)
    now = clock_now(heard)
    answer = services.report_state(heard.caller, reading, now=now)
    body = {"request_id": reading.request_id, **said_to_device(answer), **server_clock(now)}
    return Said(heard.caller.id, "dec", body, DECISION_GOOD_S)


def hello(heard: Heard) -> Said:
    now = clock_now(heard)
    welcome = contact.greet(heard.caller, s.hello_of(filled_in(s.Introduction, heard.body)), now=now)
    waiting = [c.shown(command) for command in welcome.commands]
    body = contact.said_of(welcome) | {"commands": waiting} | server_clock(now)
    return Said(heard.caller.id, "hi", body, HELLO_GOOD_S)


def heartbeat(heard: Heard) -> None:
    contact.beat(heard.caller, s.status_of(filled_in(s.Heartbeat, heard.body)), now=clock_now(heard))


class CommandAck(c.Ack):
    id = serializers.UUIDField()


def command(heard: Heard) -> None:
    form = filled_in(CommandAck, heard.body)
    contact.acknowledge_command(heard.caller, form.pop("id"), Ack(**form), now=clock_now(heard))


class Presence(serializers.Serializer[Any]):
    online = StrictBoolean()
    boot = s.Number()
    conn = s.Number()


def present(heard: Heard) -> None:
    """A dispenser came, or the broker says its last will; that of a connection that was replaced says nothing."""
    form = filled_in(Presence, heard.body)
    said = (form.get("boot") or 0, form.get("conn") or 0)
    now = clock_now(heard)
    with transaction.atomic():
        device = contact.locked(heard.caller.id)
        if said < (device.boot or 0, device.conn or 0):
            return
        status = Status(is_connected=form["online"])
        presence.report_status(device.pk, status, now=now)
        Device.objects.filter(pk=device.pk).update(mqtt_online=form["online"], boot=said[0], conn=said[1])


def clock_now(heard: Heard) -> datetime:
    return max(clock.now(), heard.at)


class FirmwareWord(serializers.Serializer[Any]):
    """How far an update has come, or without `job_id` the question whether there is one."""

    job_id = serializers.UUIDField(required=False)


def firmware(heard: Heard) -> Said:
    now, job_id = clock_now(heard), filled_in(FirmwareWord, heard.body).get("job_id")
    if job_id is None:
        asked = filled_in(f.CheckQuery, heard.body)
        found = updates.check(heard.caller, version=asked.get("version"), hardware=asked.get("hw"), now=now)
        return Said(heard.caller.id, "fw", updates.answer(found), FIRMWARE_GOOD_S)
    said = f.report_of(filled_in(f.JobReport, heard.body))
    job, cancel = updates.report(heard.caller, job_id, said, now=now)
    body = {"job_id": job.pk, "seq": said.seq, "state": job.status, "cancel": cancel}
    return Said(heard.caller.id, "fw", body, FIRMWARE_GOOD_S)


HANDLERS: dict[str, Callable[[Heard], Said | None]] = {
    "hello": hello,
    "req": request,
    "hb": heartbeat,
    "cmd": command,
    "fw": firmware,
    "presence": present,
}


def ack_of(device_id: UUID, acked: tuple[int, int]) -> Said:
    return Said(device_id, "ack", {"boot": acked[0], "seq": acked[1]}, int(timedelta(days=1).total_seconds()))


def wait_of(device_id: UUID, quota: str, wait_s: int) -> Said:
    """That it said too much, and for how long it is not heard on those topics."""
    return Said(device_id, "wait", {"limit": quota, "retry_after": wait_s}, wait_s)
