"""Commands from people to their dispensers: queued, sent, delivered, and how they ended (iot.md 4).

A command that nobody fetches expires. What makes a dispenser pour is never queued for one that is not there:
the person has walked away by the time it arrives.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy

from devices import services
from devices.models import Device, DeviceCommand
from zinzino.api.errors import ApiError, NotFound, NotOwner, RateLimitExceeded, SyncConflict
from zinzino.ids import uuid7

Status = DeviceCommand.Status
Type = DeviceCommand.Type
DEFAULT_TTL = timedelta(seconds=300)
# Of what somebody waits for beside the dispenser.
AT_ONCE = frozenset({Type.DISPENSE_NOW, Type.IDENTIFY})
AT_ONCE_TTL = timedelta(seconds=60)
# A command that was received may still be at work.
FINISH_WITHIN = timedelta(hours=1)
PENDING_AT_MOST = 20
# The bridge and the live process listen on it (PostgreSQL's NOTIFY).
CHANNEL = "device_commands"

FINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.REJECTED})
UNDER_WAY = (Status.QUEUED, Status.SENT)


class CommandNotFound(NotFound):
    message = gettext_lazy("Command not found.")


class DeviceNotConnected(ApiError):
    status_code = 409
    code = "DEVICE_NOT_CONNECTED"
    reason = "device_offline"
    message = gettext_lazy("The device is not connected.")


class CommandExpired(ApiError):
    status_code = 409
    code = "COMMAND_EXPIRED"
    reason = "conflict"
    message = gettext_lazy("The command has expired.")


class CommandConflict(SyncConflict):
    reason = "conflict"
    message = gettext_lazy("The command is no longer in a state that allows this.")


class TooManyCommands(RateLimitExceeded):
    message = gettext_lazy("Too many commands wait for this device.")


@dataclass(frozen=True, slots=True)
class Ack:
    """What a dispenser says of a command."""

    status: str
    code: str | None = None
    result: Mapping[str, Any] | None = None


@transaction.atomic
def give(
    device_id: UUID, user_id: UUID, *, type: str, params: Mapping[str, Any], ttl_s: int | None, now: datetime
) -> DeviceCommand:
    """Raises DeviceNotFound, DeviceOfAnother, DeviceNotConnected, TooManyCommands."""
    device = services.locked(device_id, of=user_id)
    if type in AT_ONCE and not can_hear(device, now=now):
        raise DeviceNotConnected
    if pending(device_id, now=now).count() >= PENDING_AT_MOST:
        raise TooManyCommands(retry_after=60)
    command = DeviceCommand.objects.create(
        id=uuid7(now),
        device_id=device_id,
        type=type,
        params=params,
        created_at=now,
        expires_at=now + lifetime(type, ttl_s),
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", (CHANNEL, str(device_id)))
    return command


def lifetime(type: str, ttl_s: int | None) -> timedelta:
    wanted = DEFAULT_TTL if ttl_s is None else timedelta(seconds=ttl_s)
    return min(wanted, AT_ONCE_TTL) if type in AT_ONCE else wanted


def can_hear(device: Device, *, now: datetime) -> bool:
    """Whether a command would reach it now: it is on MQTT, or waits for commands over HTTP."""
    return device.mqtt_online or (device.polls_until is not None and device.polls_until > now)


def pending(device_id: UUID, *, now: datetime) -> QuerySet[DeviceCommand]:
    """What the dispenser has not said to have received; by the index commands_under_way."""
    return DeviceCommand.objects.filter(device_id=device_id, status__in=UNDER_WAY, expires_at__gt=now)


def awaited(device_ids: Collection[UUID], *, now: datetime) -> list[UUID]:
    """Those of the dispensers for whom something waits; by the index commands_under_way."""
    waiting = DeviceCommand.objects.filter(device_id__in=device_ids, status__in=UNDER_WAY, expires_at__gt=now)
    return list(waiting.values_list("device_id", flat=True).distinct())


def send(device_id: UUID, *, now: datetime) -> Sequence[DeviceCommand]:
    """What the dispenser is told now, the oldest first; again until it says that it has it."""
    waiting = list(pending(device_id, now=now).order_by("id")[:PENDING_AT_MOST])
    fresh = [command.pk for command in waiting if command.status == Status.QUEUED]
    if fresh:
        DeviceCommand.objects.filter(pk__in=fresh, status=Status.QUEUED).update(status=Status.SENT, sent_at=now)
    for command in waiting:
        command.status = Status.SENT
    return waiting


def visible(device_id: UUID, command_id: UUID, user_id: UUID, *, now: datetime) -> DeviceCommand:
    """Raises DeviceNotFound, DeviceOfAnother, CommandNotFound."""
    found = Device.objects.filter(pk=device_id).values_list("user_id", "pk").first()
    services.visible(found, to=user_id)
    command = DeviceCommand.objects.filter(pk=command_id, device_id=device_id).first()
    if command is None:
        raise CommandNotFound
    return command.as_of(now)


def of_device(device_id: UUID, user_id: UUID, *, now: datetime, limit: int) -> list[DeviceCommand]:
    """The newest first. Raises DeviceNotFound, DeviceOfAnother."""
    services.visible(Device.objects.filter(pk=device_id).values_list("user_id", "pk").first(), to=user_id)
    newest = DeviceCommand.objects.filter(device_id=device_id).order_by("-id")[:limit]
    return [command.as_of(now) for command in newest]


@transaction.atomic
def cancel(device_id: UUID, command_id: UUID, user_id: UUID, *, now: datetime) -> DeviceCommand:
    """Only what was not sent yet; the same again changes nothing. Raises as `visible`, and CommandConflict."""
    services.locked(device_id, of=user_id)
    command = visible(device_id, command_id, user_id, now=now)
    if command.status not in {Status.QUEUED, Status.CANCELLED}:
        raise CommandConflict(status=command.status)
    still = DeviceCommand.objects.filter(pk=command_id, status=Status.QUEUED)
    if command.status == Status.QUEUED and not still.update(status=Status.CANCELLED, finished_at=now):
        raise CommandConflict(status=Status.SENT)
    return visible(device_id, command_id, user_id, now=now)


@transaction.atomic
def acknowledge(device_id: UUID, command_id: UUID, ack: Ack, *, now: datetime) -> DeviceCommand:
    """Take a dispenser's word on a command; the same word again changes nothing.

    Raises CommandNotFound, NotOwner, CommandExpired, CommandConflict.
    """
    command = DeviceCommand.objects.select_for_update().filter(pk=command_id).first()
    if command is None:
        raise CommandNotFound
    if command.device_id != device_id:
        raise NotOwner
    status = command.as_of(now).status
    if status in {Status.EXPIRED, Status.CANCELLED}:
        raise CommandExpired(status=status)
    if status in FINAL:
        if ack.status not in {status, "received"}:
            raise CommandConflict(status=status)
        return command
    return taken(command, ack, now=now)


def taken(command: DeviceCommand, ack: Ack, *, now: datetime) -> DeviceCommand:
    command.delivered_at = command.delivered_at or now
    if ack.status == "received":
        command.status = Status.DELIVERED
    else:
        command.status, command.finished_at = Status(ack.status), now
        command.code, command.result = ack.code, None if ack.result is None else dict(ack.result)
    command.save(update_fields=("status", "delivered_at", "finished_at", "code", "result"))
    return command


def sweep(*, now: datetime) -> int:
    """Write down what has expired; every reader knows it already."""
    overdue = DeviceCommand.objects.filter(status__in=UNDER_WAY, expires_at__lte=now)
    silent = DeviceCommand.objects.filter(status=Status.DELIVERED, expires_at__lte=now - FINISH_WITHIN)
    gone = {"status": Status.EXPIRED, "finished_at": now}
    return overdue.update(**gone) + silent.update(**gone)
