"""Presence, levels and versions: what a dispenser reports of itself (mission 3.6, api.md 3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from devices.firmware import jobs
from devices.firmware.models import FirmwareJob
from devices.models import Device
from notifications import offline
from notifications import services as notifications
from notifications.models import AlertKind, NotificationType
from telemetry import sql
from telemetry.models import Action, ActivityLog
from zinzino.api.errors import Unauthorized
from zinzino.ids import uuid7

# The times that the API shows of a contact move at most this often, or every heartbeat would sync.
SHOWN_EVERY = timedelta(minutes=1)
SILENT_AFTER_HEARTBEATS = 2.5


@dataclass(frozen=True, slots=True)
class Status:
    """What `PATCH /devices/:id/status` may carry; None where it says nothing."""

    battery_level: int | None = None
    supplement_level: int | None = None
    is_connected: bool | None = None
    firmware_version: str | None = None
    next_contact_s: int | None = None


@transaction.atomic
def report_status(device_id: UUID, status: Status, *, now: datetime) -> tuple[Device, list[NotificationType]]:
    """Take a dispenser's levels, version and presence; tell the owner of low levels (mission 3.6)."""
    heard = hear(device_id, status, now=now)
    if heard is None:
        raise Unauthorized
    device, changes = heard
    levels = {
        kind: level
        for kind, level in (
            (AlertKind.BATTERY, status.battery_level),
            (AlertKind.SUPPLEMENT, status.supplement_level),
        )
        if level is not None
    }
    told = notifications.observe_levels(device, levels, now=now)
    for kind in told:
        log_low_level(device, kind, now=now)
    before = device.firmware_version
    for name, value in changes.items():
        setattr(device, name, value)
    # The same version once more says something only of a dispenser that is to run another one.
    if status.firmware_version is not None and (status.firmware_version != before or device.updating_until):
        hear_version(device, status.firmware_version, now=now)
    return device, told


def hear(device_id: UUID, status: Status, *, now: datetime) -> tuple[Device, dict[str, Any]] | None:
    """Take what a dispenser says of itself; what it was, and what has changed. None where it was removed."""
    grace = timedelta(seconds=status.next_contact_s or 0) * SILENT_AFTER_HEARTBEATS
    return sql.hear(
        device_id,
        battery_level=status.battery_level,
        supplement_level=status.supplement_level,
        firmware_version=status.firmware_version,
        is_connected=status.is_connected is not False,
        shown_before=now - SHOWN_EVERY,
        silent_at=max(silent_at(now), now + grace),
        now=now,
    )


def hear_version(device: Device, version: str, *, now: datetime) -> None:
    """What a dispenser runs confirms its update, or shows that it went back."""
    job = jobs.heard(device, version, now=now)
    if job and job.status == jobs.Status.SUCCEEDED:
        log_update(device, job, now=now)


def log_update(device: Device, job: FirmwareJob, *, now: datetime) -> None:
    versions = {"from": job.from_version, "to": job.rollout.release.version}
    log_line(device, Action.FIRMWARE_UPDATED, now=now, metadata=versions)


LOGGED_AS = {
    NotificationType.LOW_BATTERY: Action.BATTERY_LOW,
    NotificationType.LOW_SUPPLEMENT: Action.SUPPLEMENT_LOW,
}


def log_low_level(device: Device, kind: NotificationType, *, now: datetime) -> None:
    if kind in LOGGED_AS:
        log_line(device, LOGGED_AS[kind], now=now)


def log_line(device: Device, action: Action, *, now: datetime, metadata: Mapping[str, Any] | None = None) -> None:
    ActivityLog.objects.create(
        id=uuid7(now),
        user_id=device.user_id,
        device_id=device.pk,
        action=action,
        local_date=device.dose_plan.local_date(now),
        metadata=dict(metadata or {}),
        timestamp=now,
    )


def sweep(*, now: datetime, limit: int = 1000) -> int:
    """End the presence of the silent. One user at a time, so that no two clocks are locked at once."""
    silent = Device.objects.filter(is_connected=True, silent_at__lte=now)
    gone = 0
    for user_id in list(silent.order_by("user_id").values_list("user_id", flat=True).distinct()[:limit]):
        with transaction.atomic():
            # In the order in which a cup event locks them.
            theirs = silent.filter(user_id=user_id).select_for_update().order_by("pk")
            ids = [device.pk for device in theirs.only("pk")]
            gone += Device.objects.filter(pk__in=ids).update(is_connected=False, updated_at=now)
    return gone


def log_presence(change: offline.Change, *, now: datetime) -> None:
    """A line of the log, for those episodes only that a person would notice (api.md 6)."""
    action = Action.DEVICE_CONNECTED if change.is_back else Action.DEVICE_DISCONNECTED
    log_line(change.device, action, now=now)


def silent_at(now: datetime) -> datetime:
    """When silence ends the presence: two and a half heartbeats from now."""
    return now + timedelta(seconds=settings.HEARTBEAT_S * SILENT_AFTER_HEARTBEATS)


def shown_at(shown: datetime | None, now: datetime) -> datetime:
    return now if shown is None or now - shown >= SHOWN_EVERY else shown
