"""The page of a dispenser draws its levels, whichever protocol it speaks, and says them in a table."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine

from analytics.models import DeviceRollup
from backoffice.sections import Chart
from devices.models import Device
from tests.admin.desk import Staff, body, signed_in
from tests.clients import Phone, Unit
from tests.telemetry.test_journals import NOON, envelope, event

BY_DAY, JOURNAL = "Levels at the end of the day, per cent", "Levels as its journal has them, per cent"


@pytest.fixture
def kitchen(alice: Phone) -> Unit:
    return alice.dispenser(now=NOON - timedelta(days=200))


@pytest.fixture
def staff(db: None) -> Iterator[Staff]:
    with time_machine.travel(NOON, tick=False):
        yield signed_in("support_l1")


def reported(unit: Unit, *, days_ago: float, **levels: int) -> None:
    with time_machine.travel(NOON - timedelta(days=days_ago), tick=False):
        assert unit.status(**levels).status_code == 200


def charts(staff: Staff, unit: Unit) -> dict[str, Chart]:
    answer = staff.get(f"/admin/dispensers/{unit.id}/")
    drawn = {each.title: each for each in answer.context["sheet"].sections if isinstance(each, Chart)}
    shown = body(answer)
    assert all(title in shown for title in drawn)
    return drawn


def test_a_dispenser_of_the_simple_protocol_has_its_levels_drawn_and_said(staff: Staff, kitchen: Unit) -> None:
    reported(kitchen, days_ago=5, battery_level=80, supplement_level=60)
    reported(kitchen, days_ago=3.2, battery_level=78)
    reported(kitchen, days_ago=3, battery_level=77, supplement_level=55)
    reported(kitchen, days_ago=1, supplement_level=100)
    found = charts(staff, kitchen)
    assert JOURNAL not in found, "no journal was sent"
    chart = found[BY_DAY]
    assert chart.table.rows == [
        ["2026-03-05", "80", "60"],
        ["2026-03-06", "80", "60"],
        ["2026-03-07", "77", "55"],
        ["2026-03-08", "77", "55"],
        ["2026-03-09", "77", "100"],
        ["2026-03-10", "77", "100"],
    ]
    assert [series.values for series in chart.series] == [[80, 80, 77, 77, 77, 77], [60, 60, 55, 55, 100, 100]]


def test_a_journal_draws_the_same_and_its_samples(staff: Staff, kitchen: Unit) -> None:
    for number, level in enumerate((90, 70, 65), start=1):
        with time_machine.travel(NOON - timedelta(days=3 - number), tick=False):
            minutes = 24 * 60 * (3 - number)
            sent = event(number, "sample", ago_min=minutes, battery_level=level, supplement_level=level - 10)
            assert kitchen.post("/iot/events", envelope(sent, sent=sent["ts"])).status_code == 200
    found = charts(staff, kitchen)
    assert found[BY_DAY].table.rows == [
        ["2026-03-08", "90", "80"],
        ["2026-03-09", "70", "60"],
        ["2026-03-10", "65", "55"],
    ]
    assert [series.values for series in found[JOURNAL].series] == [[90, 70, 65], [80, 60, 55]]


def test_a_level_that_has_long_been_the_same_is_known_from_before(staff: Staff, kitchen: Unit) -> None:
    reported(kitchen, days_ago=60, battery_level=80, supplement_level=60)
    reported(kitchen, days_ago=50, battery_level=79, supplement_level=60)
    reported(kitchen, days_ago=2, battery_level=79, supplement_level=60)
    rows = charts(staff, kitchen)[BY_DAY].table.rows
    assert (len(rows), rows[0], rows[-1]) == (30, ["2026-02-09", "79", "60"], ["2026-03-10", "79", "60"])


def test_what_was_heard_before_levels_were_kept_counts_from_its_day(staff: Staff, kitchen: Unit) -> None:
    reported(kitchen, days_ago=4, battery_level=80, supplement_level=60)
    DeviceRollup.objects.update(battery_level=None, supplement_level=None)
    assert charts(staff, kitchen)[BY_DAY].table.rows[0] == ["2026-03-06", "80", "60"]


def test_days_are_those_where_the_dispenser_stands(staff: Staff, kitchen: Unit) -> None:
    Device.objects.filter(pk=kitchen.id).update(timezone="Pacific/Auckland")
    reported(kitchen, days_ago=0.2, battery_level=80, supplement_level=60)
    reported(kitchen, days_ago=0, battery_level=70, supplement_level=50)
    # 09:00 UTC is 22:00 there, and five hours before still the same day.
    assert charts(staff, kitchen)[BY_DAY].table.rows == [["2026-03-10", "70", "50"]]


def test_who_never_spoke_of_levels_has_no_chart_of_them(staff: Staff, kitchen: Unit) -> None:
    reported(kitchen, days_ago=1)
    assert BY_DAY not in charts(staff, kitchen)
