"""A fleet on failing lines through a real broker and bridges: nothing lost, nothing poured twice (iot.md 5)."""

import asyncio
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from pytest_django import Settings

from telemetry.management.commands import simulate_fleet
from telemetry.simulation import fleet, verdict
from telemetry.simulation.faults import OFTEN, Faults
from telemetry.simulation.run import Run, live
from telemetry.simulation.unit import Unit
from tests.mqtt.conftest import Broker
from zinzino import clock

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("profiles")]
Start = Callable[..., subprocess.Popen[bytes]]


def lived(broker: Broker, settings: Settings, count: int, **options: Any) -> list[Unit]:
    settings.MQTT_PORT = broker.port
    made = fleet.make(count, now=clock.now())
    broker.files.sync()
    run = Run(transport="mqtt", faults="all", finish_s=60, url="http://127.0.0.1:9", **options)
    # In a thread: the browser tests leave a loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(live(run, made, lambda _units, _phase: None))).result()


def test_a_small_fleet_on_bad_lines(broker: Broker, bridges: Start, settings: Settings) -> None:
    bridges(0)
    units = lived(broker, settings, 12, seconds=5, pace_s=0.8, seed=7)
    report = verdict.reached(units)
    assert report["broken"] == [], report
    assert report["poured"] > 0
    assert report["events"] > 20

    # The verdict sees what it is there for.
    units[0].diary.noted.append(str(uuid.uuid4()))
    pourer = next(unit for unit in units if unit.diary.poured)
    pourer.diary.poured.append(pourer.diary.poured[0])
    pourer.diary.poured.append(str(uuid.uuid4()))
    units[1].note("state", cup_placed=False)
    report = verdict.reached(units)
    assert report["broken"] == ["lost_events", "unsynced_events", "double_doses", "uncounted_doses"]


@pytest.mark.soak
def test_a_fleet_whose_bridge_is_killed(broker: Broker, bridges: Start, settings: Settings) -> None:
    first, _second = bridges(0), bridges(1)

    def fail() -> None:
        first.send_signal(signal.SIGKILL)
        first.wait()
        bridges(0)

    failure = threading.Timer(60, fail)
    failure.start()
    report = verdict.reached(lived(broker, settings, 300, seconds=120, pace_s=5, seed=11))
    failure.join()
    assert report["broken"] == [], report


def test_faults_are_known_by_name() -> None:
    dice = Random(1)  # noqa: S311
    assert Faults.named("all", dice).chosen == set(OFTEN)
    assert Faults.named("none", dice).chosen == set()
    assert Faults.named("lost, twice", dice).chosen == {"lost", "twice"}
    with pytest.raises(ValueError, match="unknown faults: lots; there are"):
        Faults.named("lots", dice)


def test_the_verdict_needs_no_session_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server may be restarted while the fleet lives."""

    def watched(*_args: Any, **_options: Any) -> list[Unit]:
        with psycopg.connect(**connection.get_connection_params()) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (connection.connection.info.backend_pid,))
        time.sleep(0.2)
        return []

    monkeypatch.setattr(simulate_fleet.Command, "watched", watched)
    with pytest.raises(CommandError, match="nothing_happened"):
        call_command("simulate_fleet", devices=3, json=True)
