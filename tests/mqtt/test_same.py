"""A journal over HTTP, one by one, and over MQTT in batches of many units: the same rows (iot.md 1)."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
import time_machine
from django.db import connection
from hypothesis import HealthCheck, given
from hypothesis import settings as options
from hypothesis import strategies as st

from telemetry.bridge import Bridge, Message
from tests import make
from tests.clients import Unit
from tests.mqtt.test_hostile import offline
from zinzino import clock

__all__ = ["offline"]

NOON = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)
DATA: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "state": st.fixed_dictionaries(
        {"cup_placed": st.booleans()}, optional={"sensor_reading": st.sampled_from([0, 0.85, 12])}
    ),
    "sample": st.fixed_dictionaries(
        {}, optional={"battery_level": st.sampled_from([80, 60, 40]), "rssi": st.just(-60)}
    ),
    "alarm": st.just({"code": "JAM", "severity": "error"}),
    "log": st.fixed_dictionaries(
        {"level": st.just("info"), "message": st.sampled_from(['"q" \\ {a,b} NULL', "ş\u2028", "a\tb"])}
    ),
    "refill": st.fixed_dictionaries({}, optional={"level": st.integers(90, 100)}),
    "purge": st.just({"amount": 1.5, "unit": "ml"}),
    "song": st.just({}),
}
KIND = st.sampled_from(sorted(DATA)).flatmap(lambda kind: st.tuples(st.just(kind), DATA[kind]))
# (unit, kind and data, seconds ago, whether it is sent twice)
JOURNAL = st.lists(st.tuples(st.integers(0, 2), KIND, st.integers(0, 600), st.booleans()), min_size=1, max_size=12)
TABLES = {
    "device_states": "cup_placed, sensor_reading, timestamp, time_quality, device_time, received_at",
    "device_samples": "battery_level, supplement_level, rssi, timestamp, time_quality, received_at",
    "device_reports": "kind, data, timestamp, time_quality",
    "activity_logs": "action, metadata, timestamp",
    "dead_letters": "event_id, code, message",
    "event_keys": "key",
    "journal_acks": "boot, acked, taken",
    "alert_states": "kind, severity, episodes",
}
CURRENT = (
    "cup_placed, sensor_reading, last_state_change, last_event_at, last_removal_at, event_count, battery_level,"
    "supplement_level, levels_at, is_connected, setup_state, last_seen"
)


def rows(units: list[Unit]) -> list[Any]:
    """All that the units have left, by their places."""
    place = {unit.id: number for number, unit in enumerate(units)}
    found: list[Any] = []
    for table, names in (*TABLES.items(), ("devices", CURRENT)):
        key = "id" if table == "devices" else "device_id"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {key}, {names} FROM {table} WHERE {key} = ANY(%s::uuid[])", [list(place)])
            found.append((table, sorted(repr((place[row[0]], *row[1:])) for row in cursor.fetchall())))
    return found


def lines(journal: Any, units: list[Unit]) -> list[tuple[Unit, dict[str, Any]]]:
    """The messages, one event each; the ids are the same in both worlds."""
    said, seqs = [], dict.fromkeys(range(len(units)), 0)
    for number, (place, (kind, data), ago, twice) in enumerate(journal):
        seqs[place] += 1
        event = {
            "id": str(uuid.UUID(int=number + 1)),
            "boot": 1,
            "seq": seqs[place],
            "ts": clock.epoch_ms(NOON) - ago * 1000,
            "k": kind,
            "d": data,
        }
        said += [(units[place], {"v": 1, "sent": clock.epoch_ms(NOON), "ev": [event]})] * (2 if twice else 1)
    return said


def household(name: str) -> list[Unit]:
    """Three dispensers of two people."""
    people = [make.person(f"{name}{number}@example.com").user for number in range(2)]
    kinds = (("fish_oil", 0), ("vitamin_d", 0), ("fish_oil", 1))
    made = [
        make.dispenser(people[place], device_type=kind, now=NOON - timedelta(days=90)) for kind, place in kinds
    ]
    return [Unit(each.id, each.token) for each in made]


@pytest.mark.django_db
@options(max_examples=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(journal=JOURNAL, cut=st.integers(1, 24))
def test_one_by_one_over_http_and_in_batches_over_mqtt(offline: Bridge, journal: Any, cut: int) -> None:
    tag = uuid.uuid4().hex[:12]
    here, there = household(f"h{tag}"), household(f"m{tag}")
    with time_machine.travel(NOON, tick=False):
        for unit, body in lines(journal, here):
            assert unit.post("/iot/events", body).status_code == 200
        said = [
            Message(mid, 1, f"znz/v1/{unit.id}/up/evt", orjson.dumps(body), NOON, False, 0)
            for mid, (unit, body) in enumerate(lines(journal, there))
        ]
        for batch in (said[:cut], said[cut:]):
            if batch:
                offline.take(batch)
    assert rows(here) == rows(there)
