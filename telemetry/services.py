"""What a dispenser is answered when a cup is placed. The locks: `telemetry.family`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import orjson
from django.db import transaction

from devices.credentials import DeviceCaller
from devices.models import Device
from devices.plans import Plan
from notifications.models import NotificationType
from telemetry import dispensing, family, ingest, journals, presence, reasons, settlement, sql
from telemetry.dispensing import Dose, Facts, Verdict
from telemetry.events import Reading, Timing, Trigger, timed
from telemetry.family import Situation
from telemetry.models import Dispense, TriggeredBy
from telemetry.presence import Status, shown_at, silent_at
from telemetry.readings import Cup, cup_of, current_cup
from zinzino import clock, metrics
from zinzino.api.errors import NotOwner
from zinzino.ids import uuid7


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


@transaction.atomic
def report_state(caller: DeviceCaller, reading: Reading, *, now: datetime) -> Answer:
    """Record one cup reading and decide, once, whether the dispenser pours (mission 4.2, api.md 4).

    The same event again stores nothing and gets the recorded answer.
    """
    # Doses of a journal lock all of a person's dispensers, and never after some of them.
    device = family.lock(caller, household=bool(reading.unsynced))
    newest = newest_before(device, reading)
    if reading.unsynced:
        # What happened while it was offline comes first: a dose among it counts in this decision.
        device = journals.take_unsynced(caller, reading.unsynced, reading.sent, now=now)
    situation = family.look(device, keys=reading.keys, now=now)
    if situation.recorded is not None:
        return recorded_answer(situation, situation.recorded, cup_placed=reading.cup_placed)
    if situation.open_until and situation.open_until <= now:
        settlement.close_overdue(caller.id, now=now)
    return take(situation, reading, newest=newest)


def newest_before(device: sql.LockedDevice, reading: Reading) -> datetime | None:
    """The event that a reading may have been overtaken by, by the dispenser's own clock: times that came in a
    journal were corrected by what that clock is off."""
    newest = device.last_event_at
    if reading.timestamp and newest and reading.timestamp < newest:
        return sql.newest_by_own_clock(device.id)
    return newest


def report_status(
    caller: DeviceCaller, status: Status, last_dispense: Mapping[str, Any] | None, *, now: datetime
) -> tuple[Device, list[NotificationType]]:
    """Levels, version and presence, and how the last dose went (mission 3.6, api.md 3).

    Two transactions: both parts may be repeated, and a family is locked before its dispenser.
    A dispenser that was added anew goes on repeating the last dose of before, which counts where it was
    decided: that is put aside, or no word of the dispenser would ever be taken.
    """
    if last_dispense:
        try:
            ingest.last_dispense(caller, last_dispense, now=now)
        except NotOwner as refusal:
            journals.put_aside(caller.id, last_dispense, refusal, now=now)
    return presence.report_status(caller.id, status, now=now)


def take(situation: Situation, reading: Reading, *, newest: datetime | None) -> Answer:
    """Decide on a new event and write all that follows from it."""
    at, timing = timed(reading, newest=newest, follows=situation.device.last_event_at, now=situation.now)
    verdict = dispensing.decide(facts_of(situation, reading, timing))
    dispense_id = uuid4() if verdict.should_dispense else None
    cup = current_cup(cup_of(situation.device), reading, at)
    sql.record(
        **cup.columns,
        **event_columns(situation, reading, at),
        **decision_columns(situation, reading, verdict, dispense_id),
        **dose_columns(situation, reading, verdict, dispense_id),
    )
    if reading.cup_placed:
        transaction.on_commit(metrics.DECISIONS.labels(verdict.reason).inc)
    return answered(situation, cup, verdict, dispense_id)


def facts_of(situation: Situation, reading: Reading, timing: Timing) -> Facts:
    device, now = situation.device, situation.now
    last_dose, removal = device.last_dose_event_at, device.last_removal_at
    return Facts(
        limits=situation.limits,
        now=now,
        is_active=device.is_active,
        cup_placed=reading.cup_placed,
        timing=timing,
        cup_emptied=last_dose is None or (removal is not None and removal > last_dose),
        in_progress=situation.open_until is not None and situation.open_until > now,
        updating=device.updating_until is not None and device.updating_until > now,
        supplement_level=device.supplement_level,
        battery_level=device.battery_level,
    )


def event_columns(situation: Situation, reading: Reading, at: datetime) -> dict[str, Any]:
    now, device = situation.now, situation.device
    return {
        "device_id": device.id,
        "user_id": device.user_id,
        "now": now,
        "at": at,
        "device_time": None if reading.timestamp == at else reading.timestamp,
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
        "reason_class": reasons.reason_class(verdict.reason),
        "dispense_id": dispense_id,
    }
    return {
        "decision_id": uuid7(situation.now) if asks else None,
        "reason": verdict.reason,
        "trace": orjson.dumps([asdict(step) for step in verdict.trace]).decode(),
        "last_decision": orjson.dumps(shown).decode() if asks else None,
    }


def dose_columns(
    situation: Situation, reading: Reading, verdict: Verdict, dispense_id: UUID | None
) -> dict[str, Any]:
    plan, now, slot = situation.plan, situation.now, verdict.slot
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
        "protocol": Dispense.Protocol.FULL if reading.confirms else Dispense.Protocol.SIMPLE,
        "slot_date": slot and slot.date,
        "slot_id": slot and slot.slot_id,
        "request_id": reading.request_id,
        "triggered_by": triggered_by(reading, verdict),
    }


def triggered_by(reading: Reading, verdict: Verdict) -> TriggeredBy:
    if reading.trigger in {Trigger.BUTTON, Trigger.COMMAND}:
        return TriggeredBy.MANUAL
    return TriggeredBy.SCHEDULED if verdict.slot else TriggeredBy.AUTOMATIC


def answered(situation: Situation, cup: Cup, verdict: Verdict, dispense_id: UUID | None) -> Answer:
    """The answer to a new event; its own dose, if any, already counts for the next one."""
    plan, now, limits = situation.plan, situation.now, situation.limits
    if dispense_id:
        slot = (verdict.slot.date, verdict.slot.slot_id) if verdict.slot else None
        limits = limits.with_dose(Dose(now, plan.amount, slot))
    return Answer(
        device_id=situation.device.id,
        cup=cup,
        plan=plan,
        should_dispense=dispense_id is not None,
        reason=verdict.reason,
        dispense_id=dispense_id,
        expires_at=now + dispensing.VALID_FOR if dispense_id else None,
        next_dose_at=dispensing.next_dose_at(limits, now=now),
    )


def recorded_answer(situation: Situation, recorded: dict[str, Any], *, cup_placed: bool) -> Answer:
    """The answer that was given before. A yes is repeated only while it is good (api.md 4)."""
    device, now = situation.device, situation.now
    dispense_id = recorded["dispense_id"] and UUID(recorded["dispense_id"])
    allowed_at = clock.from_epoch_ms(recorded["authorized_ms"]) if dispense_id else None
    expires_at = allowed_at + dispensing.VALID_FOR if allowed_at else None
    good = cup_placed and allowed_at is not None and is_still_good(situation, recorded, allowed_at)
    return Answer(
        device_id=device.id,
        cup=cup_of(device),
        plan=situation.plan,
        should_dispense=good,
        reason="already_answered" if dispense_id and not good else recorded["reason"],
        dispense_id=dispense_id,
        expires_at=expires_at if good else None,
        next_dose_at=dispensing.next_dose_at(situation.limits, now=now),
    )


def is_still_good(situation: Situation, recorded: dict[str, Any], allowed_at: datetime) -> bool:
    """Whether a recorded yes may be repeated: until it expires, before any later event of its device, and only
    while it would be given again. A dose of the family that was heard of since, a pause or a stop end it."""
    device, limits = situation.device, situation.limits
    in_time = situation.now < allowed_at + dispensing.VALID_FOR
    unchanged = recorded["event_count"] == device.event_count and device.is_active
    return in_time and unchanged and dispensing.allows(limits.without_dose(allowed_at), at=allowed_at)
