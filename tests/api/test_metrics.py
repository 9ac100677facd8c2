"""`GET /metrics`: who may read it, what it says, and that several processes add up."""

import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import redis
from django.db import DatabaseError, connection
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from accounts.models import Mail
from analytics import gauges
from notifications.models import NotificationSettings
from telemetry import safety
from telemetry.models import SafetyStop
from tests import make
from tests.clients import Api, Phone, Unit
from tests.make import Statements
from zinzino import backups, clock, metrics
from zinzino.celery import tell_metrics
from zinzino.tasks import heartbeat
from zinzino.timetable import JOBS

TOKEN = "scrape-0123456789-abcdefghij-KLMNOP"


@pytest.fixture(autouse=True)
def _fresh(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.METRICS_TOKEN = TOKEN
    monkeypatch.setattr(gauges, "_kept", (-gauges.KEPT_S, []))


def scrape() -> dict[str, float]:
    """Every sample, by its name and labels as they stand in the text."""
    answer = Client().get("/metrics", HTTP_AUTHORIZATION=f"Bearer {TOKEN}")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=")
    families = list(text_string_to_metric_families(answer.content.decode()))
    assert len({each.name for each in families}) == len(families), "a family stands twice"
    samples = [sample for family in families for sample in family.samples]
    return {f"{each.name}{sorted(each.labels.values())}": each.value for each in samples}


def grown(before: dict[str, float], name: str) -> float:
    return scrape().get(name, 0) - before.get(name, 0)


@pytest.mark.parametrize("path", ["/v1/metrics", "/api/metrics", "/metrics/"])
def test_it_is_no_part_of_the_api(path: str) -> None:
    assert Client().get(path, HTTP_AUTHORIZATION=f"Bearer {TOKEN}").status_code == 404


@pytest.mark.parametrize("offered", ["", "Bearer", "Bearer wrong", TOKEN, f"Bearer {TOKEN}x", "Bearer ğ"])
def test_it_is_not_public(offered: str) -> None:
    answer = Client().get("/metrics", HTTP_AUTHORIZATION=offered)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHORIZED")


def test_without_a_token_of_ours_it_is_an_unknown_address(settings: Any) -> None:
    settings.METRICS_TOKEN = ""
    for offered in ("", "Bearer ", f"Bearer {TOKEN}"):
        assert Client().get("/metrics", HTTP_AUTHORIZATION=offered).status_code == 404


def test_it_is_only_read() -> None:
    assert Client().post("/metrics", HTTP_AUTHORIZATION=f"Bearer {TOKEN}").status_code == 405


def test_requests_by_route_and_status(kitchen: Unit, alice: Phone) -> None:
    before = scrape()
    alice.get(f"/devices/{kitchen.id}")
    Api(alice.token, mount="/api").get(f"/devices/{kitchen.id}")
    alice.get("/devices/00000000-0000-4000-8000-000000000000")
    alice.get("/no/such/path")
    count, name = "zinzino_http_request_seconds_count", "devices/<id:device_id>"
    assert grown(before, f"{count}{sorted(['GET', name, '200'])}") == 2
    assert grown(before, f"{count}{sorted(['GET', name, '404'])}") == 1
    assert grown(before, f"{count}{sorted(['GET', 'unknown', '404'])}") == 1
    assert not any(str(kitchen.id) in each for each in scrape())


def test_a_made_up_method_makes_no_label(db: None) -> None:
    before = scrape()
    Client().generic("BREW", "/v1/time")
    assert grown(before, "zinzino_http_request_seconds_count['405', 'other', 'time']") == 1


def test_decisions_sync_and_journals(alice: Phone, kitchen: Unit, django_capture_on_commit_callbacks: Any) -> None:
    before = scrape()
    with django_capture_on_commit_callbacks(execute=True):
        kitchen.cup(True)
        kitchen.cup(False)
        kitchen.cup(True)
        renamed = {
            "mutation_id": "9b2f1c3e-0000-4000-8000-000000000001",
            "entity": "device",
            "op": "update",
            "id": "00000000-0000-4000-8000-000000000000",
            "base_version": "2025-12-05T08:59:00.000Z",
            "fields": {"device_name": "Mutfak"},
        }
        form = {"client_id": "1c0ffee0-0000-4000-8000-000000000001", "changes": [renamed]}
        assert alice.post("/sync/full", form).status_code == 200
    assert grown(before, "zinzino_decisions_total['due']") == 1
    after = scrape()
    decisions = [each for each in after if each.startswith("zinzino_decisions_total")]
    assert sum(after[each] - before.get(each, 0) for each in decisions) == 2
    assert grown(before, "zinzino_sync_changes_total['NOT_FOUND', 'rejected']") == 1


def test_gauges_of_the_whole_product(kitchen: Unit, statements: Statements) -> None:
    now = clock.now()
    kitchen.status(battery_level=50)
    with statements(3):
        found = scrape()
    assert (found["zinzino_devices['connected']"], found["zinzino_devices['silent']"]) == (1, 0)
    assert found["zinzino_database_up[]"] == 1
    assert found["zinzino_outbox_lag_seconds['push']"] == 0
    assert found["zinzino_safety_stops[]"] == 0
    assert "zinzino_fleet_summed_days_ago[]" in found
    with statements(0):
        scrape()
    safety.order(SafetyStop.Scope.ALL, "", reason="x", until=None, by="ops", now=now)
    NotificationSettings.objects.update(next_reminder_at=now - timedelta(seconds=90))
    Mail.objects.update(next_attempt_at=now - timedelta(seconds=200))
    gauges._kept = (-gauges.KEPT_S, [])
    found = scrape()
    assert found["zinzino_safety_stops[]"] == 1
    assert 90 <= found["zinzino_reminders_late_seconds[]"] < 190
    assert 200 <= found["zinzino_outbox_lag_seconds['mail']"] < 300


def test_connections_by_state(db: None) -> None:
    found = scrape()
    assert found["zinzino_database_connections['active']"] >= 1
    with connection.cursor() as cursor:
        cursor.execute("SHOW max_connections")
        assert found["zinzino_database_connections_most[]"] == int(cursor.fetchone()[0])


def test_since_when_there_was_no_good_backup(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any(each.startswith("zinzino_backup_age_seconds") for each in scrape())
    gauges._kept = (-gauges.KEPT_S, [])
    backups.remember("backup_db", now=clock.now() - timedelta(hours=5))
    found = scrape()
    assert 5 * 3600 <= found["zinzino_backup_age_seconds['backup_db']"] < 5 * 3600 + 60
    assert "zinzino_backup_age_seconds['restore_check']" not in found
    monkeypatch.setattr(backups, "client", make.redis_away)
    backups.remember("restore_check", now=clock.now())
    assert backups.ages_s(now=clock.now()) == {}


@pytest.mark.parametrize(("away", "outcome"), [(False, "success"), (True, "failure")])
def test_jobs_by_how_they_ended(monkeypatch: pytest.MonkeyPatch, away: bool, outcome: str, db: None) -> None:
    before = scrape()
    monkeypatch.setattr("zinzino.tasks.client", Mock(side_effect=redis.ConnectionError if away else None))
    heartbeat.apply()
    assert grown(before, f"zinzino_job_seconds_count['{outcome}', 'zinzino.tasks.heartbeat']") == 1


def test_the_first_end_of_a_job_is_seen_to_happen(db: None) -> None:
    """Prometheus sees a count grow, not begin."""
    metrics.JOBS.clear()
    tell_metrics()
    found = scrape()
    ends = ("failure", "success")
    names = [sorted([end, job["task"]]) for job in JOBS.values() for end in ends]
    assert {found[f"zinzino_job_seconds_count{name}"] for name in names} == {0}


def test_what_a_killed_process_held_is_forgotten_where_the_next_one_tells_its_own(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings.METRICS_PORT = 9
    for name, value in {"FOLDER": tmp_path, "IS_SHARED": True, "start_http_server": Mock()}.items():
        monkeypatch.setattr(metrics, name, value)
    for name in ("gauge_livesum_999999999.db", f"gauge_livesum_{os.getpid()}.db", "counter_999999999.db"):
        (tmp_path / name).touch()
    metrics.listen()
    assert {each.name for each in tmp_path.iterdir()} == {
        f"gauge_livesum_{os.getpid()}.db",
        "counter_999999999.db",
    }


def test_a_replica_that_is_away_takes_no_other_gauge_along(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    away = Mock(cursor=Mock(side_effect=DatabaseError("host=10.0.0.9")))
    monkeypatch.setattr(gauges, "settings", Mock(DATABASES={"analytics": {}}))
    monkeypatch.setattr(gauges, "connections", {"analytics": away})
    found = scrape()
    assert (found["zinzino_database_up[]"], found["zinzino_safety_stops[]"]) == (1, 0)
    assert "zinzino_analytics_lag_seconds[]" not in found


def test_without_a_database_the_counters_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(now: Any) -> Any:
        raise DatabaseError("host=10.0.0.7")

    monkeypatch.setattr(gauges, "asked", away)
    found = scrape()
    assert found["zinzino_database_up[]"] == 0
    assert any(each.startswith("zinzino_http_request_seconds") for each in found)


PROCESS = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "zinzino.settings"
from zinzino import metrics
metrics.DECISIONS.labels("ok").inc(int(os.environ["TIMES"]))
print(metrics.exposition().decode())
"""


def run(folder: Path, times: int) -> str:
    env = os.environ | {
        "DATA_DIR": str(folder),
        "METRICS_TOKEN": TOKEN,
        "TIMES": str(times),
        "ENVIRONMENT": "test",
    }
    return subprocess.run(
        [sys.executable, "-c", PROCESS], env=env, capture_output=True, text=True, check=True
    ).stdout


def test_processes_of_one_data_folder_add_up(tmp_path: Path) -> None:
    """Also those that have ended, or counters would fall whenever a worker is replaced."""
    run(tmp_path, 2)
    run(tmp_path, 3)
    assert re.search(r'^zinzino_decisions_total\{reason="ok"\} 10\.0$', run(tmp_path, 5), re.MULTILINE)
    assert (tmp_path / "run" / "metrics").stat().st_mode & 0o077 == 0


def test_a_start_begins_at_zero_and_touches_nothing_but_counters(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """METRICS_DIR may be a folder of others, too."""
    for name in ("counter_7.db", "letter.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / "photos").mkdir()
    monkeypatch.setattr(metrics, "FOLDER", tmp_path)
    metrics.forget()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["letter.txt", "photos"]


DEAD = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "zinzino.settings"
from zinzino import metrics
metrics.LIVE_SOCKETS.inc(7)
metrics.DECISIONS.labels("ok").inc(2)
os._exit(1)
"""


def test_what_a_killed_process_held_is_not_told_for_ever(tmp_path: Path) -> None:
    env = os.environ | {"DATA_DIR": str(tmp_path), "METRICS_TOKEN": TOKEN, "ENVIRONMENT": "test"}
    assert subprocess.run([sys.executable, "-c", DEAD], env=env, check=False).returncode == 1
    text = run(tmp_path, 1)
    assert re.search(r'^zinzino_decisions_total\{reason="ok"\} 3\.0$', text, re.MULTILINE)
    assert "zinzino_live_sockets 0.0" in text
