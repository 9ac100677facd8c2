from dataclasses import asdict, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import translation
from hypothesis import example, given
from hypothesis import strategies as st

from devices import plans
from devices.plans import DAYS, Slot
from telemetry.dispensing import RULES, Dose, Facts, Limits, Stop, decide, exceeded_limits, next_dose_at
from telemetry.events import Timing
from telemetry.family import REACH
from telemetry.reasons import REASONS, detail, explained

NOW = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)
PLAN = plans.plan_of(plans.default_plan("fish_oil"), version=1, timezone="Europe/Istanbul")
ALLOWED = Limits(plan=PLAN, ceiling=Decimal(20), doses=())
GOOD = Facts(
    limits=ALLOWED,
    now=NOW,
    is_active=True,
    cup_placed=True,
    timing=Timing.LIVE,
    cup_emptied=True,
    in_progress=False,
    updating=False,
    supplement_level=50,
    battery_level=50,
)
# 12:00 local is NOW.
NOON = Slot("noon", time(12), frozenset(DAYS), before_min=30, after_min=60)
EVENING = replace(NOON, id="evening", local_time=time(20))
TODAY = date(2026, 3, 10)


def ago(slot: tuple[date, str] | None = None, **span: float) -> Dose:
    return Dose(NOW - timedelta(**span), PLAN.amount, slot)


def limits(**changed: Any) -> dict[str, Any]:
    return {"limits": replace(ALLOWED, **changed)}


# What breaks each rule, on the facts of the device or on the limits.
BREAKS: dict[str, dict[str, Any]] = {
    "device_inactive": {"is_active": False},
    "safety_stop": limits(stops=(Stop("safety_stop", "Restored"),)),
    "firmware_blocked": limits(stops=(Stop("firmware_blocked", "Pours too much"),)),
    "lot_recalled": limits(stops=(Stop("lot_recalled", "Cracked spout", NOW + timedelta(days=1)),)),
    "plan_paused": limits(plan=replace(PLAN, paused_until=NOW + timedelta(seconds=1))),
    "clock_untrusted": {"timing": Timing.UNTRUSTED},
    "event_too_old": {"timing": Timing.LATE},
    "cup_not_placed": {"cup_placed": False},
    "cup_not_emptied": {"cup_emptied": False},
    "dispense_in_progress": {"in_progress": True},
    "update_in_progress": {"updating": True},
    "supplement_empty": {"supplement_level": 0},
    "battery_too_low": {"battery_level": 4},
    "outside_window": limits(plan=replace(PLAN, slots=(EVENING,))),
    "already_dispensed": limits(
        plan=replace(PLAN, slots=(NOON,), min_interval=timedelta(minutes=10)),
        doses=(ago((TODAY, "noon"), minutes=20),),
    ),
    "min_interval": limits(doses=(ago(hours=3.99),)),
    "daily_limit": limits(ceiling=Decimal(9), doses=(ago(hours=5),)),
    "rolling_limit": limits(doses=(ago(hours=13), ago(hours=17))),
    "dispense_fault": limits(fault=True),
}


def test_with_nothing_against_it_the_dose_is_due() -> None:
    verdict = decide(GOOD)
    assert (verdict.should_dispense, verdict.reason, verdict.slot) == (True, "due", None)
    assert [step.passed for step in verdict.trace] == [True] * len(RULES)


def test_every_rule_has_its_case_and_its_words() -> None:
    assert list(BREAKS) == [rule for rule, _ in RULES]
    assert set(REASONS) == {"due", "already_answered", *BREAKS}


@pytest.mark.parametrize("reason", BREAKS)
def test_each_rule_alone_says_no(reason: str) -> None:
    verdict = decide(replace(GOOD, **BREAKS[reason]))
    assert (verdict.should_dispense, verdict.reason, verdict.slot) == (False, reason, None)
    assert [step.rule for step in verdict.trace if not step.passed] == [reason]


