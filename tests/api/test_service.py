"""api.md 10: health, version, time."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from django.test.utils import CaptureQueriesContext

from accounts.models import Mail
from notifications.models import PushDelivery
from tests import make
from tests.api.conftest import Caller
from zinzino import clock
from zinzino.api import health
from zinzino.redis_client import client as redis_client
from zinzino.tasks import HEARTBEAT_KEY, heartbeat

CHECKS = ["beat_age_s", "database", "draining", "migrations", "outbox_lag_s", "redis", "storage"]


@pytest.fixture(autouse=True)
def no_beat() -> None:
    redis_client().delete(HEARTBEAT_KEY)


@pytest.mark.parametrize("mount", ["", "/v1", "/api"])
def test_live_touches_nothing(caller: Caller, mount: str) -> None:
    answer = caller.get(f"{mount}/health/live")
    assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
    assert answer.json() == {"success": True, "data": {"status": "ok"}}


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/health", "/health/ready", "/v1/health", "/api/health/ready"])
def test_a_server_with_all_its_parts_is_ready(caller: Caller, path: str) -> None:
    data = caller.get(path).json()["data"]
    assert (data["status"], sorted(data["checks"])) == ("ok", CHECKS)
    assert data["checks"]["database"]["ms"] < 1000


@pytest.mark.django_db
@pytest.mark.usefixtures("redis_away")
def test_without_redis_it_is_degraded_but_ready(caller: Caller) -> None:
    answer = caller.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json()["data"]["status"] == "degraded"
    assert answer.json()["data"]["checks"]["redis"]["ok"] is False


def refuse() -> None:
    raise OperationalError("host=10.0.0.7")


def test_without_a_database_it_is_not_ready(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "ping_database", refuse)
    answer = caller.get("/health/ready")
    assert (answer.status_code, answer["Retry-After"]) == (503, "2")
    assert answer.json()["error"]["details"]["checks"]["database"]["ok"] is False
    assert "10.0.0.7" not in answer.content.decode()


@pytest.mark.django_db
def test_with_unapplied_migrations_it_is_not_ready(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    health._migrated.cache_clear()
    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda *_: ["0002"])
    assert caller.get("/health").status_code == 503
    monkeypatch.undo()
    assert caller.get("/health").status_code == 200


@pytest.mark.django_db
def test_a_server_about_to_stop_is_not_ready(caller: Caller, settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    (tmp_path / "draining").touch()
    assert caller.get("/health/ready").status_code == 503
    assert caller.get("/health/live").status_code == 200


@pytest.mark.django_db
def test_the_age_of_the_last_beat_is_shown(caller: Caller) -> None:
    with time_machine.travel(clock.now().timestamp() - 90):
        heartbeat()
    data = caller.get("/health").json()["data"]
    assert 89 <= data["checks"]["beat_age_s"] <= 95
    assert data["status"] == "degraded"
    heartbeat()
    assert caller.get("/health").json()["data"]["status"] == "ok"


@pytest.mark.django_db
def test_the_lag_is_that_of_the_mail_or_push_that_has_waited_longest(caller: Caller) -> None:
    def lag() -> tuple[float, str]:
        data = caller.get("/health").json()["data"]
        return data["checks"]["outbox_lag_s"], data["status"]

    assert lag() == (0, "ok")
    now = clock.now()
    user = make.person().user
    due = {"user": user, "kind": "test", "created_at": now, "expires_at": now + timedelta(days=1)}
    for minutes, status in ((-2, "queued"), (-1, "sending"), (-9, "sent"), (5, "queued")):
        at = now + timedelta(minutes=minutes)
        PushDelivery.objects.create(id=uuid4(), status=status, next_attempt_at=at, **due)
    assert (120 <= lag()[0] < 125, lag()[1]) == (True, "ok")
    Mail.objects.update(next_attempt_at=now - timedelta(minutes=6))
    assert (360 <= lag()[0] < 365, lag()[1]) == (True, "degraded")
    with CaptureQueriesContext(connection) as captured:
        lag()
    plans = []
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for statement in (each["sql"] for each in captured.captured_queries if "next_attempt_at" in each["sql"]):
            cursor.execute(f"EXPLAIN {statement}")
            plans.append(str(cursor.fetchall()))
    assert "mails_pending" in plans[0]
    assert "push_deliveries_due" in plans[1]


def test_pictures_go_where_they_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert health.is_writable(tmp_path / "media" / "profiles")
    assert not health.is_writable(tmp_path / "file" / "media")


def test_the_version_is_sent_once(caller: Caller, settings: Any) -> None:
    first = caller.get("/v1/version")
    assert first.json()["data"] == {"version": settings.VERSION, "api": "v1"}
    again = caller.get("/v1/version", **{"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    assert caller.get("/v1/version", **{"If-None-Match": '"other"'}).status_code == 200


def test_the_time_is_one_instant_in_two_forms(caller: Caller) -> None:
    with time_machine.travel("2025-12-05T10:00:00.123Z", tick=False):
        data = caller.get("/v1/time").json()["data"]
    assert data == {"server_time": "2025-12-05T10:00:00.123Z", "epoch_ms": 1764928800123}


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_documents_need_no_other_host(caller: Caller, path: str) -> None:
    page = caller.get(path).content.decode()
    assert "/v1/openapi.json" in page
    assert "//" not in page.replace("</", "").replace("<!", "")
