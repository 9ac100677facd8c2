"""Doses that a dispenser reports, whenever they are heard of.

They are recorded, never refused for being late or too much: they happened. The locks: `telemetry.family`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import orjson
from django.db import transaction
from django.utils.translation import gettext_lazy

from devices import plans
from devices.credentials import DeviceCaller
from telemetry import aftermath, dispensing, family, outcomes, settlement, sql
from telemetry.models import Dispense, TimeQuality
from telemetry.outcomes import Outcome, Report
from telemetry.presence import shown_at, silent_at
from zinzino.api.errors import NotOwner
from zinzino.ids import uuid7


class OfFormerRegistration(NotOwner):
    """A dose of whoever had the dispenser before stays as it is; the journal of its new owner goes on."""

    code = "FORMER_REGISTRATION"
    message = gettext_lazy("This dose belongs to a former registration of the dispenser.")


def dose(
    device: sql.LockedDevice, data: Mapping[str, Any], at: datetime, quality: TimeQuality, now: datetime
) -> None:
    """A dose: the report of one that the server knows, or one that the dispenser gave by itself."""
    dispense_id = data.get("dispense_id")
    known = Dispense.objects.filter(pk=dispense_id).first() if dispense_id else None
    if known is None:
        unasked_dose(device, data, at, quality, dispense_id=dispense_id, now=now)
    elif settlement.may_report(device, known):
        settlement.receive(known, report_in(known.unit, data), of=device, finished_at=at, now=now)
    else:
        raise OfFormerRegistration if settlement.is_of_a_former_registration(known) else NotOwner


def report_in(unit: str, data: Mapping[str, Any]) -> Report:
    """What is said, of a dose in this unit. An amount in any other is not known, so that the whole dose counts
    (a millilitre is no IU of the ceiling); nothing is nothing in every unit."""
    amount = data.get("amount")
    foreign = bool(amount) and data.get("unit") not in (None, unit)
    return Report(Outcome(data["outcome"]), None if foreign else amount)


@transaction.atomic
def last_dispense(caller: DeviceCaller, report: Mapping[str, Any], *, now: datetime) -> None:
    """How the last dose went, as a dispenser of the simple protocol repeats it with its status.

    It cannot be told no: what contradicts a final word is kept as a dispute, and a dose that the
    server does not know happened all the same.
    """
    dose(family.lock(caller), report, now, TimeQuality.UNKNOWN, now)


def foreign_amount(data: Mapping[str, Any], report: Report) -> dict[str, str]:
    """The amount that was said and not taken, as the line in the log keeps it."""
    said = data.get("amount")
    return {"reported_amount": plans.dose_text(said, data["unit"])} if said and report.amount is None else {}


def unasked_dose(
    device: sql.LockedDevice,
    data: Mapping[str, Any],
    at: datetime,
    quality: TimeQuality,
    *,
    dispense_id: UUID | None,
    now: datetime,
) -> None:
    """Record a dose that no decision allowed: it happened, also above a limit (iot.md 5).

    Raises NotOwner where a dispenser of somebody else has named its dose the same at this moment.
    """
    limits = family.look(device, keys=[], now=at).limits
    plan, report = limits.plan, report_in(limits.plan.unit, data)
    result = outcomes.settled(report, released_today=0)
    amount = plan.amount if report.amount is None else report.amount
    exceeded = dispensing.exceeded_limits(limits, amount, at=at) if result.poured else []
    known_id = dispense_id or uuid4()
    is_new = sql.record_unasked(
        dispense_id=known_id,
        device_id=device.id,
        user_id=device.user_id,
        family=plans.family_of(device.device_type),
        status=result.status,
        counts=result.counts,
        amount=amount,
        actual_amount=result.amount,
        unit=plan.unit,
        plan_version=plan.version,
        time_quality=quality,
        reported_at=now if result.is_final else None,
        activity_id=uuid7(at),
        action=result.action,
        confirmation=result.confirmation,
        dose_text=plans.dose_text(amount, plan.unit) if result.poured else None,
        metadata=orjson.dumps(
            {
                "dispense_id": known_id,
                "outcome": report.outcome,
                "exceeds": exceeded,
                **foreign_amount(data, report),
            }
        ).decode(),
        local_date=plan.local_date(at),
        poured=result.poured,
        at=at,
        now=now,
        silent_at=silent_at(now),
        shown_at=shown_at(device.last_seen, now),
    )
    if not is_new:
        raise NotOwner
    if not result.counts and sql.released_on_day_of(known_id) >= outcomes.RELEASED_A_DAY:
        Dispense.objects.filter(pk=known_id).update(is_fault=True)
    aftermath.of_report(device.user_id, device.id, known_id, result, exceeded=exceeded, now=now)