@pytest.mark.parametrize("reason", BREAKS)
def test_each_no_can_be_explained_with_what_its_rule_saw(reason: str) -> None:
    verdict = decide(replace(GOOD, **BREAKS[reason]))
    trace = [asdict(step) for step in verdict.trace]
    with translation.override("en"):
        assert explained(reason, trace).startswith(str(REASONS[reason].text))
        assert all("%" not in detail(step).replace(" %", "") for step in trace)


OF_THE_DEVICE = [reason for reason, broken in BREAKS.items() if "limits" not in broken]


@given(st.sets(st.sampled_from(OF_THE_DEVICE), min_size=1), st.sampled_from(list(BREAKS)))
def test_the_first_rule_that_fails_is_the_reason(broken: set[str], limit: str) -> None:
    together = [reason for reason in BREAKS if reason in broken | {limit}]
    facts = GOOD
    for reason in reversed(together):  # two of them set the same fact, the timing
        facts = replace(facts, **BREAKS[reason])
    verdict = decide(facts)
    assert verdict.reason == together[0]
    assert not verdict.should_dispense


def test_a_stop_that_is_over_stops_nothing() -> None:
    assert decide(replace(GOOD, **limits(stops=(Stop("safety_stop", "", NOW),)))).should_dispense


def test_a_dose_serves_the_slot_whose_window_is_open() -> None:
    verdict = decide(replace(GOOD, **limits(plan=replace(PLAN, slots=(EVENING, NOON)))))
    assert verdict.slot is not None
    assert (verdict.slot.slot_id, verdict.slot.date) == ("noon", TODAY)


def test_of_two_open_windows_the_one_that_is_not_served_yet_is_served() -> None:
    soon = replace(NOON, id="soon", local_time=time(12, 20))
    plan = replace(PLAN, slots=(NOON, soon), min_interval=timedelta(minutes=10))
    verdict = decide(replace(GOOD, **limits(plan=plan, doses=(ago((TODAY, "noon"), minutes=15),))))
    assert verdict.slot is not None
    assert verdict.slot.slot_id == "soon"


def test_yesterdays_dose_does_not_serve_todays_slot() -> None:
    served = (ago((TODAY - timedelta(days=1), "noon"), hours=24),)
    assert decide(replace(GOOD, **limits(plan=replace(PLAN, slots=(NOON,)), doses=served))).should_dispense


def test_the_ceiling_holds_whatever_the_plan_says() -> None:
    generous = replace(PLAN, max_per_day=10, min_interval=timedelta(0), amount=Decimal(8))
    doses = tuple(Dose(NOW - timedelta(hours=hours), Decimal(8)) for hours in (1, 2))
    assert decide(replace(GOOD, **limits(plan=generous, doses=doses))).reason == "daily_limit"


def test_a_day_is_the_plans_local_day() -> None:
    midnight = datetime(2026, 3, 9, 21, 0, tzinfo=UTC)  # 00:00 of the 10th in Istanbul
    before = (Dose(midnight - timedelta(minutes=1), PLAN.amount), Dose(midnight - timedelta(hours=5), PLAN.amount))
    plan = replace(PLAN, rolling=timedelta(hours=1))
    assert decide(replace(GOOD, **limits(doses=before, plan=plan))).should_dispense


SLOTS = st.sampled_from([(), (NOON,), (NOON, EVENING), (replace(EVENING, days=frozenset({"sun"})),)])


@given(
    st.lists(st.integers(0, 47 * 60), max_size=6),
    st.integers(1, 3),
    st.integers(1, 24),
    SLOTS,
    st.sampled_from([None, 30, 60 * 60, 60 * 24 * 60]),
)
def test_the_next_dose_is_the_first_moment_that_the_rules_allow(
    minutes: list[int], max_per_day: int, rolling_h: int, slots: tuple[Slot, ...], paused_min: int | None
) -> None:
    paused = NOW + timedelta(minutes=paused_min) if paused_min else None
    plan = replace(
        PLAN, max_per_day=max_per_day, rolling=timedelta(hours=rolling_h), slots=slots, paused_until=paused
    )
    doses = tuple(sorted((ago(minutes=m) for m in minutes), key=lambda dose: dose.at, reverse=True))
    found = replace(ALLOWED, plan=plan, doses=doses)
    moment = next_dose_at(found, now=NOW)

    assert moment is not None
    assert decide(replace(GOOD, limits=found, now=moment)).should_dispense
    for earlier in (1, 60, 6 * 60):
        before = moment - timedelta(minutes=earlier)
        if before >= NOW:
            assert not decide(replace(GOOD, limits=found, now=before)).should_dispense


