"""Changing a plan: what follows from the fields that a person sets, what is refused, what is worth a word
(api.md 3). Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import uuid4

from django.utils.translation import gettext as _

from devices import plans
from devices.plans import DAYS, Defaults, Plan, Slot
from zinzino.clock import iso

HALF_DAY_MIN, DAY_MIN, WEEK_MIN = 720, 1_440, 7 * 1_440
PAUSED_AT_MOST = timedelta(days=366)
# With any of these a plan is looked at as a whole; a pause is never refused.
RULED = frozenset({"dose", "target_per_day", "max_per_day", "min_interval_min", "rolling_hours", "slots"})

Fields = Mapping[str, Any]
Faults = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a plan is judged by beside itself."""

    defaults: Defaults
    # The most of the family's supplement in one day, in the plan's unit.
    ceiling: Decimal
    # The doses a day that other dispensers of the family aim at.
    others_per_day: int = 0


def edited(stored: Mapping[str, Any], fields: Fields, *, timezone: str, defaults: Defaults, now: datetime) -> Any:
    """The stored plan with the given fields replaced, and what follows from them derived anew.

    `timezone` is the plan's before the edit. Of slots that name no id, one at a time of before keeps it.
    """
    plan = dict(stored)
    for name in ("target_per_day", "max_per_day", "rolling_hours"):
        if name in fields:
            plan[name] = fields[name]
    if "dose" in fields:
        plan["dose"] = stored["dose"] | {**fields["dose"], "amount": plans.number(fields["dose"]["amount"])}
    if "paused_until" in fields:
        until = fields["paused_until"]
        plan["paused_until"] = iso(until) if until and until > now else None
    if "slots" in fields:
        plan["slots"] = stored_slots(fields["slots"], stored["slots"])
        plan |= doses_for(most_on_a_day(plan["slots"]), plan, fields, defaults)
    if fields.keys() & {"slots", "min_interval_min"}:
        plan |= interval_for(plan, fields, defaults)
    if fields.get("timezone", timezone) != timezone:
        plan["zone_change"] = stored_change(stored, timezone, fields["timezone"], now=now)
    return plan


