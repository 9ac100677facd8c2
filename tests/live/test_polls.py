"""`GET /iot/commands?wait=`: a dispenser waits for a command, and nothing else waits for the dispenser."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from http.client import HTTPConnection
from typing import Any

import psutil
import pytest
from django.db import connection

from devices import credentials
from devices.models import Device, DeviceCommand
from tests.clients import Phone, Unit
from tests.live.conftest import Server, until
from zinzino import clock
from zinzino.ids import uuid7

pytestmark = pytest.mark.django_db(transaction=True)
HOUR = timedelta(hours=1)
Answer = tuple[int, dict[str, Any], dict[str, str]]


def ask(server: Server, token: str, query: str = "?wait=10", *, method: str = "GET", mount: str = "/v1") -> Answer:
    """Status, body and headers."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with contextlib.closing(HTTPConnection("127.0.0.1", server.port, timeout=40)) as line:
        line.request(method, f"{mount}/iot/commands{query}", headers=headers)
        answer = line.getresponse()
        return answer.status, json.loads(answer.read() or b"{}"), dict(answer.getheaders())


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as made:
        yield made


def polls_until(unit: Unit) -> Any:
    return Device.objects.values_list("polls_until", flat=True).get(pk=unit.id)


def waiting(pool: ThreadPoolExecutor, server: Server, unit: Unit, query: str = "?wait=10") -> Future[Answer]:
    """A poll that has been looked at once and sleeps."""
    before = polls_until(unit)
    asked = pool.submit(ask, server, unit.token, query)
    assert until(lambda: polls_until(unit) != before)
    time.sleep(0.1)
    return asked


def given(phone: Phone, unit: Unit, kind: str = "identify") -> str:
    answer = phone.post(f"/devices/{unit.id}/commands", {"type": kind})
    assert answer.status_code == 202, answer.error
    return str(answer.data["id"])


def ids(answer: Answer) -> list[str]:
    assert answer[0] == 200, answer
    return [each["id"] for each in answer[1]["data"]["commands"]]


def test_a_command_ends_the_wait_at_once(
    live: Server, alice: Phone, kitchen: Unit, pool: ThreadPoolExecutor
) -> None:
    asked = waiting(pool, live, kitchen)
    began = time.monotonic()
    # `identify` is never queued for a dispenser that is not there: who waits is.
    command = given(alice, kitchen)
    assert ids(asked.result(timeout=20)) == [command]
    assert time.monotonic() - began < 3
    assert DeviceCommand.objects.get().status == "sent"


def test_what_waits_is_told_at_once_again_and_again(live: Server, alice: Phone, kitchen: Unit) -> None:
    command = given(alice, kitchen, "reboot")
    began = time.monotonic()
    assert ids(ask(live, kitchen.token)) == ids(ask(live, kitchen.token, mount="/api")) == [command]
    assert time.monotonic() - began < 5


def test_where_nothing_comes_the_answer_is_empty_and_in_time(live: Server, kitchen: Unit) -> None:
    began = time.monotonic()
    assert ids(ask(live, kitchen.token, "?wait=1")) == []
    assert 1 <= time.monotonic() - began < 5
    for query in ("", "?wait=0"):
        began = time.monotonic()
        assert ids(ask(live, kitchen.token, query)) == []
        assert time.monotonic() - began < 1


def test_a_command_of_another_wakes_nobody(
    live: Server, alice: Phone, bob: Phone, kitchen: Unit, pool: ThreadPoolExecutor
) -> None:
    parlour = bob.dispenser()
    asked = waiting(pool, live, kitchen, "?wait=2")
    given(bob, parlour, "reboot")
    assert ids(asked.result(timeout=20)) == []


def test_it_answers_what_rest_answers(live: Server, alice: Phone, kitchen: Unit) -> None:
    given(alice, kitchen, "reboot")
    cases: list[tuple[str, str]] = [
        ("", ""),
        ("znd_nonsense", "?wait=5"),
        (alice.token, "?wait=5"),
        (kitchen.token, "?wait=26"),
        (kitchen.token, "?wait=-1"),
        (kitchen.token, "?wait=x"),
        (kitchen.token, "?wait=%00"),
        (kitchen.token, "?wait=0"),
    ]
    for token, query in cases:
        status, said, headers = ask(live, token, query)
        of_rest = Unit(kitchen.id, token).get(f"/iot/commands{query}")
        assert status == of_rest.status_code, query
        assert said.get("data") == of_rest.json().get("data")
        assert said.get("error", {}).get("code") == (of_rest.error or {}).get("code")
        own = {name.lower() for name in headers} - {"date", "connection"}
        assert {name.lower() for name in of_rest.headers} == own
    assert ask(live, kitchen.token, "", method="POST")[0] == 405
    assert ask(live, kitchen.token, "", method="HEAD")[:2] == (200, {})