def test_nobody_can_say_when_the_next_dose_comes() -> None:
    too_much = replace(ALLOWED, plan=replace(PLAN, amount=Decimal(21)))
    stopped = replace(ALLOWED, stops=(Stop("safety_stop", "Restored"),))
    faulty = replace(ALLOWED, fault=True)
    assert [next_dose_at(each, now=NOW) for each in (too_much, stopped, faulty)] == [None, None, None]


@pytest.mark.parametrize(
    ("doses", "amount", "broken"),
    [
        ((), 5, []),
        ((Dose(NOW + timedelta(hours=3), Decimal(5)),), 5, ["min_interval"]),
        ((Dose(NOW + timedelta(hours=5), Decimal(5)), ago(hours=5)), 5, ["daily_limit"]),
        ((ago(hours=13), ago(hours=17)), 5, ["rolling_limit"]),
        ((), 21, ["daily_limit"]),
        # Months later: heard of before, and of no weight.
        ((Dose(NOW + timedelta(days=60), Decimal(5)),), 5, []),
    ],
)
def test_what_a_dose_that_nobody_asked_for_goes_beyond(
    doses: tuple[Dose, ...], amount: int, broken: list[str]
) -> None:
    assert exceeded_limits(replace(ALLOWED, doses=doses), Decimal(amount), at=NOW) == broken


# A change from the first to the last zone of the world makes the longest day there is.
EAST, WEST = "Pacific/Kiritimati", "Etc/GMT+12"
MINUTES_AROUND = st.integers(-6 * 24 * 60, 6 * 24 * 60)


@given(
    zones=st.sampled_from([(EAST, WEST), (WEST, EAST), ("Europe/Berlin", "America/Los_Angeles")]),
    hour=st.integers(0, 23),
    moved_min=MINUTES_AROUND,
    dose_minutes=st.lists(MINUTES_AROUND, max_size=8),
    interval_h=st.integers(1, 48),
    rolling_h=st.integers(1, 48),
    most=st.integers(1, 3),
)
@example(zones=(EAST, WEST), hour=11, moved_min=-1800, dose_minutes=[49 * 60], interval_h=1, rolling_h=1, most=1)
def test_no_rule_looks_further_than_what_is_read(
    zones: tuple[str, str],
    hour: int,
    moved_min: int,
    dose_minutes: list[int],
    interval_h: int,
    rolling_h: int,
    most: int,
) -> None:
    at, (former, new) = NOW.replace(hour=hour), zones
    plan = replace(PLAN, timezone=former, max_per_day=most)
    plan = replace(plan, min_interval=timedelta(hours=interval_h), rolling=timedelta(hours=rolling_h))
    change = plans.zone_change(plan, new, now=at + timedelta(minutes=moved_min))
    plan = replace(plan, timezone=new, zone_change=change)
    doses = [Dose(at - timedelta(minutes=each), PLAN.amount) for each in sorted(dose_minutes)]
    read = [dose for dose in doses if abs(dose.at - at) < REACH]

    def judged(known: list[Dose]) -> tuple[Any, ...]:
        past = replace(ALLOWED, plan=plan, doses=[dose for dose in known if dose.at <= at])
        late = replace(ALLOWED, plan=plan, doses=known)
        steps = [(step.rule, step.passed) for step in decide(replace(GOOD, limits=past, now=at)).trace]
        return steps, next_dose_at(past, now=at), exceeded_limits(late, PLAN.amount, at=at)

    assert judged(read) == judged(doses)
