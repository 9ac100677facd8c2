"""The fleet's sums and its report: equal to the rows, bounded in what they read, for staff only."""

import json
from datetime import date, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import User
from analytics import fleet, fleet_figures, sql
from analytics.models import AdherenceDay, CohortMonth, FleetDay
from devices.models import Device
from tests.analytics.conftest import NOON, dosed
from tests.clients import Phone, Unit
from tests.make import Statements

pytestmark = pytest.mark.usefixtures("leap_day")
TODAY = date(2028, 2, 29)


def test_days_of_the_fleet(alice: Phone, bob: Phone, month: Unit) -> None:
    other = bob.dispenser(device_type="vitamin_d")
    Device.objects.update(created_at=NOON - timedelta(days=40))
    Device.objects.filter(pk=other.id).update(firmware_version="2.0.0")
    dosed(other, NOON - timedelta(days=5), outcome="failed", amount=0)
    assert fleet.sum_up(today=TODAY) > 8
    day = FleetDay.objects.filter(day=TODAY - timedelta(days=4)).order_by("device_type")
    names = ("device_type", "firmware_version", "devices", "active", "dispensed", "failed")
    assert list(day.values_list(*names)) == [("fish_oil", "", 1, 1, 1, 0), ("vitamin_d", "2.0.0", 1, 0, 0, 0)]
    failed = FleetDay.objects.get(day=TODAY - timedelta(days=5), device_type="vitamin_d")
    assert (failed.active, failed.dispensed, failed.failed) == (1, 0, 1)
    assert FleetDay.objects.order_by("-day")[0].day == TODAY - fleet.OVER_AFTER


def test_a_late_dose_finds_its_day_and_no_day_is_summed_twice(month: Unit) -> None:
    fleet.sum_up(today=TODAY)
    before = FleetDay.objects.count()
    missed = TODAY - timedelta(days=5)
    assert AdherenceDay.objects.get(day=missed).taken == 0
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE dose_rollups SET local_date = %s WHERE local_date = %s", (missed, TODAY - timedelta(4))
        )
    fleet.sum_up(today=TODAY)
    assert FleetDay.objects.count() == before
    assert AdherenceDay.objects.get(day=missed).taken == 1
    old = FleetDay.objects.order_by("day")[0]
    FleetDay.objects.filter(pk=old.pk).update(active=7)
    fleet.sum_up(today=TODAY)
    assert FleetDay.objects.get(pk=old.pk).active == 7


def test_retention_counts_who_left(alice: Phone, bob: Phone, month: Unit) -> None:
    User.objects.update(created_at=NOON - timedelta(days=60))
    fleet.sum_month(date(2028, 2, 1))
    [row] = CohortMonth.objects.all()
    assert (row.cohort, row.people, row.active) == (date(2027, 12, 1), 2, 1)
    User.objects.filter(pk=bob.user.pk).delete()
    fleet.sum_month(date(2028, 2, 1))
    assert CohortMonth.objects.get().people == 2


def test_the_figures(alice: Phone, month: Unit, statements: Statements) -> None:
    month.status(battery_level=15, supplement_level=100, firmware_version="1.2.3")
    fleet.sum_up(today=TODAY)
    with statements(2):
        found = fleet_figures.figures(today=TODAY)
    assert found["types"] == [
        {"device_type": "fish_oil", "devices": 1, "connected": 1, "low_battery": 1, "low_supplement": 0}
    ]
    assert (found["battery"], found["supplement"]) == ([0, 1, *[0] * 8], [*[0] * 9, 1])
    assert found["firmware"] == [{"version": "1.2.3", "devices": 1}]
    assert len(found["days"]) == 28
    assert (found["days"][-1]["dispensed"], found["days"][-1]["failure_rate"]) == (1, 0.0)
    [cohort] = found["adherence"]
    assert (cohort["expected"], cohort["taken"], cohort["percent"]) == (28, 18, 64.3)
    # Registered when the test began, which is the last month of all.
    assert [each["percent"] for each in found["retention"]] == [100.0]


def test_without_a_fleet_there_are_nulls(db: None) -> None:
    fleet.sum_up(today=TODAY)
    found = fleet_figures.figures(today=TODAY)
    assert (found["types"], found["days"], found["adherence"], found["retention"]) == ([], [], [], [])
    assert "Fleet report" in ran()


def test_rates_without_doses_are_null(alice: Phone) -> None:
    alice.dispenser()
    Device.objects.update(created_at=NOON - timedelta(days=9))
    fleet.sum_up(today=TODAY)
    days = fleet_figures.figures(today=TODAY)["days"]
    assert {each["failure_rate"] for each in days} == {None}
    assert "–" in ran()


def ran(*arguments: str) -> str:
    out = StringIO()
    call_command("fleet_report", *arguments, stdout=out)
    return out.getvalue()


def test_the_command(month: Unit, tmp_path: Path) -> None:
    Device.objects.update(firmware_version="<script>[red]")
    found = json.loads(ran("--refresh", "--json"))
    assert found["firmware"] == [{"version": "<script>[red]", "devices": 1}]
    table = ran()
    assert "Dispensers by type" in table
    assert "<script>[red]" in table
    assert ran("--html", str(tmp_path / "fleet.html")) == ""
    page = (tmp_path / "fleet.html").read_text()
    assert "<script" not in page
    assert page.count("<svg") == 5
    with pytest.raises(CommandError, match="No such file"):
        ran("--html", str(tmp_path / "no" / "fleet.html"))


def test_many_versions_are_cut(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = [{"version": str(number), "devices": 1} for number in range(30)]
    assert fleet_figures.top(versions)[-1] == {"version": None, "devices": 10}


def test_analytics_are_read_from_the_replica(alice: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every statement of section 9 and of the fleet goes to the alias of ANALYTICS_DATABASE_URL."""
    asked = []

    class Aliases(dict[str, Any]):
        def __getitem__(self, alias: str) -> Any:
            asked.append(alias)
            return connection

    monkeypatch.setattr(sql, "connections", Aliases())
    unit = alice.dispenser()
    paths = ("usage", "engagement", "health-insights", "summary", "report", f"devices/{unit.id}/performance")
    for alias in ("default", "analytics"):
        monkeypatch.setitem(settings.DATABASES, alias, settings.DATABASES["default"])
        asked.clear()
        for path in paths:
            assert alice.get(f"/analytics/{path}").status_code == 200
        fleet_figures.figures(today=TODAY)
        assert asked == [alias] * (len(paths) + 2)