def test_a_token_that_ended_meanwhile_hears_of_no_command(
    live: Server, alice: Phone, kitchen: Unit, pool: ThreadPoolExecutor
) -> None:
    asked = waiting(pool, live, kitchen)
    credentials.revoke(kitchen.id, now=clock.now())
    given(alice, kitchen)
    status, said, _ = asked.result(timeout=20)
    assert (status, said["error"]["code"]) == (401, "UNAUTHORIZED")
    assert DeviceCommand.objects.get().status == "queued"


def test_who_asks_anew_has_given_up_what_it_asked_before(
    live: Server, alice: Phone, kitchen: Unit, pool: ThreadPoolExecutor
) -> None:
    first = waiting(pool, live, kitchen)
    second = waiting(pool, live, kitchen)
    assert ids(first.result(timeout=2)) == []
    assert not second.done()
    command = given(alice, kitchen)
    assert ids(second.result(timeout=20)) == [command]


def test_a_thief_of_an_old_token_ends_nobody_s_wait(
    live: Server, alice: Phone, kitchen: Unit, pool: ThreadPoolExecutor
) -> None:
    token = kitchen.post("/iot/credentials/rotate").data["token"]
    own = Unit(kitchen.id, token)
    asked = waiting(pool, live, own)
    assert ask(live, kitchen.token)[0] == 401
    time.sleep(0.2)
    assert not asked.done()
    given(alice, kitchen)
    assert len(ids(asked.result(timeout=20))) == 1


def test_those_beyond_the_limit_are_told_so_and_a_place_is_free_when_its_client_goes(
    servers: Callable[..., Server], alice: Phone, kitchen: Unit, pool: ThreadPoolExecutor
) -> None:
    server = servers(LIVE_MAX_POLLS="1")
    cellar = alice.dispenser(device_type="vitamin_d")
    line = HTTPConnection("127.0.0.1", server.port, timeout=40)
    line.request("GET", "/v1/iot/commands?wait=25", headers={"Authorization": f"Bearer {kitchen.token}"})
    assert until(lambda: polls_until(kitchen))
    status, said, headers = ask(server, cellar.token, "?wait=5")
    assert (status, said["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert int(headers["retry-after"]) > 0
    line.close()
    assert until(lambda: ask(server, cellar.token, "?wait=0")[0] == 200, 5)


def test_a_hint_that_is_lost_costs_a_sweep(
    servers: Callable[..., Server], kitchen: Unit, pool: ThreadPoolExecutor
) -> None:
    server = servers(LIVE_SWEEP_S="1")
    asked = waiting(pool, server, kitchen)
    now = clock.now()
    # Nobody notifies.
    silent = DeviceCommand.objects.create(
        id=uuid7(now), device_id=kitchen.id, type="sync", params={}, created_at=now, expires_at=now + HOUR
    )
    assert ids(asked.result(timeout=5)) == [str(silent.id)]


def test_who_waits_is_answered_when_the_process_ends(
    servers: Callable[..., Server], kitchen: Unit, pool: ThreadPoolExecutor
) -> None:
    server = servers()
    asked = waiting(pool, server, kitchen, "?wait=25")
    assert server.stop() < 4
    assert ids(asked.result(timeout=5)) == []


def test_a_fleet_that_waits_costs_no_thread_and_keeps_nobody_from_a_socket(live: Server, alice: Phone) -> None:
    units = [alice.dispenser() for _ in range(60)]
    lines = [HTTPConnection("127.0.0.1", live.port, timeout=40) for _ in units]
    threads = threads_of(live)
    for line, unit in zip(lines, units, strict=True):
        line.request("GET", "/v1/iot/commands?wait=25", headers={"Authorization": f"Bearer {unit.token}"})
    assert until(lambda: Device.objects.exclude(polls_until=None).count() == 60)
    # Those of its pools alone, which are the same for one dispenser and for thousands.
    assert threads_of(live) <= threads + 2
    assert sessions() <= 4 + 2 + 2 + 1
    live.open(alice).page()
    for unit in units:
        given(alice, unit)
    assert all(len(json.loads(line.getresponse().read())["data"]["commands"]) == 1 for line in lines)
    for line in lines:
        line.close()


def threads_of(server: Server) -> int:
    assert server.process
    return int(psutil.Process(server.process.pid).num_threads())


def sessions() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'zinzino-live'")
        return int(cursor.fetchone()[0])
