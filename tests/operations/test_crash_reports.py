"""Sentry hears of failures, and of nobody."""

import gzip
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import sentry_sdk
import structlog
from pytest_django import Settings

from tests import make
from tests.clients import Api, Phone, Unit
from tests.test_settings import PRODUCTION, ROOT, manage
from zinzino import settings as product
from zinzino.crash_reports import CrashReports
from zinzino.tasks import heartbeat

pytestmark = [pytest.mark.enable_socket]


class Sentry:
    """What it receives, byte for byte and as events."""

    def __init__(self) -> None:
        self.received: list[str] = []
        self.paths: list[str] = []

    @property
    def events(self) -> list[dict[str, Any]]:
        """The third line of each envelope: after its head and that of its item."""
        sentry_sdk.flush(timeout=5)
        return [json.loads(body.splitlines()[2]) for body in self.received]


@pytest.fixture
def sentry(settings: Settings) -> Iterator[Sentry]:
    fake = Sentry()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            zipped = self.headers.get("Content-Encoding") == "gzip"
            fake.received.append((gzip.decompress(body) if zipped else body).decode())
            fake.paths.append(f"{self.path} {self.headers}")
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.SENTRY_DSN = f"http://public-key@127.0.0.1:{server.server_port}/1"
    handler = CrashReports()
    logging.getLogger().addHandler(handler)
    yield fake
    logging.getLogger().removeHandler(handler)
    sentry_sdk.get_client().close(timeout=5)
    sentry_sdk.get_global_scope().set_client(None)
    server.shutdown()
    server.server_close()


def types(event: dict[str, Any]) -> list[str]:
    return [each["type"] for each in event["exception"]["values"]]


SECRETS = {
    "mail": "ayse.yilmaz@example.com",
    "password": "Very-Secret-123",
    "name": "Ayşe Yılmaz",
    "query": "tok3n-of-a-link",
    "address": "203.0.113.77",
    "agent": "Ayses-Phone/9",
}


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A login that fails, quoting all it was given, with locals and a cause that do so too."""

    def login(**given: Any) -> Any:
        local = dict(given)
        try:
            raise ValueError(f"Key (email)=({SECRETS['mail']}) already exists, {local}")
        except ValueError as error:
            raise RuntimeError(f"{given} {SECRETS['password']} {SECRETS['name']}") from error

    monkeypatch.setattr("accounts.services.login", login)


@pytest.mark.usefixtures("broken")
def test_a_failure_is_told_with_its_place_and_nothing_of_who_met_it(alice: Phone, sentry: Sentry) -> None:
    answer = alice.send(
        "POST",
        f"/auth/login?token={SECRETS['query']}",
        {"email": SECRETS["mail"], "password": SECRETS["password"]},
        REMOTE_ADDR=SECRETS["address"],
        HTTP_USER_AGENT=SECRETS["agent"],
        HTTP_COOKIE="sessionid=abcdef0123456789",
        HTTP_X_FORWARDED_FOR=SECRETS["address"],
    )
    assert answer.status_code == 500
    [event] = sentry.events
    assert types(event) == ["ValueError", "RuntimeError"]
    assert event["exception"]["values"][-1]["stacktrace"]["frames"][-1]["function"] == "login"
    assert event["tags"] == {
        "request_id": answer.error["request_id"],
        "route": "auth/login",
        "method": "POST",
    }
    assert (event["release"], event["environment"]) == (f"zinzino@{product.VERSION}", "test")
    sent = sentry.received[0] + sentry.paths[0]
    people = [*SECRETS.values(), "abcdef0123456789", alice.token, alice.token.split(".")[1], str(alice.user.pk)]
    assert [each for each in people if each in sent or json.dumps(each)[1:-1] in sent] == []
    assert set(event) <= {
        *("event_id", "timestamp", "level", "platform", "release", "environment", "logger", "message", "tags"),
        "exception",
    }
    frames = [frame for each in event["exception"]["values"] for frame in each["stacktrace"]["frames"]]
    assert {name for frame in frames for name in frame} == {"filename", "function", "module", "lineno", "in_app"}


def test_a_job_that_fails_is_told_by_its_name(sentry: Sentry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zinzino.tasks.client", Mock(side_effect=KeyError(SECRETS["mail"])))
    heartbeat.apply()
    told = [(event["tags"]["job"], types(event)) for event in sentry.events]
    assert told == [("zinzino.tasks.heartbeat", ["KeyError"])]
    assert SECRETS["mail"] not in "".join(sentry.received)


def test_lines_of_ours_are_told_by_their_constant_words(sentry: Sentry) -> None:
    structlog.get_logger("notifications.routes").error("pushes are held back", detail=SECRETS["mail"])
    try:
        raise OSError(SECRETS["mail"])
    except OSError:
        structlog.get_logger("telemetry.bridge").exception("a batch was lost", batch=SECRETS["name"])
    logging.getLogger("zinzino.api.errors").error("no field has refused %s", SECRETS["mail"])
    logging.getLogger("another.package").error(f"cannot send to {SECRETS['mail']}")  # noqa: G004
    logging.getLogger("zinzino.api.errors").warning("a dependency is down")
    events = sentry.events
    assert [event["message"] for event in events if "exception" not in event] == [
        "pushes are held back",
        "no field has refused %s",
        "another.package",
    ]
    assert [types(event) for event in events if "exception" in event] == [["OSError"]]
    assert not any(secret in "".join(sentry.received) for secret in SECRETS.values())


def test_a_dependency_that_is_away_is_no_crash(
    kitchen: Unit, sentry: Sentry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import OperationalError

    monkeypatch.setattr("telemetry.services.report_state", Mock(side_effect=OperationalError("host=10.0.0.7")))
    assert kitchen.cup(True).status_code == 503
    assert sentry.events == []


def test_refusals_are_no_crashes(db: None, sentry: Sentry) -> None:
    assert Api().post("/auth/login", {"email": "a@example.com", "password": make.PASSWORD}).status_code == 401
    assert Api().get("/no/such/path").status_code == 404
    assert sentry.events == []


def test_a_sentry_that_is_away_costs_nobody_their_answer(alice: Phone, broken: None, settings: Settings) -> None:
    settings.SENTRY_DSN = "http://public-key@127.0.0.1:9/1"
    handler = CrashReports()
    logging.getLogger().addHandler(handler)
    try:
        body = {"email": SECRETS["mail"], "password": SECRETS["password"]}
        assert alice.post("/auth/login", body).error["code"] == "INTERNAL_ERROR"
    finally:
        logging.getLogger().removeHandler(handler)
        sentry_sdk.get_client().close(timeout=0)
        sentry_sdk.get_global_scope().set_client(None)


LOADED = "import django, sys; django.setup(); print('sentry_sdk' in sys.modules)"


@pytest.mark.parametrize(("dsn", "loaded"), [("", "False"), ("http://key@127.0.0.1:9/1", "True")])
def test_it_is_loaded_only_where_it_is_wanted(tmp_path: Path, dsn: str, loaded: str) -> None:
    environment = {"DATA_DIR": str(tmp_path), "SENTRY_DSN": dsn, "DJANGO_SETTINGS_MODULE": "zinzino.settings"}
    done = subprocess.run(
        [sys.executable, "-c", LOADED], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == loaded, done.stderr


def test_production_reports_over_tls_only(tmp_path: Path) -> None:
    done = manage(PRODUCTION | {"SENTRY_DSN": "http://key@sentry.example/1"}, tmp_path, "check")
    assert "SENTRY_DSN must be https" in done.stderr
