from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import plans
from telemetry.dispensing import RULES, Dose, Facts, decide, next_dose_at
from telemetry.events import Timing

NOW = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)
PLAN = plans.plan_of(plans.default_plan("fish_oil"), version=1, timezone="Europe/Istanbul")
GOOD = Facts(
    is_active=True,
    cup_placed=True,
    timing=Timing.LIVE,
    cup_emptied=True,
    in_progress=False,
    supplement_level=50,
    battery_level=50,
    ceiling=Decimal(20),
    doses=(),
    plan=PLAN,
    now=NOW,
)


def ago(**span: float) -> Dose:
    return Dose(NOW - timedelta(**span), PLAN.amount)


BREAKS: dict[str, dict[str, Any]] = {
    "device_inactive": {"is_active": False},
    "plan_paused": {"plan": replace(PLAN, paused_until=NOW + timedelta(seconds=1))},
    "clock_untrusted": {"timing": Timing.UNTRUSTED},
    "event_too_old": {"timing": Timing.LATE},
    "cup_not_placed": {"cup_placed": False},
    "cup_not_emptied": {"cup_emptied": False},
    "dispense_in_progress": {"in_progress": True},
    "supplement_empty": {"supplement_level": 0},
    "battery_too_low": {"battery_level": 4},
    "min_interval": {"doses": (ago(hours=3.99),)},
    "daily_limit": {"ceiling": Decimal(9), "doses": (ago(hours=5),)},
    "rolling_limit": {"doses": (ago(hours=13), ago(hours=17))},
}


def test_with_nothing_against_it_the_dose_is_due() -> None:
    verdict = decide(GOOD)
    assert (verdict.should_dispense, verdict.reason, verdict.reason_class) == (True, "due", None)
    assert [step.passed for step in verdict.trace] == [True] * len(RULES)


def test_every_rule_has_its_case() -> None:
    assert list(BREAKS) == [rule for rule, _ in RULES]


@pytest.mark.parametrize("reason", BREAKS)
def test_each_rule_alone_says_no(reason: str) -> None:
    verdict = decide(replace(GOOD, **BREAKS[reason]))
    assert (verdict.should_dispense, verdict.reason) == (False, reason)
    assert [step.rule for step in verdict.trace if not step.passed] == [reason]


@given(st.sets(st.sampled_from(list(BREAKS)), min_size=1))
def test_the_first_rule_that_fails_is_the_reason(broken: set[str]) -> None:
    facts = GOOD
    for reason in BREAKS:
        if reason in broken:
            facts = replace(facts, **BREAKS[reason])
    verdict = decide(facts)
    failed = [step.rule for step in verdict.trace if not step.passed]
    assert verdict.reason == failed[0]
    assert not verdict.should_dispense


def test_the_ceiling_holds_whatever_the_plan_says() -> None:
    generous = replace(PLAN, max_per_day=10, min_interval=timedelta(0), amount=Decimal(8))
    doses = tuple(Dose(NOW - timedelta(hours=hours), Decimal(8)) for hours in (1, 2))
    assert decide(replace(GOOD, plan=generous, doses=doses)).reason == "daily_limit"


def test_a_day_is_the_plans_local_day() -> None:
    midnight = datetime(2026, 3, 9, 21, 0, tzinfo=UTC)  # 00:00 of the 10th in Istanbul
    before = (Dose(midnight - timedelta(minutes=1), PLAN.amount), Dose(midnight - timedelta(hours=5), PLAN.amount))
    assert decide(replace(GOOD, doses=before, plan=replace(PLAN, rolling=timedelta(hours=1)))).should_dispense


@given(st.lists(st.integers(0, 47 * 60), max_size=6), st.integers(1, 3), st.integers(1, 24))
def test_the_next_dose_is_the_first_moment_that_the_rules_allow(
    minutes: list[int], max_per_day: int, rolling_h: int
) -> None:
    plan = replace(PLAN, max_per_day=max_per_day, rolling=timedelta(hours=rolling_h))
    doses = tuple(sorted((ago(minutes=m) for m in minutes), key=lambda dose: dose.at, reverse=True))
    moment = next_dose_at(plan, doses, Decimal(20), now=NOW)

    assert moment is not None
    assert decide(replace(GOOD, plan=plan, doses=doses, now=moment)).should_dispense
    one_minute_less = moment - timedelta(minutes=1)
    if one_minute_less >= NOW:
        assert not decide(replace(GOOD, plan=plan, doses=doses, now=one_minute_less)).should_dispense


def test_a_plan_whose_dose_is_above_the_ceiling_never_pours() -> None:
    assert next_dose_at(replace(PLAN, amount=Decimal(21)), (), Decimal(20), now=NOW) is None
