"""SIGTERM drains: web answers what it has begun, a worker ends its job or gives it back.

The live channel and the bridges stand in tests/live/test_failures.py and tests/mqtt/test_bridge.py.
"""

import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from celery import Celery
from django.conf import settings
from django.db import connection

from accounts.models import User
from syncapi.models import SyncChange
from tests import everything
from tests.clients import Phone
from tests.live.conftest import free_port, until
from tests.processes import bare_environment, end
from zinzino import embedded
from zinzino.redis_client import client

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.enable_socket]

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
QUEUE = "celery"
Start = Callable[..., subprocess.Popen[bytes]]


def environment(folder: Path) -> dict[str, str]:
    """The product's own settings, on the servers and with the keys of the tests."""
    server = embedded.urls(settings.DATA_DIR)[0].rpartition("/")[0]
    return {
        **bare_environment(),
        "ENVIRONMENT": "test",
        "DATA_DIR": str(folder),
        "DATABASE_URL": f"{server}/{connection.settings_dict['NAME']}",
        "REDIS_URL": settings.REDIS_URL,
        "SECRET_KEY": settings.SECRET_KEY,
        "JWT_SIGNING_KEY": settings.JWT_SIGNING_KEY,
        "DJANGO_SETTINGS_MODULE": "zinzino.settings",
        "WEB_WORKERS": "2",
    }


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    begun: list[subprocess.Popen[bytes]] = []

    def run(*command: str, **more: str) -> subprocess.Popen[bytes]:
        with (tmp_path / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=settings.BASE_DIR,
                env=environment(tmp_path) | more,
                stdout=log,
                stderr=log,
            )
        begun.append(process)
        return process

    yield run
    for process in begun:
        end(process)


@contextmanager
def held(statement: str, *parameters: Any) -> Iterator[None]:
    """A row that somebody else has locked for this while."""
    params = connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}
    with closing(psycopg.connect(**params)) as other:
        other.execute(statement, parameters)
        yield


def somebody_waits() -> bool:
    return bool(everything.asked(WAITING)[0][0])


def answers(port: int) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=2)) as probe:
        try:
            probe.request("GET", "/health/ready")
            return probe.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False


def rename(port: int, token: str) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as phone:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        phone.request("PUT", "/v1/profile", json.dumps({"full_name": "Alice Again"}), headers)
        return phone.getresponse().status


def test_web_answers_the_request_that_it_has_begun(alice: Phone, start: Start, tmp_path: Path) -> None:
    port = free_port()
    web = start("manage.py", "serve", "web", PORT=str(port))
    assert until(lambda: answers(port), 60), (tmp_path / "log").read_text()
    with ThreadPoolExecutor(1) as pool:
        with held("SELECT FROM users WHERE id = %s FOR UPDATE", alice.user.pk):
            slow = pool.submit(rename, port, alice.token)
            assert until(somebody_waits)
            web.send_signal(signal.SIGTERM)
            time.sleep(1.0)
            assert not slow.done()
        assert slow.result(timeout=20) == 200
    assert web.wait(20) == 0
    assert User.objects.get().full_name == "Alice Again"
    assert not answers(port)


# ------------------------------------------------------------------------------------------- a worker


@pytest.fixture
def old_tombstone(alice: Phone) -> None:
    SyncChange.objects.create(
        user=alice.user,
        kind="notification",
        object_id=alice.user.pk,
        op="D",
        ts=alice.user.created_at - timedelta(days=200),
        created_ts=alice.user.created_at - timedelta(days=200),
    )


def asked() -> None:
    # Not the current app: the tasks of the tests that follow would be its own.
    with closing(Celery(broker=embedded.broker_url(settings.REDIS_URL), set_as_current=False)) as app:
        app.send_task("syncapi.tasks.prune_sync")


def jobs() -> tuple[int, int]:
    """How many wait, and how many a worker has and has not finished."""
    queue: Any = client()
    return queue.llen(QUEUE), queue.hlen("unacked")


def tombstones() -> int:
    return SyncChange.objects.filter(op="D").count()


@pytest.mark.usefixtures("old_tombstone")
def test_a_worker_ends_the_job_that_it_has_begun(alice: Phone, start: Start, tmp_path: Path) -> None:
    worker = start("manage.py", "serve", "worker")
    with held("SELECT FROM sync_clock WHERE user_id = %s FOR UPDATE", alice.user.pk):
        asked()
        assert until(somebody_waits, 60), (tmp_path / "log").read_text()
        worker.send_signal(signal.SIGTERM)
        time.sleep(1.0)
        assert (worker.poll(), tombstones()) == (None, 1)
    assert worker.wait(20) == 0
    assert (tombstones(), jobs()) == (0, (0, 0))


@pytest.mark.usefixtures("old_tombstone")
def test_a_job_that_does_not_end_in_time_is_given_back_and_done_by_the_next(
    alice: Phone, start: Start, tmp_path: Path
) -> None:
    worker = start("manage.py", "serve", "worker", DATABASE_STATEMENT_TIMEOUT_MS="60000")
    with held("SELECT FROM sync_clock WHERE user_id = %s FOR UPDATE", alice.user.pk):
        asked()
        assert until(somebody_waits, 60), (tmp_path / "log").read_text()
        worker.send_signal(signal.SIGTERM)
        worker.wait(30)
        assert (tombstones(), jobs()) == (1, (1, 0)), (tmp_path / "log").read_text()
    next_one = start("manage.py", "serve", "worker")
    assert until(lambda: not tombstones(), 60), (tmp_path / "log").read_text()
    next_one.send_signal(signal.SIGTERM)
    assert next_one.wait(30) == 0
    assert jobs() == (0, 0)
