"""Section 9: what each endpoint answers, at what cost, and what it says where there is nothing to say."""

from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine

from accounts import sessions
from accounts.sessions import Client
from devices.planning import edit_plan
from notifications.models import Notification
from tests.analytics.conftest import NOON, dosed
from tests.clients import Phone, Unit
from tests.make import Statements
from zinzino import clock

PATHS = ("/analytics/usage", "/analytics/engagement", "/analytics/health-insights", "/analytics/summary")


pytestmark = pytest.mark.usefixtures("leap_day")


@pytest.mark.parametrize("path", PATHS)
def test_one_statement_an_etag_and_a_minute(alice: Phone, month: Unit, statements: Statements, path: str) -> None:
    alice.get("/profile")
    with statements(2):
        first = alice.get(path)
    assert first["Cache-Control"] == "private, max-age=60"
    again = alice.http.get(
        f"/v1{path}", HTTP_AUTHORIZATION=f"Bearer {alice.token}", HTTP_IF_NONE_MATCH=first["ETag"]
    )
    assert (again.status_code, again.content) == (304, b"")


def test_usage_of_a_week(alice: Phone, month: Unit) -> None:
    data = alice.get("/analytics/usage").data
    assert data["range"] == {"start_date": "2028-02-23", "end_date": "2028-02-29"}
    assert data["totals"] == {"doses": 5, "amount_ml": 25.0, "days_with_dose": 5}
    assert data["averages"] == {"per_day": 0.71}
    assert [day["doses"] for day in data["series"]] == [1, 0, 1, 1, 1, 1, 0]
    assert data["by_device"] == [{"device_id": str(month.id), "doses": 5}]
    assert data["previous"] == {"doses": 7, "change_percent": -28.6}


def test_usage_between_dates_of_one_device(alice: Phone, month: Unit) -> None:
    other = alice.dispenser(device_type="vitamin_d")
    other.cup(True)
    data = alice.get(f"/analytics/usage?start_date=2028-02-29&end_date=2028-02-29&device_id={other.id}").data
    assert (data["period"], data["totals"]) == (None, {"doses": 1, "amount_ml": 0.0, "days_with_dose": 1})


def test_adherence_streak_and_words(alice: Phone, month: Unit) -> None:
    data = alice.get("/analytics/health-insights", HTTP_ACCEPT_LANGUAGE="en").data
    # Of the 30 days ending today 29 are over, and 19 have a dose; today can still bring one.
    assert data["adherence"] == {
        "percent_7": 83.3,
        "percent_30": 65.5,
        "expected_doses": 29,
        "taken_doses": 19,
        "unknown_doses": 0,
    }
    assert data["streak"] == {
        "current": 4,
        "longest": 15,
        "next_milestone": 7,
        "last_dose_at": "2028-02-28T09:00:00.000Z",
    }
    assert data["best_time"] == {"window": "12:00-13:00", "share": 1.0}
    assert data["trend"] == {"direction": "up", "change_points": 52.9}
    assert [each["code"] for each in data["insights"]] == ["trend_up", "milestone_near"]
    assert data["disclaimer"].endswith("not medical advice.")
    turkish = alice.get("/analytics/health-insights").data
    assert turkish["insights"][0]["title"] == "Daha iyiye gidiyor"


def test_what_nobody_confirmed_is_not_missed(alice: Phone) -> None:
    with time_machine.travel(NOON - timedelta(days=7), tick=False):
        unit = alice.dispenser()
    for days in range(6, 0, -1):
        dosed(unit, NOON - timedelta(days=days), outcome="unknown" if days == 3 else "dispensed")
    data = alice.get("/analytics/health-insights").data
    counts = {name: data["adherence"][f"{name}_doses"] for name in ("expected", "taken", "unknown")}
    assert counts == {"expected": 5, "taken": 5, "unknown": 1}
    assert (data["adherence"]["percent_30"], data["streak"]["current"]) == (100.0, 5)


def test_a_pause_expects_nothing(alice: Phone, month: Unit) -> None:
    began = NOON - timedelta(hours=1)
    edit_plan(month.id, alice.user.pk, {"paused_until": NOON + timedelta(days=3)}, now=began)
    with time_machine.travel(NOON + timedelta(days=5), tick=False):
        alice.token = sessions.open_session(alice.user, Client(), now=clock.now()).access
        data = alice.get("/analytics/health-insights?start_date=2028-02-29").data
    # The days on whose end the pause lasts are free of it: 29 February, 1 and 2 March.
    assert (data["adherence"]["expected_doses"], data["streak"]["current"]) == (2, 0)


def test_without_anything_there_are_nulls(alice: Phone) -> None:
    alice.dispenser()
    usage = alice.get("/analytics/usage").data
    assert (usage["averages"], usage["previous"]) == ({"per_day": None}, {"doses": 0, "change_percent": None})
    data = alice.get("/analytics/health-insights").data
    assert data["adherence"] == {
        "percent_7": None,
        "percent_30": None,
        "expected_doses": 0,
        "taken_doses": 0,
        "unknown_doses": 0,
    }
    assert data["streak"] == {"current": 0, "longest": 0, "next_milestone": 7, "last_dose_at": None}
    assert data["best_time"] == {"window": None, "share": None}
    assert set(data["weekday"].values()) == {None}
    assert data["trend"] == {"direction": None, "change_points": None}
    assert [each["code"] for each in data["insights"]] == ["no_data"]
    engagement = alice.get("/analytics/engagement").data
    assert engagement["reminder_response"] == {"median_minutes": None, "acted_within_1h_rate": None}
    assert engagement["notifications"] == {"sent": 0, "read": 0, "read_rate": None}


