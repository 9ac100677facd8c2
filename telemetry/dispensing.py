"""Whether a dispenser pours: the rules in their order, each with its reason. Pure (iot.md 5).

A missed supplement is harmless, a double dose is not: every rule that cannot be sure says no. The
first rule that fails is the reason; the whole trace is kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal

from devices.plans import Plan
from telemetry.events import Timing

# A dispenser may start to pour this long after a yes.
VALID_FOR = timedelta(seconds=60)
MIN_BATTERY_PERCENT = 5

REASON_CLASSES = {
    "cup_not_placed": "cup",
    "cup_not_emptied": "cup",
    "supplement_empty": "refill",
    "battery_too_low": "power",
    "device_inactive": "service",
    "clock_untrusted": "service",
    "due": None,
}


def reason_class(reason: str) -> str | None:
    """What a dispenser shows for a reason; all that is not listed means: wait."""
    return REASON_CLASSES.get(reason, "wait")


@dataclass(frozen=True, slots=True)
class Dose:
    """A dose of the family that counts: poured, or reserved and not yet reported otherwise."""

    at: datetime
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a decision may look at."""

    is_active: bool
    cup_placed: bool
    timing: Timing
    # Whether the cup was removed after the event that got the last dose.
    cup_emptied: bool
    in_progress: bool
    supplement_level: int
    battery_level: int
    # The most of the family's supplement in one day, in the plan's unit.
    ceiling: Decimal
    # The family's doses, newest first; at least the last 48 hours and the local day.
    doses: Sequence[Dose]
    plan: Plan
    now: datetime

    @property
    def today(self) -> list[Dose]:
        return [dose for dose in self.doses if self.plan.local_date(dose.at) == self.plan.local_date(self.now)]


@dataclass(frozen=True, slots=True)
class Step:
    """One rule's verdict. `detail` holds the figures that it looked at."""

    rule: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    should_dispense: bool
    reason: str
    trace: tuple[Step, ...]

    @property
    def reason_class(self) -> str | None:
        return reason_class(self.reason)


def decide(facts: Facts) -> Verdict:
    steps = tuple(Step(rule, *_judged(check(facts))) for rule, check in RULES)
    failed = next((step for step in steps if not step.passed), None)
    return Verdict(failed is None, failed.rule if failed else "due", steps)


def _judged(verdict: bool | tuple[bool, str]) -> tuple[bool, str]:
    return verdict if isinstance(verdict, tuple) else (verdict, "")


def _not_paused(facts: Facts) -> tuple[bool, str]:
    until = facts.plan.paused_until
    return until is None or until <= facts.now, f"until {until:%FT%TZ}" if until else ""


def _interval_over(facts: Facts) -> tuple[bool, str]:
    if not facts.doses:
        return True, "no dose yet"
    since = facts.now - facts.doses[0].at
    return since >= facts.plan.min_interval, f"{_minutes(since)} of {_minutes(facts.plan.min_interval)} min"


def _within_day(facts: Facts) -> tuple[bool, str]:
    poured = sum(dose.amount for dose in facts.today)
    few = len(facts.today) < facts.plan.max_per_day
    little = poured + facts.plan.amount <= facts.ceiling
    return few and little, f"{len(facts.today)} of {facts.plan.max_per_day} doses, {poured} of {facts.ceiling}"


def _within_rolling(facts: Facts) -> tuple[bool, str]:
    recent = [dose for dose in facts.doses if dose.at > facts.now - facts.plan.rolling]
    return len(recent) < facts.plan.max_per_day, f"{len(recent)} of {facts.plan.max_per_day} doses"


def _minutes(span: timedelta) -> int:
    return int(span.total_seconds() // 60)


RULES: tuple[tuple[str, Callable[[Facts], bool | tuple[bool, str]]], ...] = (
    ("device_inactive", lambda facts: facts.is_active),
    ("plan_paused", _not_paused),
    ("clock_untrusted", lambda facts: facts.timing is not Timing.UNTRUSTED),
    ("event_too_old", lambda facts: facts.timing is not Timing.LATE),
    ("cup_not_placed", lambda facts: facts.cup_placed),
    ("cup_not_emptied", lambda facts: facts.cup_emptied),
    ("dispense_in_progress", lambda facts: not facts.in_progress),
    ("supplement_empty", lambda facts: (facts.supplement_level > 0, f"{facts.supplement_level} %")),
    ("battery_too_low", lambda facts: (facts.battery_level >= MIN_BATTERY_PERCENT, f"{facts.battery_level} %")),
    ("min_interval", _interval_over),
    ("daily_limit", _within_day),
    ("rolling_limit", _within_rolling),
)


def next_dose_at(plan: Plan, doses: Sequence[Dose], ceiling: Decimal, *, now: datetime) -> datetime | None:
    """The earliest moment at which the limits allow a dose; None where the plan never does.

    The limits only ever loosen at the end of an interval, of a rolling window, of a pause or of a
    local day, so that only those moments need a look.
    """
    edges = [now, *(dose.at + plan.min_interval for dose in doses), *(dose.at + plan.rolling for dose in doses)]
    edges += [plan.paused_until] if plan.paused_until else []
    edges += [_midnight(plan, now, days) for days in (1, 2, 3)]
    for moment in sorted(edge for edge in edges if edge >= now):
        facts = _limits_only(plan, doses, ceiling, moment)
        if all(_judged(check(facts))[0] for check in LIMITS):
            return moment
    return None


LIMITS = (_not_paused, _interval_over, _within_day, _within_rolling)


def _midnight(plan: Plan, now: datetime, days: int) -> datetime:
    day = plan.local_date(now) + timedelta(days=days)
    return datetime.combine(day, time(), plan.zone).astimezone(now.tzinfo)


def _limits_only(plan: Plan, doses: Sequence[Dose], ceiling: Decimal, now: datetime) -> Facts:
    return Facts(
        is_active=True,
        cup_placed=True,
        timing=Timing.LIVE,
        cup_emptied=True,
        in_progress=False,
        supplement_level=100,
        battery_level=100,
        ceiling=ceiling,
        doses=doses,
        plan=plan,
        now=now,
    )
