"""What a dispenser's reports change. Every write of this app starts here.

Locks, always in this order: the rows of the user's dispensers of one family by ascending id; then,
at COMMIT, the user's sync clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import orjson
from django.conf import settings
from django.db import transaction

from devices import plans
from devices.credentials import DeviceCaller
from devices.models import Device
from devices.plans import Plan
from telemetry import dispensing, sql
from telemetry.dispensing import Dose, Facts, Verdict
from telemetry.events import Reading, Timing, timed
from telemetry.models import ActivityLog, Confirmation, Dispense
from telemetry.presence import shown_at, silent_at
from zinzino import clock
from zinzino.api.errors import Unauthorized
from zinzino.ids import uuid7

# Doses of removed dispensers count this long, and no plan looks further back.
LOOK_BACK = timedelta(hours=48)


@dataclass(frozen=True, slots=True)
class Situation:
    """One locked device and what is known of its family, at one moment."""

    device: sql.LockedDevice
    plan: Plan
    doses: Sequence[Dose]
    open_until: datetime | None
    recorded: dict[str, Any] | None
    now: datetime

    @property
    def family(self) -> str:
        return plans.family_of(self.device.device_type)

    @property
    def ceiling(self) -> Decimal:
        return Decimal(settings.DOSE_CEILINGS[self.family])


@dataclass(frozen=True, slots=True)
class Cup:
    """The current cup state of a device."""

    placed: bool
    sensor_reading: Decimal | float | None
    changed_at: datetime | None
    newest_event_at: datetime | None
    removed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the dispenser is told after an event."""

    device_id: UUID
    cup: Cup
    plan: Plan
    should_dispense: bool
    reason: str
    dispense_id: UUID | None
    expires_at: datetime | None
    next_dose_at: datetime | None


def report_state(caller: DeviceCaller, reading: Reading, *, now: datetime) -> Answer:
    """Record one cup reading and decide, once, whether the dispenser pours (mission 4.2, api.md 4).

    The same event again stores nothing and gets the recorded answer.
    """
    with transaction.atomic():
        situation = look(caller, keys=reading.keys, now=now)
        if situation.recorded is not None:
            return recorded_answer(situation, situation.recorded, cup_placed=reading.cup_placed)
        if situation.open_until and situation.open_until <= now:
            close_overdue(caller.id, now=now)
        return take(situation, reading)


def look(caller: DeviceCaller, *, keys: list[str], now: datetime) -> Situation:
    """Lock the family and read what a decision needs: two statements."""
    family = plans.family_of(caller.device_type)
    locked = sql.lock_family(caller.user_id, plans.members(family))
    device = next((row for row in locked if row.id == caller.id), None)
    if device is None:  # removed between the check of its token and the lock
        raise Unauthorized
    plan = plans.plan_of(orjson.loads(device.plan), version=device.plan_version, timezone=device.timezone)
    rows, open_until, recorded = sql.family_doses(
        caller.user_id, caller.id, family=family, since=now - LOOK_BACK, keys=keys
    )
    return Situation(device, plan, doses_of(rows), open_until, recorded, now)


def take(situation: Situation, reading: Reading) -> Answer:
    """Decide on a new event and write all that follows from it."""
    device, now = situation.device, situation.now
    at, timing = timed(reading, newest=device.last_event_at, now=now)
    verdict = dispensing.decide(facts_of(situation, reading, timing))
    dispense_id = uuid4() if verdict.should_dispense else None
    cup = current_cup(device, reading, at)
    sql.record(
        **cup_columns(cup),
        **event_columns(situation, reading, at),
        **decision_columns(situation, reading, verdict, dispense_id),
        **dose_columns(situation, dispense_id),
    )
    return answered(situation, cup, verdict.reason, dispense_id)


