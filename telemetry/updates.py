"""Firmware for dispensers: what is offered when, and what they report of it (iot.md 2 and 4).

An update waits for charge and for the dose: nothing is offered around a time at which a dose is due, and while
one is poured nothing may be installed. While it installs the decision says `update_in_progress`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from devices.credentials import DeviceCaller
from devices.firmware import jobs, rollouts
from devices.firmware.jobs import Report
from devices.firmware.models import FirmwareJob, FirmwareRollout
from devices.models import Device
from devices.plans import Plan
from telemetry import presence
from telemetry.models import Dispense, SafetyStop
from telemetry.presence import Status
from zinzino import clock
from zinzino.api.errors import Unauthorized


@dataclass(frozen=True, slots=True)
class Offer:
    """An update that a unit may take now."""

    job: FirmwareJob
    rollout: FirmwareRollout


@dataclass(frozen=True, slots=True)
class Nothing:
    """No update now: nothing for this unit, or something that it does not fulfil yet."""

    reason: str


def check(caller: DeviceCaller, *, version: str | None, hardware: str | None, now: datetime) -> Offer | Nothing:
    """What is there for a unit that says what it runs and on which hardware."""
    with transaction.atomic():
        device, _ = presence.report_status(caller.id, Status(firmware_version=version), now=now)
        if hardware and hardware != device.hardware_rev:
            device.hardware_rev = hardware
            Device.objects.filter(pk=device.pk).update(hardware_rev=hardware)
        return offer(device, now=now)


def offer(device: Device, *, now: datetime) -> Offer | Nothing:
    """Part of the caller's transaction, which holds the unit's row."""
    rollout = rollouts.running_for(device.hardware_rev) if device.hardware_rev else None
    if rollout is None or not jobs.fits(rollout, device) or is_stopped(rollout.release.version, now=now):
        return Nothing("no_update")
    if reason := waits_for(device, rollout, now=now):
        return Nothing(reason)
    job = jobs.offer(rollout.pk, device, now=now)
    return Offer(job, rollout) if job else Nothing("no_update")


def is_stopped(version: str, *, now: datetime) -> bool:
    """Whether a safety stop stands against a version: nobody is brought to it."""
    against = SafetyStop.objects.filter(scope=SafetyStop.Scope.FIRMWARE, value=version, lifted_at=None)
    return against.filter(Q(until=None) | Q(until__gt=now)).exists()


def waits_for(device: Device, rollout: FirmwareRollout, *, now: datetime) -> str | None:
    """What speaks against an update at this moment."""
    if device.battery_level < rollout.battery_min:
        return "battery_low"
    if dose_is_near(device.dose_plan, timedelta(seconds=rollout.no_dose_within_s), now=now):
        return "dose_soon"
    return "dose_in_progress" if pours(device.pk, now=now) else None


def dose_is_near(plan: Plan, within: timedelta, *, now: datetime) -> bool:
    """Whether a window opens so soon, or a slot is due so soon or was due so shortly before."""
    if plan.paused_until and plan.paused_until > now + within:
        return False
    return any(
        now <= window.opens_at <= now + within or abs(window.due_at - now) <= within
        for window in plan.windows_after(now)
    )


def pours(device_id: UUID, *, now: datetime) -> bool:
    """By the unique index of a unit's reservation."""
    reserved = Dispense.objects.filter(device_id=device_id, status=Dispense.Status.AUTHORIZED)
    return reserved.filter(expires_at__gt=now).exists()


@transaction.atomic
def report(caller: DeviceCaller, job_id: UUID, said: Report, *, now: datetime) -> tuple[FirmwareJob, bool]:
    """Take a unit's word on its update; the job as it stands, and whether the unit has to leave it.

    `installing` asks whether it may: it does when the answer's state is `installing`.
    Raises JobNotFound, NotOwner, AnotherVersion.
    """
    device = Device.objects.select_for_update().filter(pk=caller.id).first()
    if device is None:
        raise Unauthorized
    job = jobs.own(job_id, caller.id)
    may_install = said.state != "installing" or waits_for(device, job.rollout, now=now) is None
    changed = jobs.take(job, said, device, may_install=may_install, now=now)
    if changed and job.status == jobs.Status.SUCCEEDED:
        presence.log_update(device, job, now=now)
    runs = said.version if job.status == said.state == jobs.Status.SUCCEEDED else None
    presence.hear(device.pk, Status(firmware_version=runs), now=now)
    return job, job.status == jobs.Status.CANCELLED or held_back(job)


def held_back(job: FirmwareJob) -> bool:
    return job.status in jobs.BEFORE_INSTALL and not jobs.goes_on(job.rollout)


def answer(found: Offer | Nothing) -> dict[str, Any]:
    """To a check (iot.md 2)."""
    offered = shown(found)
    reason = found.reason if isinstance(found, Nothing) else None
    return {"available": offered is not None, "reason": reason, **(offered or {})}


def shown(found: Offer | Nothing) -> dict[str, Any] | None:
    """As a hello brings it; None where there is nothing."""
    if isinstance(found, Nothing):
        return None
    release, rollout = found.rollout.release, found.rollout
    return {
        "job_id": found.job.pk,
        "manifest": release.manifest.as_json(),
        "signature": release.signature,
        "url": f"{settings.PUBLIC_URL}/v1/iot/firmware/{release.pk}/download",
        "not_before": found.job.offered_at,
        "deadline": found.job.offered_at + jobs.OFFER_GOOD_FOR,
        "conditions": {"battery_min": rollout.battery_min, "no_dose_within_s": rollout.no_dose_within_s},
    }


def tick() -> dict[str, int]:
    """What time brings to rollouts; safe on any number of workers."""
    now = clock.now()
    started = rollouts.start_scheduled(now=now)
    timed_out = jobs.time_out(now=now)
    running = FirmwareRollout.objects.filter(status=rollouts.Status.RUNNING).values_list("pk", flat=True)
    advanced = sum(rollouts.advance_if_good(rollout_id, now=now) for rollout_id in list(running))
    cancelled = jobs.cancel_left_over(now=now)
    return {"started": started, "timed_out": timed_out, "advanced": advanced, "cancelled": cancelled}
