"""Servers that restart, connections that break: the copy comes out right."""

import contextlib
import json
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, Mock

import pytest
import redis
from django.db import connection
from websockets.exceptions import ConnectionClosedError

from examples.live_client import LiveClient
from examples.sync_client import Refused
from syncapi.live import tickets
from tests.clients import Phone, Unit
from tests.live.conftest import Server, another_sign_in, free_port, ticket_of, until
from tests.settings import WORKER
from tests.syncapi.phone import SyncedPhone
from zinzino.embedded.valkey import executable

pytestmark = pytest.mark.django_db(transaction=True)


@contextlib.contextmanager
def kept_up(path: str, api: Phone) -> Iterator[None]:
    """The reference client at work on a thread, until its session ends."""
    reasons: list[str] = []

    def work() -> None:
        try:
            LiveClient(SyncedPhone(api, path)).run()
        except Refused as refusal:
            reasons.append(refusal.reason)
        finally:
            connection.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    api.post("/auth/logout")
    thread.join(30)
    assert reasons == ["session_revoked"]


def name_in(path: str) -> str:
    with contextlib.closing(sqlite3.connect(path)) as copy:
        found = copy.execute("SELECT body FROM copy WHERE kind = 'profile'").fetchone()
        return str(json.loads(found[0])["full_name"]) if found else ""


class Enough(Exception):
    """Ends a client that would go on for ever."""


def test_a_server_that_ends_while_a_phone_knocks_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    copy = MagicMock(sync=Mock(side_effect=[None, Enough]), last_sync="")
    monkeypatch.setattr("examples.live_client.connect", Mock(side_effect=ConnectionClosedError(None, None)))
    monkeypatch.setattr("examples.live_client.LONGEST_PAUSE_S", 0.0)
    with pytest.raises(Enough):
        LiveClient(copy).run()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_leaves_no_gap(
    servers: Callable[..., Server],
    alice: Phone,
    kitchen: Unit,
    tmp_path: Path,
    signum: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("examples.live_client.LONGEST_PAUSE_S", 0.5)
    server, path = servers(), str(tmp_path / "copy.sqlite")
    SyncedPhone(alice, path).sync()
    with kept_up(path, another_sign_in(alice)):
        alice.put("/profile", {"full_name": "Before"})
        assert until(lambda: name_in(path) == "Before")
        server.stop(signum)
        alice.put("/profile", {"full_name": "While away"})
        kitchen.cup(True)
        time.sleep(0.5)
        server.start()
        alice.put("/profile", {"full_name": "After"})
        assert until(lambda: name_in(path) == "After", 60)
    assert SyncedPhone(alice, path).copy == SyncedPhone(alice).full()


def test_sigterm_says_come_again_and_ends_soon(servers: Callable[..., Server], alice: Phone, bob: Phone) -> None:
    server = servers()
    listeners = [server.open(phone) for phone in (alice, bob) for _ in range(3)]
    for listener in listeners:
        listener.page()
    assert server.stop() < 4
    assert [listener.end()[0] for listener in listeners] == [1012] * 6
    assert "Traceback" not in server.said()


def test_without_valkey_sockets_go_on_and_afterwards_tickets_work_again(
    servers: Callable[..., Server], alice: Phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    valkey = started_valkey(port, tmp_path)
    server = servers(REDIS_URL=f"redis://127.0.0.1:{port}/0")
    monkeypatch.setattr(tickets, "client", lambda: redis_at(port))
    listener = server.open(alice)
    listener.page()
    redis_at(port).flushall()
    alice.put("/profile", {"full_name": "Flushed"})
    assert listener.page()["updated_profile"]["full_name"] == "Flushed"

    unspent = ticket_of(alice)
    valkey.kill()
    valkey.wait()
    alice.put("/profile", {"full_name": "Killed"})
    assert listener.page()["updated_profile"]["full_name"] == "Killed"
    assert server.dial(unspent).end() == (1013, "unavailable")
    assert server.open_by_header(alice.token).page()["sync_status"] == "success"
    alice.post("/auth/logout")
    assert listener.end() == (4401, "session_revoked")

    valkey = started_valkey(port, tmp_path)
    assert server.dial(unspent).end() == (4401, "ticket_invalid")
    valkey.kill()
    valkey.wait()


def started_valkey(port: int, folder: Path) -> subprocess.Popen[bytes]:
    command = [executable(), "--port", str(port), "--dir", str(folder), "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def answers() -> bool:
        with contextlib.suppress(Exception):
            return bool(redis_at(port).ping())
        return False

    assert until(answers)
    return process


def redis_at(port: int) -> Any:
    return redis.Redis(host="127.0.0.1", port=port, db=WORKER + 1)


def test_connections_that_the_database_cuts_are_opened_again(live: Server, alice: Phone) -> None:
    listener = live.open(alice)
    listener.page()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert cursor.fetchone()[0] >= 2
    alice.put("/profile", {"full_name": "Alice A."})
    assert listener.page(within_s=15)["updated_profile"]["full_name"] == "Alice A."


def test_no_ticket_stands_in_the_log_of_the_server(live: Server, alice: Phone) -> None:
    ticket = ticket_of(alice)
    live.dial(ticket).page()
    assert live.dial(ticket).end()[0] == 4401
    said = live.said()
    assert ticket.removeprefix("zlt_") not in said
    assert "zlt_" not in said


def test_rest_is_not_served_here(live: Server, alice: Phone) -> None:
    import http.client as plain

    for path in ("/v1/profile", "/admin/", "/v1/live"):
        with contextlib.closing(plain.HTTPConnection("127.0.0.1", live.port, timeout=5)) as line:
            line.request("GET", path, headers={"Authorization": f"Bearer {alice.token}"})
            assert line.getresponse().status == 404
