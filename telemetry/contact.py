"""How a dispenser of the full protocol gets in touch: hello, heartbeat, reset (iot.md 2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_lazy

from devices import commands, credentials
from devices.credentials import DeviceCaller
from devices.models import Device, DeviceCommand, SetupState
from notifications.models import NotificationType
from notifications.telling import Telling, tell
from telemetry import family, presence, updates
from telemetry.models import DeviceReport, JournalAck, TimeQuality
from telemetry.presence import Status
from zinzino.api.errors import Forbidden, Unauthorized
from zinzino.ids import uuid7

log = structlog.get_logger(__name__)

# A dispenser that asked for commands will ask again within this, beyond the time it was willing to wait.
POLLS_AGAIN_WITHIN = timedelta(seconds=30)


class IdentityMismatch(Forbidden):
    """Somebody else's hardware speaks with this token; the token may have been copied."""

    code = "IDENTITY_MISMATCH"
    reason = "not_owner"
    message = gettext_lazy("This token belongs to another unit.")


@dataclass(frozen=True, slots=True)
class Hello:
    """What a dispenser says of itself at boot and reconnect; None where it says nothing."""

    status: Status
    boot: int | None = None
    conn: int | None = None
    reset_reason: str | None = None
    hardware_rev: str | None = None
    mac_address: str | None = None


@dataclass(frozen=True, slots=True)
class Welcome:
    """What it must know to go on."""

    device: Device
    acked: JournalAck | None
    commands: Sequence[DeviceCommand]
    next_dose_at: datetime | None
    # An offered release, as it is said.
    firmware: Mapping[str, Any] | None
    rotate_token: bool


def greet(caller: DeviceCaller, hello: Hello, *, now: datetime) -> Welcome:
    """Raises IdentityMismatch for another MAC, and keeps an alarm of it."""
    with transaction.atomic():
        device = locked(caller.id)
        impostor = hello.mac_address not in {None, device.mac_address}
        if impostor:
            alarm(device, "identity_mismatch", {"mac_address": hello.mac_address}, now=now)
        else:
            device, _ = presence.report_status(caller.id, hello.status, now=now)
            note_boot(device, hello, now=now)
            firmware = updates.shown(updates.offer(device, now=now))
    if impostor:
        log.warning("a token is used by other hardware", device=str(caller.id))
        raise IdentityMismatch
    return Welcome(
        device=device,
        acked=JournalAck.objects.filter(device_id=caller.id).order_by("-updated_at", "-boot").first(),
        commands=commands.send(caller.id, now=now),
        next_dose_at=family.next_dose_of(device, now=now),
        firmware=firmware,
        rotate_token=not caller.own_token,
    )


def note_boot(device: Device, hello: Hello, *, now: datetime) -> None:
    """Keep which boot and connection is the newest; a new boot leaves a line."""
    if hello.boot is not None and hello.boot != device.boot and hello.reset_reason:
        report(
            device,
            DeviceReport.Kind.LOG,
            {"level": "info", "code": "boot", "message": hello.reset_reason},
            now=now,
        )
    said = {"boot": hello.boot, "conn": hello.conn, "hardware_rev": hello.hardware_rev}
    changes = {name: value for name, value in said.items() if value is not None}
    if changes:
        Device.objects.filter(pk=device.pk).update(**changes)
        device.hardware_rev = hello.hardware_rev or device.hardware_rev


def alarm(device: Device, code: str, details: dict[str, Any], *, now: datetime) -> None:
    report(device, DeviceReport.Kind.ALARM, {"code": code, "severity": "critical", **details}, now=now)


def report(device: Device, kind: DeviceReport.Kind, data: dict[str, Any], *, now: datetime) -> None:
    DeviceReport.objects.create(
        id=uuid7(now),
        device_id=device.pk,
        kind=kind,
        data=data,
        timestamp=now,
        received_at=now,
        time_quality=TimeQuality.OK,
    )


def beat(caller: DeviceCaller, status: Status, *, now: datetime) -> tuple[Device, int]:
    """The dispenser, and how many commands wait for it. Stores no row."""
    device, _ = presence.report_status(caller.id, status, now=now)
    return device, commands.pending(caller.id, now=now).count()


def fetch_commands(caller: DeviceCaller, *, wait: timedelta, now: datetime) -> Sequence[DeviceCommand]:
    with transaction.atomic():
        presence.report_status(caller.id, Status(), now=now)
        Device.objects.filter(pk=caller.id).update(polls_until=now + wait + POLLS_AGAIN_WITHIN)
        return commands.send(caller.id, now=now)


def acknowledge_command(
    caller: DeviceCaller, command_id: UUID, ack: commands.Ack, *, now: datetime
) -> DeviceCommand:
    """Raises as commands.acknowledge."""
    command = commands.acknowledge(caller.id, command_id, ack, now=now)
    presence.report_status(caller.id, Status(), now=now)
    return command


def rotate(caller: DeviceCaller, *, now: datetime) -> str:
    """A token that nobody but the dispenser has seen; the one in use ends when the new one is first used."""
    with transaction.atomic():
        locked(caller.id)
        return credentials.issue(caller.id, now=now, by_device=True)


@transaction.atomic
def reset(caller: DeviceCaller, *, now: datetime) -> None:
    """The unit has forgotten everything: its tokens end and its owner is told. It stays theirs (iot.md 2)."""
    device = locked(caller.id)
    credentials.revoke(device.pk, now=now)
    Device.objects.filter(pk=device.pk).update(
        is_connected=False, mqtt_online=False, polls_until=None, setup_state=SetupState.CREATED, updated_at=now
    )
    telling = Telling(
        device.user_id,
        NotificationType.SECURITY,
        f"factory_reset:{device.pk}:{now.timestamp()}",
        text="device_reset",
        facts={"device_name": device.device_name},
        device_id=device.pk,
    )
    tell(telling, now=now)


def locked(device_id: UUID) -> Device:
    """Raises Unauthorized where the dispenser was removed meanwhile."""
    device = Device.objects.select_for_update().filter(pk=device_id).first()
    if device is None:
        raise Unauthorized
    return device


def said_of(welcome: Welcome) -> dict[str, Any]:
    device = welcome.device
    return {
        "plan_version": device.plan_version,
        "dose": device.plan["dose"],
        "next_dose_at": welcome.next_dose_at,
        "settings": device.settings,
        "acked": {"boot": welcome.acked.boot, "seq": welcome.acked.acked} if welcome.acked else None,
        "firmware": welcome.firmware,
        "rotate_token": welcome.rotate_token,
        "heartbeat_s": settings.HEARTBEAT_S,
    }