def facts_of(situation: Situation, reading: Reading, timing: Timing) -> Facts:
    device = situation.device
    last_dose, removal = device.last_dose_event_at, device.last_removal_at
    return Facts(
        is_active=device.is_active,
        cup_placed=reading.cup_placed,
        timing=timing,
        cup_emptied=last_dose is None or (removal is not None and removal > last_dose),
        in_progress=situation.open_until is not None and situation.open_until > situation.now,
        supplement_level=device.supplement_level,
        battery_level=device.battery_level,
        ceiling=situation.ceiling,
        doses=situation.doses,
        plan=situation.plan,
        now=situation.now,
    )


def current_cup(device: sql.LockedDevice, reading: Reading, at: datetime) -> Cup:
    """The state after the event: a late one never rewinds it, and only a change moves its time."""
    newest = device.last_event_at is None or at >= device.last_event_at
    changes = device.last_state_change is None or reading.cup_placed != device.cup_placed
    removed = None if reading.cup_placed or reading.repeat else at
    if not newest or reading.repeat:
        kept = device.cup_placed, device.sensor_reading, device.last_state_change, device.last_event_at
        return Cup(*kept, removed_at=later(device.last_removal_at, removed))
    return Cup(
        placed=reading.cup_placed,
        sensor_reading=reading.sensor_reading if reading.sensor_reading is not None else device.sensor_reading,
        changed_at=at if changes else device.last_state_change,
        newest_event_at=at,
        removed_at=later(device.last_removal_at, removed),
    )


def later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((moment for moment in (one, other) if moment), default=None)


def cup_columns(cup: Cup) -> dict[str, Any]:
    return {
        "now_placed": cup.placed,
        "now_sensor": cup.sensor_reading,
        "last_state_change": cup.changed_at,
        "last_event_at": cup.newest_event_at,
        "last_removal_at": cup.removed_at,
    }


def event_columns(situation: Situation, reading: Reading, at: datetime) -> dict[str, Any]:
    now, device = situation.now, situation.device
    return {
        "device_id": device.id,
        "user_id": device.user_id,
        "now": now,
        "at": at,
        "keys": reading.keys,
        "state_id": None if reading.repeat else uuid7(at),
        "cup_placed": reading.cup_placed,
        "sensor_reading": reading.sensor_reading,
        "event_count": device.event_count + 1,
        "silent_at": silent_at(now),
        "shown_at": shown_at(device.last_seen, now),
    }


def decision_columns(
    situation: Situation, reading: Reading, verdict: Verdict, dispense_id: UUID | None
) -> dict[str, Any]:
    """A removal asks for nothing: it gets no decision, and the last one stays on show."""
    asks = reading.cup_placed
    shown = {
        "at": clock.iso(situation.now),
        "should_dispense": verdict.should_dispense,
        "reason": verdict.reason,
        "reason_class": verdict.reason_class,
        "dispense_id": dispense_id,
    }
    return {
        "decision_id": uuid7(situation.now) if asks else None,
        "reason": verdict.reason,
        "trace": orjson.dumps([asdict(step) for step in verdict.trace]).decode(),
        "last_decision": orjson.dumps(shown).decode() if asks else None,
    }


def dose_columns(situation: Situation, dispense_id: UUID | None) -> dict[str, Any]:
    plan, now = situation.plan, situation.now
    return {
        "dispense_id": dispense_id,
        "family": situation.family,
        "amount": plan.amount,
        "unit": plan.unit,
        "dose_text": plan.dose_text,
        "plan_version": plan.version,
        "activity_id": uuid7(now),
        "local_date": plan.local_date(now),
        "expires_at": now + dispensing.VALID_FOR,
    }


def answered(situation: Situation, cup: Cup, reason: str, dispense_id: UUID | None) -> Answer:
    """The answer to a new event; its own dose, if any, already counts for the next one."""
    plan, now = situation.plan, situation.now
    doses = [Dose(now, plan.amount), *situation.doses] if dispense_id else situation.doses
    return Answer(
        device_id=situation.device.id,
        cup=cup,
        plan=plan,
        should_dispense=dispense_id is not None,
        reason=reason,
        dispense_id=dispense_id,
        expires_at=now + dispensing.VALID_FOR if dispense_id else None,
        next_dose_at=dispensing.next_dose_at(plan, doses, situation.ceiling, now=now),
    )


