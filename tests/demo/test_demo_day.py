"""`manage.py demo_day`: it finds nothing odd about a good server, however bad the line, and says what is
odd about a bad one."""

import io
import json
import random
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest
from django.core.management import CommandError, call_command
from pytest_django.live_server_helper import LiveServer
from rich.console import Console

from telemetry import dispensing, services
from telemetry.models import ActivityLog, Dispense
from zinzino.api.renderers import dumps
from zinzino.demo.day import NoServer, Run, live_through
from zinzino.demo.display import Lines, LiveTable, Silent
from zinzino.demo.scenes import SCENES

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


def test_a_bad_line_changes_nothing(live_server: LiveServer) -> None:
    report = day(live_server, BadLine(), rounds=3)
    assert report["ok"], told(report)
    assert report["doses"] == {"poured": 6, "allowed_but_lost": 0}
    assert Dispense.objects.count() == ActivityLog.objects.filter(action="dose_dispensed").count() == 6
    assert {"ConnectError", "ReadError", "429", "502", "503"} <= set(report["faults"])


def test_it_waits_as_long_as_it_is_told(live_server: LiveServer) -> None:
    waits: list[float] = []
    day(live_server, BadLine(), sleep=waits.append)
    asked_for = [seconds for seconds in waits if seconds >= 1]
    assert len(asked_for) >= 3
    assert all(1 <= seconds <= 1.5 for seconds in asked_for)


def test_a_server_that_repeats_a_yes_as_a_new_one_is_caught(
    live_server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = services.recorded_answer

    def forgetful(situation: services.Situation, recorded: dict[str, Any]) -> services.Answer:
        answer = original(situation, recorded)
        spent = {name: getattr(answer, name) for name in answer.__dataclass_fields__}
        return services.Answer(**spent | {"dispense_id": uuid4() if answer.should_dispense else None})

    monkeypatch.setattr(services, "recorded_answer", forgetful)
    report = day(live_server)
    assert {"the lost answer", "reckoning"} <= set(surprised_in(report))
    assert report["doses"]["poured"] == 3


@pytest.fixture
def _without_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    lenient = tuple(rule for rule in dispensing.RULES if rule[0] != "min_interval")
    monkeypatch.setattr(dispensing, "RULES", lenient)


@pytest.mark.usefixtures("_without_interval")
def test_a_server_that_knows_no_interval_is_caught(live_server: LiveServer) -> None:
    assert {"a second dispenser of it", "reckoning"} <= set(surprised_in(day(live_server)))


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
    with pytest.raises(NoServer, match="make run"):
        live_through(Run("http://127.0.0.1:9", 1), Silent())


@pytest.mark.usefixtures("_without_interval")
def test_the_command_fails_and_prints_what_it_expected(live_server: LiveServer) -> None:
    out = io.StringIO()
    with pytest.raises(CommandError, match=r"surprises, see above \(--seed 4"):
        call_command("demo_day", url=live_server.url, seed=4, stdout=out)
    lines = out.getvalue()
    assert "  1 ???  a second dispenser of it" in lines
    assert "expected: the office knows of the kitchen's dose (reason: min_interval" in lines
    assert "calls  retries  surprises" in lines


def test_both_displays_show_every_scene(live_server: LiveServer) -> None:
    screen = io.StringIO()
    lines: list[str] = []
    console = Console(file=screen, force_terminal=True, width=100)
    run = Run(live_server.url, 1, transport=BadLine(), sleep=lambda _seconds: None)
    with LiveTable(console, [title for title, _ in SCENES], rounds=1) as display:
        assert live_through(run, display)["ok"]
    assert live_through(run, Lines(lines.append))["ok"]
    for title, _ in SCENES:
        assert title in screen.getvalue()
        assert any(f"ok   {title}" in line for line in lines)
