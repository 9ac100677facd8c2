"""How a dose ends: the dispenser's word, or the end of its minute. The locks: `telemetry.family`."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext, gettext_lazy

from devices import plans
from devices.credentials import DeviceCaller
from devices.models import Device
from notifications import achievements
from telemetry import aftermath, family, outcomes, sql
from telemetry.events import event_key
from telemetry.models import ActivityLog, Dispense
from telemetry.outcomes import Report, Settlement
from telemetry.presence import shown_at, silent_at
from telemetry.sql import LockedDevice
from zinzino import clock
from zinzino.api.errors import InvalidFields, NotFound, NotOwner, SyncConflict

DISPUTES_KEPT = 10


class DispenseNotFound(NotFound):
    message = gettext_lazy("Dispense not found.")


class ReportDisputed(SyncConflict):
    """The dose was reported otherwise before; what came now is kept beside it and changes nothing."""

    message = gettext_lazy("This dose has already been reported with another outcome.")
    reason = "conflict"


def confirm(
    caller: DeviceCaller,
    dispense_id: UUID,
    report: Report,
    *,
    unit: str | None,
    event_id: UUID,
    finished_at: datetime | None,
    now: datetime,
) -> tuple[Dispense, Device]:
    """Take a dispenser's word on a dose (iot.md 2). The same word again changes nothing.

    Raises DispenseNotFound, NotOwner, InvalidFields, ReportDisputed.
    """
    with transaction.atomic():
        device = family.lock(caller)
        dose = own_dispense(caller, dispense_id)
        if unit not in {None, dose.unit}:
            raise InvalidFields(unit=[gettext("Must be the unit of the dose.")])
        sql.take_keys(caller.id, [event_key(event_id)], now=now)
        disputed = receive(dose, report, of=device, finished_at=finished_at, now=now)
        after = Device.objects.get(pk=caller.id)
    if disputed:  # raised once what was said is kept
        raise ReportDisputed
    return dose, after


def own_dispense(caller: DeviceCaller, dispense_id: UUID) -> Dispense:
    dose = Dispense.objects.filter(pk=dispense_id).first()
    if dose is None:
        raise DispenseNotFound
    if not may_report(caller, dose):
        raise NotOwner
    return dose


def may_report(device: DeviceCaller | LockedDevice, dose: Dispense) -> bool:
    """Whether a dispenser got this dose, be it before its owner removed it and added it anew: the hardware goes
    on reporting, and nobody else will. Of another supplement than its own the family is not locked."""
    if dose.device_id == device.id:
        return dose.decided_by != Dispense.DecidedBy.PERSON
    same = (dose.user_id, dose.family) == (device.user_id, plans.family_of(device.device_type))
    return same and dose.decided_by != Dispense.DecidedBy.PERSON and is_of_a_former_registration(dose)


def is_of_a_former_registration(dose: Dispense) -> bool:
    """Whether the dispenser that got it has been removed since."""
    return dose.device_id is not None and not Device.objects.filter(pk=dose.device_id).exists()


def receive(
    dose: Dispense, report: Report, *, of: LockedDevice, finished_at: datetime | None, now: datetime
) -> bool:
    """Apply the report of a locked dispenser; answers whether it contradicts a final word."""
    if outcomes.contradicts(dose, report):
        dispute(dose, report, now=now)
        return True
    if dose.reported_at is None:
        settle(dose, report, of=of, finished_at=finished_at, now=now)
    return False


def settle(
    dose: Dispense, report: Report, *, of: LockedDevice, finished_at: datetime | None, now: datetime
) -> None:
    result = outcomes.settled(
        report, released_today=sql.released_on_day_of(dose.pk) if report.says_nothing_came_out else 0
    )
    dose.status, dose.counts, dose.is_fault = result.status, result.counts, result.is_fault
    dose.actual_amount = result.amount
    dose.reported_at = now if result.is_final else None
    dose.finished_at = min(max(finished_at or now, dose.authorized_at), now)
    sql.settle(
        dispense_id=dose.pk,
        device_id=dose.device_id,
        activity_id=dose.activity_id,
        authorized_at=dose.authorized_at,
        status=dose.status,
        counts=dose.counts,
        is_fault=dose.is_fault,
        actual_amount=dose.actual_amount,
        reported_at=dose.reported_at,
        finished_at=dose.finished_at,
        now=now,
        silent_at=silent_at(now),
        shown_at=shown_at(of.last_seen, now),
        **log_columns(dose, report, result),
    )
    aftermath.of_report(dose.user_id, of.id, dose.pk, result, now=now)


def log_columns(dose: Dispense, report: Report, result: Settlement) -> dict[str, Any]:
    amount = dose.amount if result.amount is None else result.amount
    return {
        "action": result.action,
        "confirmation": result.confirmation,
        "dose_text": plans.dose_text(amount, dose.unit) if result.poured else None,
        "outcome": report.outcome,
        "poured": result.poured,
    }


def dispute(dose: Dispense, report: Report, *, now: datetime) -> None:
    said = {"outcome": report.outcome, "amount": None if report.amount is None else float(report.amount)}
    kept = dose.dispute or []
    if said not in [{name: each[name] for name in said} for each in kept]:
        dose.dispute = [*kept, {**said, "at": clock.iso(now)}][-DISPUTES_KEPT:]
        Dispense.objects.filter(pk=dose.pk).update(dispute=dose.dispute)


@transaction.atomic
def close_overdue(device_id: UUID, *, now: datetime) -> bool:
    """End a reservation whose minute is over: assumed to have been poured where the dispenser never
    confirms, unconfirmed where it still may. Both keep counting (api.md 6)."""
    Device.objects.select_for_update().filter(pk=device_id).first()
    overdue = Dispense.objects.filter(device_id=device_id, status=Dispense.Status.AUTHORIZED, expires_at__lte=now)
    dose = overdue.first()
    if dose is None:
        return False
    status, confirmation = outcomes.OVERDUE[Dispense.Protocol(dose.protocol)]
    Dispense.objects.filter(pk=dose.pk).update(status=status, finished_at=now)
    ActivityLog.objects.filter(pk=dose.activity_id, timestamp=dose.authorized_at).update(confirmation=confirmation)
    achievements.doses_changed(dose.user_id, now=now)
    return True


def sweep(*, now: datetime, limit: int = 1000) -> int:
    """Close what no later event has closed, one device and transaction at a time."""
    overdue = Dispense.objects.filter(status=Dispense.Status.AUTHORIZED, expires_at__lte=now)
    devices = list(overdue.order_by("expires_at").values_list("device_id", flat=True)[:limit])
    return sum(close_overdue(device_id, now=now) for device_id in devices if device_id)