def stored_slots(slots: Sequence[Fields], former: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    known = {slot["local_time"]: slot["id"] for slot in former}
    found = []
    for slot in slots:
        name = slot.get("id") or known.get(slot["local_time"]) or str(uuid4())
        found.append({**slot, "id": name, "days": [day for day in DAYS if day in slot["days"]]})
    return sorted(found, key=lambda slot: str(slot["local_time"]))


def most_on_a_day(slots: Sequence[Mapping[str, Any]]) -> int:
    return max(sum(day in slot["days"] for slot in slots) for day in DAYS)


def doses_for(most: int, plan: Mapping[str, Any], fields: Fields, defaults: Defaults) -> dict[str, int]:
    """Left out, the target is a dose for each slot of a full day, and the maximum has room for it."""
    target = plan["target_per_day"] if "target_per_day" in fields else most or defaults.target_per_day
    return {
        "target_per_day": target,
        "max_per_day": plan["max_per_day"] if "max_per_day" in fields else max(plan["max_per_day"], target, most),
    }


def interval_for(plan: Mapping[str, Any], fields: Fields, defaults: Defaults) -> dict[str, Any]:
    """What a person has chosen stays; null gives the choice back. Else slots are spread over half a day."""
    chosen = plan.get("interval_chosen", False)
    if "min_interval_min" in fields:
        chosen = fields["min_interval_min"] is not None
    if chosen:
        return {
            "interval_chosen": True,
            "min_interval_min": fields.get("min_interval_min", plan["min_interval_min"]),
        }
    spread = HALF_DAY_MIN // max(1, most_on_a_day(plan["slots"])) if plan["slots"] else 0
    return {"interval_chosen": False, "min_interval_min": max(defaults.min_interval_min, spread)}


def stored_change(stored: Mapping[str, Any], former: str, new: str, *, now: datetime) -> dict[str, str] | None:
    change = plans.zone_change(plans.plan_of(stored, version=0, timezone=former), new, now=now)
    return {"former": change.former, "at": iso(change.at)} if change else None


# ------------------------------------------------------------------------------------------- refusals


def faults(plan: Plan, fields: Fields, around: Surroundings, *, now: datetime) -> Faults:
    """What is wrong with a plan after an edit, by the field that the person would have to change."""
    found: Faults = {}
    if plan.paused_until and plan.paused_until > now + PAUSED_AT_MOST:
        found["paused_until"] = [_("A pause lasts a year at most; a dispenser can also be switched off.")]
    if not fields.keys() & RULED:
        return found
    for field, message in _faults(plan, fields, around):
        found.setdefault(field, []).append(message)
    return found


def _faults(plan: Plan, fields: Fields, around: Surroundings) -> Iterator[tuple[str, str]]:
    amount, unit = plan.amount, around.defaults.unit
    most, ceiling = plans_most(plan), f"{plans.number(around.ceiling)} {unit}"
    if plan.unit != unit:
        yield "dose.unit", _("Must be %(unit)s for this supplement.") % {"unit": unit}
    elif amount > around.ceiling:
        yield "dose.amount", _("More than the ceiling of %(ceiling)s a day.") % {"ceiling": ceiling}
    elif amount * plan.max_per_day > around.ceiling:
        field = next((name for name in ("max_per_day", "slots") if name in fields), "dose.amount")
        yield (
            field,
            _("All doses of a day together are more than the ceiling of %(ceiling)s.") % {"ceiling": ceiling},
        )
    if plan.max_per_day < most:
        yield "max_per_day", _("There are %(count)d slots on one day.") % {"count": most}
    if plan.target_per_day > plan.max_per_day:
        field = "target_per_day" if "target_per_day" in fields else "max_per_day"
        yield field, _("The target is above the daily maximum.")
    if len({slot.id for slot in plan.slots}) < len(plan.slots):
        yield "slots", _("Two slots have the same id.")
    if closest_min(plan.slots) * 60 < plan.min_interval.total_seconds():
        field = "slots" if "slots" in fields else "min_interval_min"
        minutes = int(plan.min_interval.total_seconds()) // 60
        yield field, _("Two slots are closer than the interval of %(minutes)d minutes.") % {"minutes": minutes}


def plans_most(plan: Plan) -> int:
    return max(sum(day in slot.days for slot in plan.slots) for day in DAYS)


def week_minutes(slots: Sequence[Slot]) -> list[int]:
    """When slots are due, in minutes of the week."""
    return sorted(
        DAYS.index(day) * DAY_MIN + slot.local_time.hour * 60 + slot.local_time.minute
        for slot in slots
        for day in slot.days
    )


def closest_min(slots: Sequence[Slot]) -> int:
    """The shortest time between two slots in minutes, over midnight and from Sunday to Monday too."""
    due = week_minutes(slots)
    next_week = [minute + WEEK_MIN for minute in due[:1]]
    return min((after - before for before, after in pairwise(due + next_week)), default=WEEK_MIN)


# ------------------------------------------------------------------------------------------- warnings


def warnings(plan: Plan, around: Surroundings, *, now: datetime) -> list[dict[str, str]]:
    """What a person should know of a plan that is allowed, in the language of the moment."""
    return [{"code": code, "message": message} for code, wrong, message in _warnings(plan, around, now) if wrong]


def _warnings(plan: Plan, around: Surroundings, now: datetime) -> Iterator[tuple[str, bool, str]]:
    usual = around.defaults.amount * around.defaults.max_per_day
    yield (
        "paused",
        plan.paused_until is not None and plan.paused_until > now,
        _("The plan is paused: nothing is poured until then."),
    )
    yield (
        "zone_changes",
        plan.zone_change is not None and plan.zone_change.at > now,
        _("The new time zone takes effect with the next local day."),
    )
    yield (
        "above_usual",
        plan.amount * plan.max_per_day > usual,
        _("The plan allows more a day than is usual for this supplement."),
    )
    yield (
        "target_differs",
        bool(plan.slots) and plan.target_per_day != plans_most(plan),
        _("The target differs from the number of slots on a full day."),
    )
    yield (
        "rolling_blocks_slots",
        rolling_blocks(plan),
        _("The rolling limit will leave out some slots."),
    )
    yield (
        "shared_limits",
        around.others_per_day > 0 and around.others_per_day + plan.target_per_day > plan.max_per_day,
        _("Other dispensers of this supplement count too: together their targets exceed the daily maximum."),
    )


def rolling_blocks(plan: Plan) -> bool:
    """Whether doses at all slots' own times would run into the rolling limit."""
    due = week_minutes(plan.slots)
    span = int(plan.rolling.total_seconds()) // 60
    earlier = [minute - WEEK_MIN for minute in due] + due
    return any(sum(minute - span < other < minute for other in earlier) >= plan.max_per_day for minute in due)
