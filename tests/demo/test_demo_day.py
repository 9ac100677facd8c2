"""`manage.py demo_day`: it finds nothing odd about a good server, however bad the line, and says what is
odd about a bad one."""

import io
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
import time_machine
from django.core.management import CommandError, call_command
from pytest_django.live_server_helper import LiveServer
from rich.console import Console

from telemetry import dispensing, services
from telemetry.family import Situation
from telemetry.models import ActivityLog, Dispense
from zinzino.api.renderers import dumps
from zinzino.demo.day import Run, live_through
from zinzino.demo.display import Lines, LiveTable, Silent
from zinzino.demo.report import Scene
from zinzino.demo.scenes import SCENES
from zinzino.management.commands import demo_day

Tamper = Callable[[str, Any], Any]


class Line(httpx.HTTPTransport):
    """The way to the server, with whatever a test does to it."""

    def __init__(self, tamper: Tamper | None = None) -> None:
        super().__init__()
        self.tamper = tamper

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        if self.tamper is None:
            return response
        body = json.loads(response.read())
        if response.is_success:
            body["data"] = self.tamper(f"{request.method} {request.url.path}", body.get("data"))
        headers = {name: value for name, value in response.headers.items() if name.startswith("x-")}
        return httpx.Response(response.status_code, json=body, headers=headers, request=request)