def recorded_answer(situation: Situation, recorded: dict[str, Any], *, cup_placed: bool) -> Answer:
    """The answer that was given before. A yes is repeated only while it is good: until it expires,
    before any later event of its device, to a device that is still in use and says its cup stands
    (api.md 4)."""
    device, now = situation.device, situation.now
    dispense_id = recorded["dispense_id"] and UUID(recorded["dispense_id"])
    expires_at = clock.from_epoch_ms(recorded["authorized_ms"]) + dispensing.VALID_FOR if dispense_id else None
    in_time = expires_at is not None and now < expires_at
    good = in_time and recorded["event_count"] == device.event_count and device.is_active and cup_placed
    return Answer(
        device_id=device.id,
        cup=Cup(
            device.cup_placed,
            device.sensor_reading,
            device.last_state_change,
            device.last_event_at,
            device.last_removal_at,
        ),
        plan=situation.plan,
        should_dispense=good,
        reason="already_answered" if dispense_id and not good else recorded["reason"],
        dispense_id=dispense_id,
        expires_at=expires_at if good else None,
        next_dose_at=dispensing.next_dose_at(situation.plan, situation.doses, situation.ceiling, now=now),
    )


def next_dose_at(user_id: UUID, device: Mapping[str, Any], *, now: datetime) -> datetime | None:
    """When the limits will allow the next dose of a device, as its JSON describes it."""
    plan = plans.plan_of(device["plan"], version=device["plan"]["version"], timezone=device["plan"]["timezone"])
    return _next_dose(user_id, UUID(device["id"]), device["device_type"], plan, now=now)


def next_dose_of(device: Device, *, now: datetime) -> datetime | None:
    plan = plans.plan_of(device.plan, version=device.plan_version, timezone=device.timezone)
    return _next_dose(device.user_id, device.pk, device.device_type, plan, now=now)


def _next_dose(user_id: UUID, device_id: UUID, device_type: str, plan: Plan, *, now: datetime) -> datetime | None:
    family = plans.family_of(device_type)
    rows, _, _ = sql.family_doses(user_id, device_id, family=family, since=now - LOOK_BACK, keys=[])
    return dispensing.next_dose_at(plan, doses_of(rows), Decimal(settings.DOSE_CEILINGS[family]), now=now)


def doses_of(rows: Sequence[Sequence[Any]]) -> list[Dose]:
    return [Dose(clock.from_epoch_ms(ms), Decimal(str(amount))) for ms, amount in rows]


@transaction.atomic
def close_overdue(device_id: UUID, *, now: datetime) -> bool:
    """End a reservation whose minute is over. A simple dispenser never confirms: the dose is assumed,
    and keeps counting (api.md 6)."""
    Device.objects.select_for_update().filter(pk=device_id).first()
    overdue = Dispense.objects.filter(device_id=device_id, status=Dispense.Status.AUTHORIZED, expires_at__lte=now)
    dose = overdue.first()
    if dose is None:
        return False
    Dispense.objects.filter(pk=dose.pk).update(status=Dispense.Status.DISPENSED, finished_at=now)
    ActivityLog.objects.filter(pk=dose.activity_id, timestamp=dose.authorized_at).update(
        confirmation=Confirmation.ASSUMED
    )
    return True


def sweep_dispenses(*, now: datetime, limit: int = 1000) -> int:
    """Close what no later event has closed, one device and transaction at a time."""
    overdue = Dispense.objects.filter(status=Dispense.Status.AUTHORIZED, expires_at__lte=now)
    devices = list(overdue.order_by("expires_at").values_list("device_id", flat=True)[:limit])
    return sum(close_overdue(device_id, now=now) for device_id in devices)
