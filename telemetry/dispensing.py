"""Whether a dispenser pours: the rules in their order, each with its reason. Pure (iot.md 5).

A missed supplement is harmless, a double dose is not: every rule that cannot be sure says no. The
first rule that fails is the reason; the whole trace is kept.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from devices import plans
from devices.plans import Plan, Window
from telemetry.events import Timing

# A dispenser may start to pour this long after a yes.
VALID_FOR = timedelta(seconds=60)
MIN_BATTERY_PERCENT = 5

# One dose a slot and local day.
Slot = tuple[date, str]


@dataclass(frozen=True, slots=True)
class Dose:
    """A dose of the family that counts: poured, or reserved and not yet reported otherwise."""

    at: datetime
    amount: Decimal
    # Where the deciding dispenser itself served a slot of its plan.
    slot: Slot | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """An order of the operators that holds dispensers back; `rule` is the reason it gives."""

    rule: str
    reason: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds every dispenser of a family back, whatever its cup does."""

    plan: Plan
    # The most of the family's supplement in one day, in the plan's unit.
    ceiling: Decimal
    # The family's doses, newest first; at least the last 48 hours and the local day.
    doses: Sequence[Dose]
    stops: Sequence[Stop] = ()
    # A dose failed for the last time that the day allows, and nobody has looked at it yet.
    fault: bool = False

    @property
    def served(self) -> set[Slot]:
        return {dose.slot for dose in self.doses if dose.slot}

    def with_dose(self, dose: Dose) -> "Limits":
        return replace(self, doses=(dose, *self.doses))

    def without_dose(self, at: datetime) -> "Limits":
        """As if one dose of that moment were not there."""
        own = next((dose for dose in self.doses if dose.at == at), None)
        return replace(self, doses=[dose for dose in self.doses if dose is not own])

    def doses_on_day_of(self, now: datetime) -> list[Dose]:
        return [dose for dose in self.doses if self.plan.local_date(dose.at) == self.plan.local_date(now)]


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a decision may look at."""

    limits: Limits
    now: datetime
    is_active: bool
    cup_placed: bool
    timing: Timing
    # Whether the cup was removed after the event that got the last dose.
    cup_emptied: bool
    in_progress: bool
    updating: bool
    supplement_level: int
    battery_level: int


# What a rule looked at, by the names that its explanation uses; JSON values.
Figures = Mapping[str, Any]
Check = bool | tuple[bool, Figures]


@dataclass(frozen=True, slots=True)
class Step:
    """One rule's verdict."""

    rule: str
    passed: bool
    figures: Figures = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    should_dispense: bool
    reason: str
    trace: tuple[Step, ...]
    # The slot that the dose serves, where the plan has slots.
    slot: Window | None


def decide(facts: Facts) -> Verdict:
    steps = tuple(Step(rule, *_judged(check(facts))) for rule, check in RULES)
    failed = next((step for step in steps if not step.passed), None)
    slot = None if failed else next(iter(_unserved(facts.limits, facts.now)), None)
    return Verdict(failed is None, failed.rule if failed else "due", steps, slot)


def _judged(verdict: Check) -> tuple[bool, Figures]:
    return verdict if isinstance(verdict, tuple) else (verdict, {})


def _unserved(limits: Limits, now: datetime) -> list[Window]:
    return [each for each in limits.plan.windows_at(now) if (each.date, each.slot_id) not in limits.served]


# --- the rules of one device ------------------------------------------------------------------


def _level(level: int, at_least: int) -> Check:
    return level >= at_least, {"level": level, "least": at_least}


# --- the rules that hold whatever the cup does --------------------------------------------------


def _no_stop(limits: Limits, now: datetime, rule: str) -> Check:
    stop = next(
        (each for each in limits.stops if each.rule == rule and (not each.until or each.until > now)), None
    )
    return stop is None, {"order": stop.reason} if stop else {}


def _not_paused(limits: Limits, now: datetime) -> Check:
    until = limits.plan.paused_until
    return until is None or until <= now, {"until": _local(limits.plan, until)} if until else {}


def _in_window(limits: Limits, now: datetime) -> Check:
    return not limits.plan.slots or limits.plan.window_at(now) is not None, {"slots": len(limits.plan.slots)}


def _slot_free(limits: Limits, now: datetime) -> Check:
    """Outside every window there is no slot that could have been served."""
    windows = limits.plan.windows_at(now)
    free = not windows or bool(_unserved(limits, now))
    return free, {"slot": _local(limits.plan, windows[0].due_at)} if windows else {}


def _interval_over(limits: Limits, now: datetime) -> Check:
    if not limits.doses:
        return True
    since, interval = now - limits.doses[0].at, limits.plan.min_interval
    return since >= interval, {"minutes": _minutes(since), "interval": _minutes(interval)}