class BadLine(Line):
    """Loses every tenth request and every tenth answer, and comes upon a busy server now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.dice = random.Random(7)  # noqa: S311  (the same luck every time)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        luck = self.dice.random()
        if luck < 0.1:
            raise httpx.ConnectError("no route")
        if luck < 0.2:
            status = self.dice.choice((429, 502, 503))
            return httpx.Response(status, json={"success": False, "error": {}}, headers={"Retry-After": "1"})
        response = super().handle_request(request)
        if luck < 0.3:
            response.read()
            raise httpx.ReadError("connection lost")
        return response


def day(server: LiveServer, transport: httpx.BaseTransport | None = None, **options: Any) -> dict[str, Any]:
    sleeps = options.pop("sleep", lambda _seconds: None)
    run = Run(server.url, seed=1, transport=transport or Line(), sleep=sleeps, **options)
    return live_through(run, Silent())


def surprised_in(report: dict[str, Any]) -> list[str]:
    return sorted({surprise["scene"] for surprise in report["surprises"]})


def told(report: dict[str, Any]) -> str:
    return "\n".join(f"{each['scene']}: {each['expected']} | {each['came']}" for each in report["surprises"])


def test_a_good_server_holds_no_surprise(live_server: LiveServer) -> None:
    out = io.StringIO()
    call_command("demo_day", url=live_server.url, json=True, seed=3, stdout=out)
    report = json.loads(out.getvalue())
    assert (report["ok"], report["faults"], report["doses"]) == (True, {}, {"poured": 2, "allowed_but_lost": 0})
    assert [scene["title"] for scene in report["scenes"]] == [title for title, _ in SCENES]
    assert Dispense.objects.count() == 2
    assert ActivityLog.objects.filter(action="dose_dispensed").count() == 2


def test_one_day_stays_below_the_default_limits(live_server: LiveServer) -> None:
    sent: dict[str, int] = {}

    def count(call: str, data: Any) -> Any:
        kinds = ("/auth/login", "/auth/register", "/sync/", "/states/")
        kind = next((kind for kind in kinds if kind in call), "general")
        sent[kind] = sent.get(kind, 0) + 1
        return data

    assert day(live_server, Line(count))["ok"]
    assert sent["/auth/login"] + sent["/auth/register"] <= 5
    assert sent["/sync/"] <= 20
    assert sent["general"] <= 100


def test_a_bad_line_changes_nothing_and_it_waits_as_long_as_it_is_told(live_server: LiveServer) -> None:
    waits: list[float] = []
    report = day(live_server, BadLine(), rounds=3, sleep=waits.append)
    assert report["ok"], told(report)
    assert report["doses"] == {"poured": 6, "allowed_but_lost": 0}
    assert Dispense.objects.count() == ActivityLog.objects.filter(action="dose_dispensed").count() == 6
    faults = report["faults"]
    assert set(faults) == {"ConnectError", "ReadError", "429", "502", "503"}
    asked_for = [seconds for seconds in waits if seconds >= 1]
    assert len(asked_for) >= faults["429"] + faults["502"] + faults["503"] >= 10
    assert len(waits) == sum(faults.values())


class Outage(Line):
    """The first tries of events are lost, on the way there or on the way back."""

    def __init__(self, *, arrives: bool, events: int) -> None:
        super().__init__()
        self.arrives = arrives
        self.events = events
        self.tried: set[bytes] = set()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        known = request.content in self.tried or len(self.tried) == self.events
        if known or "/states/" not in request.url.path:
            return super().handle_request(request)
        self.tried.add(request.content)
        if self.arrives:
            super().handle_request(request).read()
        raise httpx.ReadError("connection lost")


@pytest.mark.parametrize(
    ("arrives", "events", "doses"),
    [
        # The yes has expired when its answer comes at last: the dose counts, and nobody pours it.
        (True, 99, {"poured": 0, "allowed_but_lost": 2}),
        # The cup has become too old; the person lifts it and puts it back.
        (False, 3, {"poured": 2, "allowed_but_lost": 0}),
    ],
)
def test_an_outage_of_a_minute_pours_nothing_twice(
    live_server: LiveServer, arrives: bool, events: int, doses: dict[str, int]
) -> None:
    line = Outage(arrives=arrives, events=events)
    with time_machine.travel(datetime.now(UTC)) as traveller:
        report = day(live_server, line, sleep=lambda _seconds: traveller.shift(70), patience_s=3600)
    assert report["ok"], told(report)
    assert report["doses"] == doses


def test_a_server_that_repeats_a_yes_as_a_new_one_is_caught(
    live_server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = services.recorded_answer

    def forgetful(situation: Situation, recorded: dict[str, Any], *, cup_placed: bool) -> services.Answer:
        answer = original(situation, recorded, cup_placed=cup_placed)
        spent = {name: getattr(answer, name) for name in answer.__dataclass_fields__}
        return services.Answer(**spent | {"dispense_id": uuid4() if answer.should_dispense else None})

    monkeypatch.setattr(services, "recorded_answer", forgetful)
    report = day(live_server)
    assert {"the lost answer", "reckoning"} <= set(surprised_in(report))
    assert report["doses"]["poured"] == 3


def doubled_log(call: str, data: Any) -> Any:
    if call.endswith("/history"):
        data["activities"] *= 2
    return data


def lossy_delta(call: str, data: Any) -> Any:
    if call.endswith("/sync/delta"):
        data["new_activity_logs"] = []
    return data


def stale_device(call: str, data: Any) -> Any:
    """A change of a device that never reaches the phone."""
    if call.endswith("/sync/delta"):
        data["updated_devices"] = data["updated_devices"][:-1]
    return data


def talkative(call: str, data: Any) -> Any:
    if call.endswith("/status"):
        data["notifications_sent"] = ["low_supplement"]
    return data


def rotating_twice(call: str, data: Any) -> Any:
    return data | {"refresh_token": uuid4().hex} if call.endswith("/auth/refresh") else data


def turned_back(call: str, data: Any) -> Any:
    if call.startswith("POST") and "/states/" in call and data["reason"] == "event_too_old":
        data["cup_placed"] = True
    return data


def shapeless(call: str, data: Any) -> Any:
    return [] if call.endswith("/sync/delta") else data


@pytest.mark.parametrize(
    ("tamper", "scenes"),
    [
        (doubled_log, {"the lost answer", "reckoning"}),
        (lossy_delta, {"the phone is back", "reckoning"}),
        (stale_device, {"first contact"}),
        (talkative, {"first contact", "running low"}),
        (rotating_twice, {"tokens renewed"}),
        (turned_back, {"a late event"}),
        (shapeless, {"first contact"}),
    ],
)
def test_a_server_that_errs_is_caught(live_server: LiveServer, tamper: Tamper, scenes: set[str]) -> None:
    report = day(live_server, Line(tamper))
    assert not report["ok"]
    assert scenes <= set(surprised_in(report))


def test_keys_that_nobody_knows_are_no_surprise(live_server: LiveServer) -> None:
    def richer(_call: str, data: Any) -> Any:
        return data | {"brand_new": {"from": "tomorrow"}} if isinstance(data, dict) else data

    assert day(live_server, Line(richer))["ok"]


def answering(status: int, **headers: str) -> httpx.MockTransport:
    error = {"code": "X", "message": "x", "details": {}, "timestamp": "", "request_id": "1"}
    limits = {f"X-RateLimit-{name}": "1" for name in ("Limit", "Remaining", "Reset")}
    body = dumps({"success": False, "error": error})
    return httpx.MockTransport(
        lambda _: httpx.Response(status, content=body, headers={"X-Request-ID": "1", **limits, **headers})
    )


def test_a_crash_is_a_surprise_and_not_repeated() -> None:
    report = live_through(Run("http://server", 1, transport=answering(500)), Silent())
    assert (report["calls"], surprised_in(report)) == (1, ["sign up, sign in"])


def test_patience_ends() -> None:
    run = Run("http://server", 1, patience_s=5, transport=answering(503, **{"Retry-After": "9"}))
    report = live_through(run, Silent())
    assert report["surprises"][0]["expected"] == "the server answers in time"


def test_a_bare_answer_is_a_surprise() -> None:
    bare = httpx.MockTransport(lambda _: httpx.Response(201, json={"token": "x"}))
    report = live_through(Run("http://server", 1, transport=bare), Silent())
    assert "without X-Request-ID" in told(report)


def test_without_a_server_it_says_what_to_do() -> None:
    with pytest.raises(CommandError, match=r"No server answers at http://127.0.0.1:9 .* `make run`"):
        call_command("demo_day", url="http://127.0.0.1:9/")


@pytest.mark.parametrize("rounds", ["0", "-1", "many", "1000000"])
def test_a_senseless_number_of_rounds_is_refused(rounds: str) -> None:
    with pytest.raises(CommandError, match="--rounds"):
        call_command("demo_day", "--rounds", rounds)


def test_it_can_be_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo_day, "live_through", interrupted)
    with pytest.raises(CommandError, match="interrupted") as caught:
        call_command("demo_day", stdout=io.StringIO())
    assert caught.value.returncode == 130


def test_a_server_that_knows_no_interval_is_caught_and_the_command_says_so(
    live_server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lenient = tuple(rule for rule in dispensing.RULES if rule[0] != "min_interval")
    monkeypatch.setattr(dispensing, "RULES", lenient)
    out = io.StringIO()
    with pytest.raises(CommandError, match=r"surprises, see above \(--seed 4"):
        call_command("demo_day", url=live_server.url, seed=4, stdout=out)
    lines = out.getvalue()
    assert "  1 ???  a second dispenser of it" in lines
    assert "expected: the office knows of the kitchen's dose (reason: min_interval" in lines
    assert "reckoning: the office poured nothing ({})" in lines
    assert "calls  retries  surprises" in lines


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_a_table_that_fills(live_server: LiveServer) -> None:
    screen = Terminal()
    call_command("demo_day", url=live_server.url, stdout=screen)
    assert all(title in screen.getvalue() for title, _ in SCENES)
    assert "household 1 of 1" in screen.getvalue()
    assert "2 doses poured, 0 allowed but lost, all accounted for" in screen.getvalue()


def test_both_displays_tell_of_waiting() -> None:
    lines: list[str] = []
    scene = Scene("the morning cup")
    table = LiveTable(Console(file=io.StringIO()), [scene.title], rounds=2)
    for display in (Lines(lines.append), table):
        display.begins(scene, 2)
        display.waits("503, again in 1.0 s")
        display.waits("503, again in 2.0 s")
    assert lines == ["      503, again in 1.0 s"]
    assert table.table().caption == "household 2 of 2   503, again in 2.0 s"
