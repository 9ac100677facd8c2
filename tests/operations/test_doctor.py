"""The doctor: what is well is told, and each fault is found."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings
from websockets.sync.server import ServerConnection, serve

from notifications.models import PushDelivery, PushRoute
from syncapi import doctor
from telemetry import bridge_reports, safety
from telemetry.models import SafetyStop
from tests import make
from tests.clients import Phone
from zinzino import clock
from zinzino.ids import uuid7
from zinzino.redis_client import client
from zinzino.tasks import heartbeat

pytestmark = pytest.mark.django_db


def looked() -> dict[str, tuple[str, str]]:
    out = StringIO()
    with suppress(CommandError):
        call_command("doctor", "--json", stdout=out)
    return {part: (each["verdict"], each["text"]) for part, each in json.loads(out.getvalue()).items()}


@pytest.fixture
def healthy() -> None:
    heartbeat()
    call_command("partitions", stdout=StringIO())


@pytest.mark.usefixtures("healthy")
def test_what_works_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    for elsewhere in ("mqtt broker", "live channel"):
        monkeypatch.setitem(doctor.LOOKS, elsewhere, lambda: "listens")
    bridge()
    assert {part: verdict for part, (verdict, _) in looked().items() if verdict != "ok"} == {}
    out = StringIO()
    call_command("doctor", stdout=out)
    assert all(part in out.getvalue() for part in doctor.LOOKS)


@pytest.mark.usefixtures("healthy")
def test_it_leaves_nothing_in_the_storage(settings: Settings) -> None:
    looked()
    assert list(Path(settings.MEDIA_ROOT).glob("doctor/*")) == []


def no_beat() -> None:
    client().flushdb()


def late_push() -> None:
    alice = Phone(make.person("alice@example.com"))
    late = clock.now() - timedelta(minutes=5)
    PushDelivery.objects.create(
        id=uuid7(late),
        user=alice.user,
        kind="test",
        status="queued",
        created_at=late,
        next_attempt_at=late,
        expires_at=late + timedelta(hours=1),
    )


def refusing_route() -> None:
    until = clock.now() + timedelta(minutes=1)
    PushRoute.objects.update_or_create(
        name="fcm", defaults={"failures": 3, "open_until": until, "detail": "UNAUTHENTICATED"}
    )


def missing_trigger() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE devices DISABLE TRIGGER USER")


def stopped() -> None:
    safety.order(SafetyStop.Scope.ALL, "", reason="Look", until=None, by="ops", now=clock.now())


def lost_partition() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(relname) FROM pg_class WHERE relname ~ '^device_states_[0-9p_]+$'")
        cursor.execute(f"DROP TABLE {cursor.fetchone()[0]}")


def unapplied() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'sessions'")


@pytest.mark.usefixtures("healthy")
@pytest.mark.parametrize(
    ("happens", "part", "verdict", "says"),
    [
        (no_beat, "jobs", "fault", "No job has run"),
        (late_push, "pushes", "warning", "waits for 30"),
        (refusing_route, "pushes", "warning", "fcm refuses: UNAUTHENTICATED"),
        (missing_trigger, "sync capture", "fault", "Phones do not hear of everything"),
        (stopped, "safety stops", "warning", "all"),
        (lost_partition, "partitions", "warning", "missing: device_states_"),
        (unapplied, "migrations", "fault", "1 are not applied (sessions."),
    ],
)
def test_what_is_wrong_is_found(happens: Callable[[], None], part: str, verdict: str, says: str) -> None:
    happens()
    found = looked()
    assert found[part][0] == verdict
    assert says in found[part][1]


@pytest.mark.usefixtures("healthy")
def test_servers_that_are_away_are_faults_and_the_others_are_looked_at(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    settings.MQTT_HOST, settings.MQTT_PORT, settings.LIVE_URL = "127.0.0.1", 9, "ws://127.0.0.1:9"
    bridge()
    monkeypatch.setattr(doctor, "client", make.redis_away)
    settings.MEDIA_ROOT = "/proc/1/nowhere"
    found = looked()
    faults = {part for part, (verdict, _) in found.items() if verdict == "fault"}
    assert faults == {"valkey", "storage", "mail", "live channel", "mqtt broker"}
    assert found["database"][0] == "ok"
    with pytest.raises(CommandError, match="Not well: valkey, storage, mail, live channel, mqtt broker") as end:
        call_command("doctor", stdout=StringIO())
    assert end.value.returncode == 1


@pytest.mark.usefixtures("healthy")
def test_a_valkey_that_forgets_jobs_is_a_warning() -> None:
    before: Any = client().config_get("maxmemory-policy")
    client().config_set("maxmemory-policy", "allkeys-lru")
    try:
        assert looked()["valkey"] == (
            "warning",
            "maxmemory-policy is allkeys-lru: jobs would be lost without a word; set noeviction.",
        )
    finally:
        client().config_set("maxmemory-policy", before["maxmemory-policy"])


# ----------------------------------------------------------------------------------- dispensers and phones


def bridge(index: int = 0, *, ago_s: float = 5, **said: Any) -> None:
    state = {"connected": True, "stuck": False, "waiting": 3, **said}
    bridge_reports.tell(f"znz-bridge-1-{index}", **state, now=clock.now() - timedelta(seconds=ago_s))


BRIDGES: list[tuple[list[dict[str, Any]], str, str]] = [
    ([], "fault", "No bridge has reported"),
    ([{}], "ok", "znz-bridge-1-0: 3 messages wait"),
    ([{"ago_s": 120}], "fault", "No bridge has reported"),
    ([{"connected": False}], "fault", "znz-bridge-1-0 waits for the broker"),
    ([{}, {"stuck": True}], "fault", "znz-bridge-1-1 waits for the database"),
    ([{}, {"ago_s": 120}], "warning", "znz-bridge-1-1: start it again, or once with --drain"),
    ([{}, {"ago_s": 25 * 3600}], "ok", "znz-bridge-1-0: 3 messages wait"),
    ([{"waiting": 1500}], "warning", "1500 messages wait. Start another"),
]


@pytest.mark.usefixtures("healthy")
@pytest.mark.parametrize(("reports", "verdict", "says"), BRIDGES)
def test_how_the_bridges_are(reports: list[dict[str, Any]], verdict: str, says: str) -> None:
    for index, said in enumerate(reports):
        bridge(index, **said)
    found = looked()["mqtt bridges"]
    assert found[0] == verdict
    assert says in found[1]


@pytest.mark.usefixtures("healthy")
def test_a_bridge_that_left_for_good_is_not_missed() -> None:
    bridge(0)
    bridge(1, ago_s=120)
    bridge_reports.forget("znz-bridge-1-1")
    assert looked()["mqtt bridges"][0] == "ok"


@pytest.fixture
def listening() -> Iterator[None]:
    """A session at the database as the live process has it."""
    named = {**connection.get_connection_params(), "application_name": "zinzino-live"}
    with psycopg.connect(**named):
        yield


def closing(code: int) -> Callable[[ServerConnection], None]:
    return lambda socket: socket.close(code, "why")


@pytest.mark.usefixtures("healthy", "listening")
@pytest.mark.parametrize(
    ("does", "verdict", "says"),
    [
        (closing(4401), "ok", "answers"),
        (closing(1011), "fault", "1011"),
        (lambda socket: socket.send("hello"), "fault", "no live channel"),
    ],
)
def test_the_live_channel_is_asked_as_a_phone_would(
    settings: Settings, does: Callable[[ServerConnection], None], verdict: str, says: str
) -> None:
    with serve(does, "127.0.0.1", 0) as server, ThreadPoolExecutor(1) as pool:
        pool.submit(server.serve_forever)
        settings.LIVE_URL = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        found = looked()["live channel"]
        server.shutdown()
    assert found[0] == verdict
    assert says in found[1]


@pytest.mark.usefixtures("healthy")
def test_without_a_live_process_nobody_is_told(settings: Settings) -> None:
    assert looked()["live channel"] == ("fault", "No live process is connected to the database: start live.")


@pytest.mark.usefixtures("healthy", "listening")
def test_an_address_that_this_machine_does_not_reach_is_a_warning(settings: Settings) -> None:
    settings.LIVE_URL = "ws://127.0.0.1:9"
    assert looked()["live channel"][0] == "warning"


@pytest.mark.usefixtures("healthy", "listening")
def test_a_web_server_at_the_address_of_the_live_channel_is_a_fault(settings: Settings, live_server: Any) -> None:
    settings.LIVE_URL = live_server.url.replace("http", "ws")
    assert looked()["live channel"][0] == "fault"
