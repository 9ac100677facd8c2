"""GET /activities, /activities/:id, /activities/summary (api.md 6)."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.db import connection

from telemetry import log, partitions
from telemetry.models import ActivityLog
from tests import make
from tests.clients import Phone, Unit
from tests.telemetry.lines import days, line, plan_of
from zinzino.clock import iso
from zinzino.ids import moment_of, uuid7

NOON = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)  # 12:00 in Istanbul


def at(**span: float) -> datetime:
    return NOON + timedelta(**span)


def ids(phone: Phone, query: str = "") -> list[str]:
    return [row["id"] for row in phone.get(f"/activities?{query}").data["activities"]]


def test_the_log_is_newest_first_with_one_shape(alice: Phone, kitchen: Unit, statements: make.Statements) -> None:
    dose = line(alice, NOON, device_id=kitchen.id, metadata={"dispense_id": "x"})
    note = line(alice, at(hours=1), action="note", dose_amount=None, triggered_by=None, confirmation=None)
    alice.get("/profile")
    with statements(2):
        data = alice.get("/activities").data
    assert data["activities"] == [
        {
            "id": note,
            "device_id": None,
            "device_name": None,
            "action": "note",
            "dose_amount": None,
            "triggered_by": None,
            "timestamp": iso(at(hours=1)),
            "local_date": "2026-03-10",
            "confirmation": None,
            "metadata": {},
        },
        {
            "id": dose,
            "device_id": str(kitchen.id),
            "device_name": "Mutfak Dispenseri",
            "action": "dose_dispensed",
            "dose_amount": "5ml",
            "triggered_by": "automatic",
            "timestamp": iso(NOON),
            "local_date": "2026-03-10",
            "confirmation": "device",
            "metadata": {"dispense_id": "x", "dose_amount": "5ml", "triggered_by": "automatic"},
        },
    ]
    assert data["pagination"] == {"total": 2, "limit": 50, "offset": 0, "has_more": False, "next_cursor": None}


def test_every_filter_and_their_lists(alice: Phone, kitchen: Unit) -> None:
    other = alice.dispenser(device_type="vitamin_d")
    dose = line(alice, NOON, device_id=kitchen.id)
    planned = line(alice, at(hours=1), device_id=other.id, triggered_by="scheduled")
    failed = line(alice, at(hours=2), device_id=kitchen.id, action="dose_failed")
    refill = line(alice, at(hours=3), device_id=kitchen.id, action="refill", triggered_by="manual")

    assert ids(alice, f"device_id={kitchen.id}") == [refill, failed, dose]
    assert ids(alice, "action=refill") == [refill]
    assert ids(alice, "action=dose_dispensed,%20dose_failed") == [failed, planned, dose]
    assert ids(alice, "triggered_by=scheduled,manual") == [refill, planned]
    assert ids(alice, "action=dose_dispensed&triggered_by=scheduled,manual") == [planned]
    assert ids(alice, "order=asc") == [dose, planned, failed, refill]
    assert ids(alice, f"device_id={uuid4()}") == []
    assert ids(alice, f"start_date={iso(at(hours=1))}&end_date={iso(at(hours=3))}") == [failed, planned]


def test_a_date_is_the_users_local_day(alice: Phone) -> None:
    last_of_day = line(alice, datetime(2026, 3, 10, 20, 59, 59, 999_000, tzinfo=UTC))
    line(alice, datetime(2026, 3, 10, 21, tzinfo=UTC))
    first_of_day = line(alice, datetime(2026, 3, 9, 21, tzinfo=UTC))
    line(alice, datetime(2026, 3, 9, 20, 59, 59, tzinfo=UTC))
    assert ids(alice, "start_date=2026-03-10&end_date=2026-03-10") == [last_of_day, first_of_day]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_cursor_walks_through_equal_times_without_skips_or_repeats_while_lines_come_and_go(
    alice: Phone, order: str
) -> None:
    known = sorted([line(alice, NOON) for _ in range(5)] + [line(alice, at(hours=each)) for each in range(1, 5)])
    expected = known if order == "asc" else known[::-1]
    seen: list[str] = []
    cursor = ""
    for turn in range(9):
        data = alice.get(f"/activities?limit=1&order={order}{cursor}").data
        seen += [row["id"] for row in data["activities"]]
        line(alice, at(hours=9 + turn) if order == "desc" else at(hours=-turn - 1))
        ActivityLog.objects.filter(pk=seen[0]).delete()
        cursor = f"&cursor={data['pagination']['next_cursor']}"
    assert seen == expected


def test_offset_and_total(alice: Phone) -> None:
    lines = [line(alice, at(hours=each)) for each in range(5)]
    data = alice.get("/activities?limit=2&offset=3").data
    assert [row["id"] for row in data["activities"]] == lines[1::-1]
    assert (data["pagination"]["total"], data["pagination"]["has_more"]) == (5, False)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "offset=10001",
        "cursor=x",
        "order=up",
        "device_id=5",
        "action=swallowed",
        "action=refill,",
        "action=",
        "triggered_by=magic",
        "start_date=soon",
    ],
)
def test_a_wrong_query_is_422_and_names_the_field(alice: Phone, query: str) -> None:
    response = alice.get(f"/activities?{query}")
    assert (response.status_code, list(response.error["details"])) == (422, [query.partition("=")[0]])


def test_nobody_sees_anothers_log(alice: Phone, bob: Phone, kitchen: Unit) -> None:
    dose = line(alice, NOON, device_id=kitchen.id)
    assert ids(bob, f"device_id={kitchen.id}") == ids(bob) == []
    foreign = bob.get(f"/activities/{dose}")
    assert (foreign.status_code, foreign.error["details"]["reason"]) == (403, "not_owner")
    assert bob.get("/activities/summary").data["total_doses"] == 0
    for path in ("", "/summary", "/export", f"/{dose}"):
        refused = kitchen.get(f"/activities{path}")
        assert (refused.status_code, refused.error["details"]["reason"]) == (403, "wrong_credential_kind")


def test_one_line(alice: Phone, kitchen: Unit, statements: make.Statements) -> None:
    dose = line(alice, NOON, device_id=kitchen.id)
    alice.get("/profile")
    with statements(2):
        data = alice.get(f"/activities/{dose}").data
    assert data == alice.get("/activities").data["activities"][0]
    assert alice.get(f"/activities/{dose.upper()}").status_code == 200


@pytest.mark.parametrize("unknown", [uuid4(), uuid7(NOON), "018f0000-0000-7000-8000-00000000000", "x"])
def test_an_unknown_line_is_404(alice: Phone, unknown: Any) -> None:
    line(alice, NOON)
    assert alice.get(f"/activities/{unknown}").status_code == 404


def test_an_id_names_the_moment_it_was_made_of() -> None:
    assert moment_of(uuid7(NOON)) == NOON
    assert moment_of(uuid4()) is None
    assert (
        moment_of(type(uuid4())(int=(2**128 - 1) & ~(0xF << 76) & ~(0b11 << 62) | 0x7 << 76 | 0b10 << 62)) is None
    )


def test_a_line_stays_readable_when_its_device_goes(alice: Phone, kitchen: Unit) -> None:
    dose = line(alice, NOON, device_id=kitchen.id)
    alice.delete(f"/devices/{kitchen.id}")
    data = alice.get(f"/activities/{dose}").data
    assert (data["device_id"], data["device_name"]) == (str(kitchen.id), None)
    assert ids(alice, f"device_id={kitchen.id}") == [dose]


def test_one_line_and_a_span_read_their_own_months_alone(alice: Phone) -> None:
    for month in range(6):
        partitions.ensure(now=partitions.month(NOON, month))
    dose = uuid7(NOON)
    read = plan_of(log.ONE, {"id": dose, "named": moment_of(dose)}, analyze=True)
    assert [name for name, was_read in read.items() if was_read and name.startswith("activity_logs")] == [
        "activity_logs_2026_03"
    ]
    span = {"start": datetime(2026, 4, 30, tzinfo=UTC), "end": datetime(2026, 5, 3, tzinfo=UTC)}
    chosen = {"user_id": alice.user.pk, "device_id": None, "action": None, "triggered_by": None, **span}
    assert set(plan_of(f"SELECT id FROM activity_logs WHERE {log.which(chosen)}", chosen)) == {
        "activity_logs_2026_04",
        "activity_logs_2026_05",
    }


@pytest.mark.django_db
def test_the_index_alone_can_count_a_log_of_which_nothing_is_left_out() -> None:
    """Which is no scan of an index alone as soon as it compares what the index does not hold."""
    nothing = dict.fromkeys(("device_id", "action", "triggered_by"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_indexdef('activity_logs_of_user'::regclass)")
        (indexed,) = cursor.fetchone()
    compared = set(re.findall(r"(\w+) (?:=|>=|<)", log.which(nothing)))
    assert compared == {"user_id", "timestamp"}
    assert all(re.search(rf'[(, ]"?{name}\b', indexed) for name in compared), indexed
    assert "device_id =" in log.which({**nothing, "device_id": "one"})


@pytest.fixture
def at_noon() -> Any:
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.fixture
def ayse(db: None, at_noon: None) -> Phone:
    """Somebody who lives at noon."""
    return Phone(make.person())


def test_the_summary_of_a_week(ayse: Phone, statements: make.Statements) -> None:
    kitchen = ayse.dispenser()
    line(ayse, NOON, device_id=kitchen.id)
    line(ayse, at(hours=-1), device_id=kitchen.id, triggered_by="scheduled")
    line(ayse, at(days=-6), action="dose_taken_manual", triggered_by="manual")
    line(ayse, at(days=-7), device_id=kitchen.id)  # the day before the week
    line(ayse, at(days=-1), device_id=kitchen.id, action="dose_failed")
    line(ayse, at(days=-1), device_id=kitchen.id, action="refill", triggered_by="manual")
    ayse.get("/profile")
    with statements(2):
        data = ayse.get("/activities/summary?period=week").data
    assert data == {
        "period": "week",
        "start_date": "2026-03-04",
        "end_date": "2026-03-10",
        "total_doses": 3,
        "by_day": [
            {"date": day, "doses": {"2026-03-04": 1, "2026-03-10": 2}.get(day, 0)}
            for day in days(date(2026, 3, 4), 7)
        ],
        "by_device": [
            {"device_id": str(kitchen.id), "device_name": "Mutfak Dispenseri", "doses": 2},
            {"device_id": None, "device_name": None, "doses": 1},
        ],
        "by_trigger": {"automatic": 1, "scheduled": 1, "manual": 1},
    }
    assert ayse.get("/activities/summary").data == data
    of_kitchen = ayse.get(f"/activities/summary?device_id={kitchen.id}").data
    assert (of_kitchen["total_doses"], of_kitchen["by_trigger"]["manual"]) == (2, 0)


@pytest.mark.parametrize(("period", "days_of_it"), [("day", 1), ("week", 7), ("month", 30), ("year", 365)])
def test_a_period_is_so_many_local_days_and_ends_today(ayse: Phone, period: str, days_of_it: int) -> None:
    # The zone's midnight is 21:00 UTC of the day before.
    first_midnight = datetime(2026, 3, 9, 21, tzinfo=UTC) - timedelta(days=days_of_it - 1)
    line(ayse, first_midnight)
    line(ayse, first_midnight - timedelta(milliseconds=1))
    line(ayse, datetime(2026, 3, 10, 21, tzinfo=UTC))  # tomorrow
    data = ayse.get(f"/activities/summary?period={period}").data
    assert (data["total_doses"], data["end_date"], len(data["by_day"])) == (1, "2026-03-10", days_of_it)
    assert data["by_day"][0] == {"date": data["start_date"], "doses": 1}


def test_a_dose_counts_on_the_day_that_was_recorded_whatever_the_zone_is_now(ayse: Phone) -> None:
    line(ayse, datetime(2026, 3, 9, 21, 30, tzinfo=UTC))
    ayse.put("/profile", {"timezone": "Pacific/Kiritimati"})  # UTC+14: still the 10th
    data = ayse.get("/activities/summary").data
    assert (data["end_date"], data["by_day"][-1]["doses"], data["by_day"][-2]["doses"]) == ("2026-03-10", 1, 0)
    ayse.put("/profile", {"timezone": "Pacific/Pago_Pago"})  # UTC-11: still the 9th
    assert ayse.get("/activities/summary").data["total_doses"] == 0


def test_a_summary_reads_its_own_months_alone_however_long_the_history(ayse: Phone) -> None:
    for month in range(-6, 1):
        partitions.ensure(now=partitions.month(NOON, month))
    parameters = log.span_of(date(2026, 3, 10), "week") | {"user_id": ayse.user.pk, "device_id": None}
    assert {name for name in plan_of(log.SUMMARY, parameters) if name.startswith("activity_logs")} == {
        "activity_logs_2026_03"
    }


@pytest.mark.parametrize("query", ["period=decade", "period=", "device_id=x"])
def test_a_wrong_summary_is_422(alice: Phone, query: str) -> None:
    assert alice.get(f"/activities/summary?{query}").status_code == 422
