"""GET /states, /states/:id, /states/:id/history (mission 4, api.md 4)."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from django.db import connection

from telemetry import cups, partitions
from telemetry.models import DeviceState
from tests import make
from tests.clients import Phone, Unit
from zinzino.clock import iso
from zinzino.ids import uuid7

NOON = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)  # 12:00 in Istanbul
NO_STATISTICS = {"total_placements": 0, "average_duration_seconds": None, "total_duration_minutes": 0}


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def stored(device_id: UUID, *readings: tuple[float, bool]) -> None:
    """Readings as (minutes after noon, whether a cup stood)."""
    DeviceState.objects.bulk_create(
        DeviceState(
            id=uuid7(at(minutes)),
            device_id=device_id,
            cup_placed=placed,
            sensor_reading="0.87" if placed else "0.15",
            timestamp=at(minutes),
            received_at=at(minutes),
        )
        for minutes, placed in readings
    )


def test_a_device_without_events_has_an_empty_state(
    alice: Phone, kitchen: Unit, statements: make.Statements
) -> None:
    alice.get("/profile")
    with statements(2):
        data = alice.get(f"/states/{kitchen.id}").data
    assert data == {
        "device_id": str(kitchen.id),
        "cup_placed": False,
        "sensor_reading": None,
        "last_state_change": None,
        "state_history": [],
    }


def test_the_state_shows_its_ten_newest_readings_oldest_first(alice: Phone, kitchen: Unit) -> None:
    for minutes in range(6):
        with time_machine.travel(at(minutes), tick=False):
            kitchen.cup(True, sensor_reading=0.85)
        with time_machine.travel(at(minutes + 0.5), tick=False):
            kitchen.cup(False, sensor_reading=0.12)
    with time_machine.travel(at(6), tick=False):
        kitchen.cup(True)
    data = alice.get(f"/states/{kitchen.id}").data

    assert data.items() >= {"cup_placed": True, "sensor_reading": 0.12, "last_state_change": iso(at(6))}.items()
    history = data["state_history"]
    assert history[0] == {"cup_placed": False, "timestamp": iso(at(1.5))}
    assert history[1] == {"cup_placed": True, "timestamp": iso(at(2)), "duration_seconds": 30}
    assert history[-1] == {"cup_placed": True, "timestamp": iso(at(6))}
    assert len(history) == 10


def test_the_history_has_the_documented_shape_and_statistics(
    alice: Phone, kitchen: Unit, statements: make.Statements
) -> None:
    stored(kitchen.id, (0, True), (7.5, False), (60, True), (65.25, False))
    alice.get("/profile")
    with statements(2):
        data = alice.get(f"/states/{kitchen.id}/history").data
    assert data == {
        "device_id": str(kitchen.id),
        "history": [
            {"cup_placed": True, "sensor_reading": 0.87, "timestamp": iso(at(0)), "duration_seconds": 450},
            {"cup_placed": False, "sensor_reading": 0.15, "timestamp": iso(at(7.5))},
            {"cup_placed": True, "sensor_reading": 0.87, "timestamp": iso(at(60)), "duration_seconds": 315},
            {"cup_placed": False, "sensor_reading": 0.15, "timestamp": iso(at(65.25))},
        ],
        "statistics": {
            "total_placements": 2,
            "average_duration_seconds": 383,
            "total_duration_minutes": 13,
        },
    }


def test_statistics_are_of_the_whole_range_and_rows_the_newest(alice: Phone, kitchen: Unit) -> None:
    stored(kitchen.id, *((minutes, minutes % 2 == 0) for minutes in range(20)))
    data = alice.get(f"/states/{kitchen.id}/history?limit=3").data
    assert [row["timestamp"] for row in data["history"]] == [iso(at(17)), iso(at(18)), iso(at(19))]
    assert data["statistics"] == {
        "total_placements": 10,
        "average_duration_seconds": 60,
        "total_duration_minutes": 10,
    }


def test_a_cup_that_is_reported_again_while_it_stands_is_one_placement(alice: Phone, kitchen: Unit) -> None:
    stored(kitchen.id, (0, True), (1, True), (2, True), (5, False), (6, False))
    data = alice.get(f"/states/{kitchen.id}/history").data
    assert [row.get("duration_seconds") for row in data["history"]] == [300, 240, 180, None, None]
    assert data["statistics"] == {
        "total_placements": 1,
        "average_duration_seconds": 300,
        "total_duration_minutes": 5,
    }


def test_a_placement_belongs_to_its_beginning_and_may_end_after_the_range(alice: Phone, kitchen: Unit) -> None:
    stored(kitchen.id, (0, True), (10, True), (20, False), (30, True), (50, False))

    def between(start: float, end: float) -> Any:
        return alice.get(f"/states/{kitchen.id}/history?start_date={iso(at(start))}&end_date={iso(at(end))}").data

    late = between(5, 40)
    assert [row.get("duration_seconds") for row in late["history"]] == [600, None, 1200]
    # The cup of minute 0 was reported again at minute 10; that is no second placement.
    assert late["statistics"].items() >= {"total_placements": 1, "average_duration_seconds": 1200}.items()
    assert between(0, 20)["statistics"].items() >= {"total_placements": 1, "total_duration_minutes": 20}.items()
    # An end is excluded, a start is not.
    assert [row["cup_placed"] for row in between(20, 30)["history"]] == [False]


def test_a_cup_that_still_stands_has_no_duration(alice: Phone, kitchen: Unit) -> None:
    stored(kitchen.id, (0, True))
    data = alice.get(f"/states/{kitchen.id}/history").data
    assert "duration_seconds" not in data["history"][0]
    assert data["statistics"] == NO_STATISTICS | {"total_placements": 1}


def test_a_date_is_the_users_local_day(alice: Phone, kitchen: Unit) -> None:
    stored(kitchen.id, (-12 * 60 - 1, True), (-12 * 60, False), (12 * 60 - 1, True), (12 * 60, False))
    data = alice.get(f"/states/{kitchen.id}/history?start_date=2026-03-10&end_date=2026-03-10").data
    assert [row["timestamp"] for row in data["history"]] == [iso(at(-12 * 60)), iso(at(12 * 60 - 1))]


def test_an_empty_range_has_no_statistics(alice: Phone, kitchen: Unit) -> None:
    stored(kitchen.id, (0, True), (1, False))
    data = alice.get(f"/states/{kitchen.id}/history?start_date=2026-03-11").data
    assert (data["history"], data["statistics"]) == ([], NO_STATISTICS)


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "start_date=soon", "end_date=2026-02-30"])
def test_a_wrong_query_is_422(alice: Phone, kitchen: Unit, query: str) -> None:
    response = alice.get(f"/states/{kitchen.id}/history?{query}")
    assert (response.status_code, list(response.error["details"])) == (422, [query.partition("=")[0]])


@pytest.mark.parametrize("path", ["/states/{id}", "/states/{id}/history"])
def test_states_are_for_the_owner_alone(alice: Phone, bob: Phone, kitchen: Unit, path: str) -> None:
    stored(kitchen.id, (0, True))

    def refused(by: Any, device_id: UUID) -> tuple[int, str | None]:
        response = by.get(path.format(id=device_id))
        return response.status_code, response.error["details"].get("reason")

    assert refused(bob, kitchen.id) == (403, "not_owner")
    assert refused(alice, uuid4()) == (404, None)
    assert refused(kitchen, kitchen.id) == (403, "wrong_credential_kind")


def test_the_dispenser_writes_and_its_owner_reads(alice: Phone, bob: Phone, kitchen: Unit) -> None:
    other = bob.dispenser()
    for who, reason in ((alice, "wrong_credential_kind"), (other, "not_owner")):
        response = who.post(f"/states/{kitchen.id}", {"cup_placed": True})
        assert (response.status_code, response.error["details"]["reason"]) == (403, reason)
    assert not DeviceState.objects.exists()
    assert kitchen.cup(True).status_code == alice.get(f"/states/{kitchen.id}").status_code == 200
    assert alice.delete(f"/states/{kitchen.id}").status_code == 405


def test_all_states_at_once_leave_out_what_is_switched_off(
    alice: Phone, bob: Phone, kitchen: Unit, statements: make.Statements
) -> None:
    bob.dispenser().cup(True)
    unused = alice.dispenser(device_name="Keller")
    alice.put(f"/devices/{unused.id}", {"is_active": False})
    with time_machine.travel(NOON, tick=False):
        kitchen.cup(True, sensor_reading=0.5)
    alice.get("/profile")
    with statements(2):
        data = alice.get("/states").data
    assert data == [
        {
            "device_id": str(kitchen.id),
            "device_name": "Mutfak Dispenseri",
            "cup_placed": True,
            "sensor_reading": 0.5,
            "last_state_change": iso(NOON),
        }
    ]
    assert kitchen.get("/states").error["details"]["reason"] == "wrong_credential_kind"


def scanned(statement: str, **parameters: Any) -> set[str]:
    """The partitions that a statement would touch."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
        plan = cursor.fetchone()[0]
    found: set[str] = set()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            found.update(value for key, value in node.items() if key == "Relation Name")
            node = list(node.values())
        for inner in node if isinstance(node, list) else ():
            walk(inner)

    walk(plan)
    return found


def test_a_range_reads_its_own_months_alone(alice: Phone, kitchen: Unit) -> None:
    for month in range(6):
        partitions.ensure(now=partitions.month(NOON, month))
    inside = cups.HISTORY.split("outside AS")[0].rstrip().removesuffix(",") + " SELECT * FROM span"
    months = scanned(
        inside, device_id=kitchen.id, start=datetime(2026, 4, 30, tzinfo=UTC), end=datetime(2026, 5, 3, tzinfo=UTC)
    )
    assert months == {"device_states_2026_04", "device_states_2026_05"}
    assert len(scanned(inside, device_id=kitchen.id, start=None, end=None)) > 6
