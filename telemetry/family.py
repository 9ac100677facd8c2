"""One supplement family of one person: its lock, and what a decision must know of it.

The doses of all its dispensers count against each other, those of removed ones and those taken by
hand included. Locks, always in this order: the rows of the person's dispensers of the family by
ascending id; then, at COMMIT, the person's sync clock.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
from django.conf import settings

from devices import plans
from devices.credentials import DeviceCaller
from devices.models import Device
from devices.plans import Plan
from telemetry import dispensing, sql
from telemetry.dispensing import Dose, Limits, Stop
from telemetry.models import SafetyStop
from zinzino import clock
from zinzino.api.errors import Unauthorized

# No rule looks further from a dose, neither back nor, for one that is heard of late, ahead: intervals and
# rolling windows have two days at most, and a local day that a change of zones makes longer has 50 hours.
REACH = timedelta(hours=50)

STOP_RULES = {
    SafetyStop.Scope.FIRMWARE: "firmware_blocked",
    SafetyStop.Scope.LOT: "lot_recalled",
}


@dataclass(frozen=True, slots=True)
class Situation:
    """One locked dispenser and what is known of its family, at one moment."""

    device: sql.LockedDevice
    limits: Limits
    # When the dose that the dispenser may be pouring right now expires.
    open_until: datetime | None
    # What was decided about the same event before.
    recorded: dict[str, Any] | None
    now: datetime

    @property
    def plan(self) -> Plan:
        return self.limits.plan

    @property
    def family(self) -> str:
        return plans.family_of(self.device.device_type)


def lock(caller: DeviceCaller, *, household: bool = False) -> sql.LockedDevice:
    """Lock the caller's family, or all dispensers of its person for whoever locks more of them later.

    Raises Unauthorized where the dispenser was removed meanwhile.
    """
    types = list(plans.FAMILIES) if household else plans.members(plans.family_of(caller.device_type))
    locked = sql.lock_family(caller.user_id, types)
    device = next((row for row in locked if row.id == caller.id), None)
    if device is None:
        raise Unauthorized
    return device


def look(device: sql.LockedDevice, *, keys: list[str], now: datetime) -> Situation:
    plan = plans.plan_of(orjson.loads(device.plan), version=device.plan_version, timezone=device.timezone)
    known = sql.family_situation(
        device.user_id,
        device.id,
        family=plans.family_of(device.device_type),
        within=REACH,
        keys=keys,
        now=now,
    )
    return Situation(device, limits_of(plan, device.device_type, known), known.open_until, known.recorded, now)


def limits_of(plan: Plan, device_type: str, known: sql.FamilySituation) -> Limits:
    return Limits(
        plan=plan,
        ceiling=Decimal(settings.DOSE_CEILINGS[plans.family_of(device_type)]),
        doses=[dose_of(*row) for row in known.doses],
        stops=[stop_of(*row) for row in known.stops],
        fault=known.fault,
    )


def dose_of(at_ms: int, amount: float, slot_date: str | None, slot_id: str | None) -> Dose:
    slot = (date.fromisoformat(slot_date), slot_id) if slot_date and slot_id else None
    return Dose(clock.from_epoch_ms(at_ms), Decimal(str(amount)), slot)


def stop_of(scope: str, reason: str, until_ms: int | None) -> Stop:
    rule = STOP_RULES.get(SafetyStop.Scope(scope), "safety_stop")
    return Stop(rule, reason, clock.from_epoch_ms(until_ms) if until_ms is not None else None)


def next_dose_of(device: Device, *, now: datetime) -> datetime | None:
    """When the limits will allow the next dose of a device."""
    family = plans.family_of(device.device_type)
    known = sql.family_situation(device.user_id, device.pk, family=family, within=REACH, keys=[], now=now)
    return dispensing.next_dose_at(limits_of(device.dose_plan, device.device_type, known), now=now)