def _within_day(limits: Limits, now: datetime) -> Check:
    today, plan = limits.doses_on_day_of(now), limits.plan
    poured = sum((dose.amount for dose in today), Decimal(0))
    figures = {
        "doses": len(today),
        "most": plan.max_per_day,
        "amount": plans.number(poured),
        "ceiling": plans.number(limits.ceiling),
        "unit": plan.unit,
    }
    return len(today) < plan.max_per_day and poured + plan.amount <= limits.ceiling, figures


def _within_rolling(limits: Limits, now: datetime) -> Check:
    plan = limits.plan
    recent = [dose for dose in limits.doses if dose.at > now - plan.rolling]
    figures = {"doses": len(recent), "most": plan.max_per_day, "hours": _minutes(plan.rolling) // 60}
    return len(recent) < plan.max_per_day, figures


def _minutes(span: timedelta) -> int:
    return int(span.total_seconds() // 60)


def _local(plan: Plan, moment: datetime) -> str:
    return moment.astimezone(plan.zone_at(moment)).strftime("%Y-%m-%d %H:%M")


Limit = Callable[[Limits, datetime], Check]
LIMITS: dict[str, Limit] = {
    "safety_stop": lambda limits, now: _no_stop(limits, now, "safety_stop"),
    "firmware_blocked": lambda limits, now: _no_stop(limits, now, "firmware_blocked"),
    "lot_recalled": lambda limits, now: _no_stop(limits, now, "lot_recalled"),
    "plan_paused": _not_paused,
    "outside_window": _in_window,
    "already_dispensed": _slot_free,
    "min_interval": _interval_over,
    "daily_limit": _within_day,
    "rolling_limit": _within_rolling,
    "dispense_fault": lambda limits, _now: not limits.fault,
}


def _limit(rule: str) -> tuple[str, Callable[[Facts], Check]]:
    return rule, lambda facts: LIMITS[rule](facts.limits, facts.now)


RULES: tuple[tuple[str, Callable[[Facts], Check]], ...] = (
    ("device_inactive", lambda facts: facts.is_active),
    _limit("safety_stop"),
    _limit("firmware_blocked"),
    _limit("lot_recalled"),
    _limit("plan_paused"),
    ("clock_untrusted", lambda facts: facts.timing is not Timing.UNTRUSTED),
    ("event_too_old", lambda facts: facts.timing is not Timing.LATE),
    ("cup_not_placed", lambda facts: facts.cup_placed),
    ("cup_not_emptied", lambda facts: facts.cup_emptied),
    ("dispense_in_progress", lambda facts: not facts.in_progress),
    ("update_in_progress", lambda facts: not facts.updating),
    ("supplement_empty", lambda facts: _level(facts.supplement_level, 1)),
    ("battery_too_low", lambda facts: _level(facts.battery_level, MIN_BATTERY_PERCENT)),
    _limit("outside_window"),
    _limit("already_dispensed"),
    _limit("min_interval"),
    _limit("daily_limit"),
    _limit("rolling_limit"),
    _limit("dispense_fault"),
)


def exceeded_limits(limits: Limits, amount: Decimal, *, at: datetime) -> list[str]:
    """The limits that a dose of this size at this time goes beyond, which nobody asked for. What was
    poured later has been heard of already, and counts as much."""
    plan, today = limits.plan, limits.doses_on_day_of(at)
    poured = sum((dose.amount for dose in today), amount)
    broken = {
        "min_interval": any(abs(dose.at - at) < plan.min_interval for dose in limits.doses),
        "daily_limit": len(today) >= plan.max_per_day or poured > limits.ceiling,
        "rolling_limit": sum(at - plan.rolling < dose.at <= at for dose in limits.doses) >= plan.max_per_day,
    }
    return [rule for rule, goes_beyond in broken.items() if goes_beyond]


def next_dose_at(limits: Limits, *, now: datetime) -> datetime | None:
    """The earliest moment at which the limits allow a dose; None where nobody can say.

    The limits only ever loosen at the end of an interval, of a rolling window, of a pause, of a stop
    or of a local day, or where a window opens, so that only those moments need a look.
    """
    for moment in sorted({edge for edge in _edges(limits, now) if edge >= now}):
        if allows(limits, at=moment):
            return moment
    return None


def allows(limits: Limits, *, at: datetime) -> bool:
    """Whether nothing but the dispenser itself could refuse a dose at that moment."""
    return all(_judged(check(limits, at))[0] for check in LIMITS.values())


# A day that a zone leaves out, or two: limits of a day loosen within this many.
DAYS_AHEAD = 4


def _edges(limits: Limits, now: datetime) -> Iterable[datetime]:
    plan = limits.plan
    held_until = [plan.paused_until, *(stop.until for stop in limits.stops)]
    # After a long pause or stop the days and windows that matter are those around its end.
    for start in (now, *(end for end in held_until if end)):
        yield start
        today = plan.local_date(start)
        yield from (plan.day_begins_at(today + timedelta(days=days)) for days in range(1, DAYS_AHEAD))
        yield from (window.opens_at for window in plan.windows_after(start))
    yield from (dose.at + span for dose in limits.doses for span in (plan.min_interval, plan.rolling))