def test_the_first_day_counts_only_with_a_dose(alice: Phone) -> None:
    unit = alice.dispenser()
    assert alice.get("/analytics/summary").data["today"]["planned"] == 0
    dosed(unit, NOON + timedelta(minutes=1))
    data = alice.get("/analytics/summary").data
    assert data["today"] == {"date": "2028-02-29", "planned": 1, "taken": 1, "unknown": 0, "pending": 0}
    assert (data["adherence"]["percent_7"], data["streak"]["current"]) == (100.0, 1)


def test_the_home_screen(alice: Phone, month: Unit) -> None:
    achievements = alice.get("/analytics/summary").data["unread_notifications"]
    month.status(battery_level=9)
    data = alice.get("/analytics/summary").data
    assert data["today"]["planned"] == 1
    assert data["unread_notifications"] == achievements + 1
    [device] = data["devices"]
    assert (device["id"], device["battery_level"], device["doses_today"]) == (str(month.id), 9, 0)


def test_a_dispensers_performance(alice: Phone, statements: Statements) -> None:
    with time_machine.travel(NOON - timedelta(days=9), tick=False):
        unit = alice.dispenser()
        unit.status(battery_level=90, supplement_level=80)
    for days in range(9, 0, -1):
        dosed(unit, NOON - timedelta(days=days) + timedelta(minutes=1))
    with time_machine.travel(NOON - timedelta(hours=9), tick=False):
        unit.status(battery_level=60, supplement_level=50, is_connected=False)
    dosed(unit, NOON - timedelta(minutes=1), outcome="failed", amount=0)
    path = f"/analytics/devices/{unit.id}/performance"
    alice.get("/profile")
    with statements(2):
        data = alice.get(path).data
    assert data["battery"] == {"level": 60, "drain_per_day": 3.0, "estimated_empty_at": "2028-03-20T00:00:00.000Z"}
    assert data["supplement"] == {
        "level": 50,
        "use_per_day": 3.0,
        "runs_out_on": "2028-03-16",
        "confidence": "medium",
    }
    assert data["dispense"] == {"success": 9, "failed": 1, "success_rate": 0.9}
    assert (data["uptime_percent"], data["disconnects"]) == (95.8, 1)


def test_a_dispenser_of_today_has_no_forecast(alice: Phone) -> None:
    unit = alice.dispenser()
    data = alice.get(f"/analytics/devices/{unit.id}/performance").data
    assert data["uptime_percent"] is None
    assert data["supplement"] == {"level": 100, "use_per_day": None, "runs_out_on": None, "confidence": "low"}
    assert data["battery"] == {"level": 100, "drain_per_day": None, "estimated_empty_at": None}
    assert data["dispense"] == {"success": 0, "failed": 0, "success_rate": None}


def test_how_soon_a_reminder_is_answered(alice: Phone, month: Unit) -> None:
    Notification.objects.filter(type="achievement").delete()
    for days, before, is_read in ((3, 30, True), (2, 90, False)):
        Notification.objects.create(
            id=uuid4(),
            user=alice.user,
            type="reminder",
            title="x",
            message="x",
            is_read=is_read,
            dedupe_key=str(days),
            created_at=NOON - timedelta(days=days, minutes=before),
        )
    data = alice.get("/analytics/engagement").data
    assert (data["active_days_7"], data["active_days_30"], data["sessions_30"]) == (5, 19, 1)
    assert data["notifications"] == {"sent": 2, "read": 1, "read_rate": 0.5}
    assert data["reminder_response"] == {"median_minutes": 60.0, "acted_within_1h_rate": 0.5}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("start_date=2028-03-02&end_date=2028-03-01", "end_date"),
        ("start_date=2027-01-01&end_date=2028-02-01", "start_date"),
        ("start_date=1999-01-01", "start_date"),
        ("start_date=0001-01-01", "start_date"),
        ("end_date=9999-12-31", "end_date"),
        ("end_date=tomorrow", "end_date"),
        ("device_id=7", "device_id"),
    ],
)
def test_what_no_range_can_be(alice: Phone, query: str, field: str) -> None:
    answer = alice.get(f"/analytics/usage?{query}")
    assert (answer.status_code, list(answer.error["details"])) == (422, [field])


@pytest.mark.parametrize("path", PATHS)
def test_of_somebody_without_a_dispenser(alice: Phone, path: str) -> None:
    """Leap day, no dispenser, no dose: an answer with nulls and noughts."""
    data = alice.get(path).data
    assert "NaN" not in str(data)
    if "adherence" in data:
        assert (data["adherence"]["percent_30"], data["adherence"]["expected_doses"]) == (None, 0)


def test_one_dose_in_all(alice: Phone) -> None:
    dosed(alice.dispenser(), NOON)
    usage = alice.get("/analytics/usage?period=day").data
    assert (usage["averages"], usage["previous"]) == ({"per_day": 1.0}, {"doses": 0, "change_percent": None})
    assert usage["series"] == [{"date": "2028-02-29", "doses": 1, "amount_ml": 5.0}]
    health = alice.get("/analytics/health-insights").data
    assert (health["adherence"]["percent_30"], health["streak"]["current"]) == (100.0, 1)
    assert health["best_time"] == {"window": "12:00-13:00", "share": 1.0}
    assert (health["weekday"]["tue"], health["weekday"]["wed"]) == (100.0, None)
    assert health["trend"] == {"direction": None, "change_points": None}
