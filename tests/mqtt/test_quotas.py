"""One dispenser that says too much is not heard, and keeps nobody waiting (docs/device-protocol.md, Too much)."""

import asyncio
import subprocess
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from random import Random
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
import time_machine
from pytest_django import Settings

from examples.mqtt_line import MqttLine
from telemetry import quotas
from telemetry.bridge import Address, Bridge
from telemetry.models import DeviceState, Dispense
from telemetry.simulation import lines
from telemetry.simulation.faults import Faults
from telemetry.simulation.fleet import Simulated
from telemetry.topics import HANDLERS
from tests.clients import Phone, Unit
from tests.mqtt.conftest import Broker, Dispenser, until
from tests.mqtt.test_bridge import envelope, event
from zinzino import clock, metrics

Start = Callable[..., subprocess.Popen[bytes]]
LOUD, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)
NOTED = {"ev": [{"boot": 1}]}


class Line:
    """The client of a bridge: what it acknowledged to the broker and what it told dispensers."""

    def __init__(self) -> None:
        self.acked: list[int] = []
        self.told: list[tuple[str, dict[str, Any]]] = []

    def ack(self, mid: int, qos: int) -> None:
        self.acked.append(mid)

    def publish(self, topic: str, payload: bytes, **_: Any) -> None:
        self.told.append((topic, orjson.loads(payload)))


@pytest.fixture
def bridge(settings: Settings) -> Bridge:
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "iot": 3, "dispense": 2}
    made = Bridge("znz-bridge-1-0", Address("127.0.0.1", 9, "", ""))
    made.client = Line()  # type: ignore[assignment]
    return made


def hear(bridge: Bridge, device_id: uuid.UUID, *kinds: str, qos: int = 1) -> list[str]:
    """What of it was let in."""
    before = bridge.waiting.qsize()
    for kind in kinds:
        came = SimpleNamespace(
            mid=next(MIDS), qos=qos, dup=False, topic=f"znz/v1/{device_id}/up/{kind}", payload=b"{}"
        )
        bridge._on_message(bridge.client, None, came)  # type: ignore[arg-type]
    let_in = sorted(bridge.waiting.queue, key=lambda each: each[1])[before:]
    return [message.topic.rpartition("/")[2] for _, _, message in let_in]


MIDS = iter(range(1, 1_000_000))


def test_what_waits_is_counted_as_it_comes(bridge: Bridge) -> None:
    """Not only when a batch ends: where none ends any more, the alert asks for what waits."""
    hear(bridge, uuid.uuid4(), "evt", "hb")
    assert waiting() == 2
    bridge.stopping.set()
    assert len(bridge.next_batch()) == 2
    assert waiting() == 0


def test_what_is_counted_too_late_is_forgotten_when_nothing_comes(bridge: Bridge) -> None:
    metrics.BRIDGE_WAITING.set(1)
    bridge.stopping.set()
    assert bridge.next_batch() == []
    assert waiting() == 0


def waiting() -> float | None:
    return metrics.COUNTED.get_sample_value("zinzino_bridge_waiting")


def line_of(bridge: Bridge) -> Line:
    line: Any = bridge.client
    assert isinstance(line, Line)
    return line


def limited(name: str) -> float:
    return metrics.COUNTED.get_sample_value("zinzino_bridge_limited_total", {"limit": name}) or 0


def test_what_is_too_much_takes_nobodys_place(bridge: Bridge) -> None:
    before = limited("iot")
    assert hear(bridge, LOUD, *["evt", "hello"] * 50) == ["evt", "hello", "evt"]
    assert hear(bridge, OTHER, "evt", "hb") == ["evt", "hb"]
    assert (bridge.counts["limited"], limited("iot") - before) == (97, 97)
    # To the broker it is acknowledged, to the unit it is not; and the unit is told so once.
    assert len(line_of(bridge).acked) == 97
    [(topic, told)] = line_of(bridge).told
    assert (topic, told["limit"]) == (f"znz/v1/{LOUD}/down/wait", "iot")
    assert 1 <= told["retry_after"] <= 120


def test_neither_a_request_nor_the_last_will_waits_for_telemetry(bridge: Bridge) -> None:
    hear(bridge, LOUD, *["evt"] * 20)
    assert hear(bridge, LOUD, "req", "presence", "req", "presence", "req", "presence", "evt") == [
        "req",
        "presence",
        "req",
        "presence",
        "presence",
    ]
    assert hear(bridge, LOUD, "presence", "nonsense") == []
    assert {told["limit"] for _, told in line_of(bridge).told} == {"iot", "dispense", "presence"}


def test_a_minute_later_it_is_heard_again(bridge: Bridge) -> None:
    with time_machine.travel(clock.now(), tick=False) as travel:
        hear(bridge, LOUD, *["evt"] * 5)
        travel.shift(timedelta(seconds=121))
        assert hear(bridge, LOUD, "evt") == ["evt"]


def test_a_heartbeat_too_many_is_not_acknowledged(bridge: Bridge) -> None:
    hear(bridge, LOUD, *["hb"] * 5, qos=0)
    assert (bridge.counts["limited"], line_of(bridge).acked) == (2, [])


def test_the_limits_are_those_of_http(settings: Settings) -> None:
    found = {kind: quotas.limit_of(f"znz/v1/{LOUD}/up/{kind}") for kind in (*HANDLERS, "evt")}
    assert found.pop("req") == settings.RATE_LIMITS["dispense"]
    assert set(found.values()) == {settings.RATE_LIMITS["iot"]}


def test_who_says_too_much_is_remembered_among_many(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "REMEMBERED", 5)
    for number in range(20):
        hear(bridge, uuid.UUID(int=number), *["evt"] * 4)
    assert len(bridge.quotas.told) == 5
    assert len(line_of(bridge).told) == 20


def test_the_reference_unit_waits_as_it_is_told() -> None:
    line = MqttLine(str(LOUD), lambda *_: pytest.fail("not over HTTP"), "127.0.0.1", 9)
    line.client = broker = Line()  # type: ignore[assignment]
    line.heard.put(("wait", {"limit": "dispense", "retry_after": 30}))
    line.heard.put(("wait", {"limit": "iot", "retry_after": 30}))
    for _ in range(2):
        assert line("POST", "/iot/events", {"ev": []}, "") == (429, {})
        assert line("POST", "/iot/dispense/request", {"request_id": "1"}, "") == (429, {})
    assert len(broker.told) == 1
    line.quiet.clear()
    line.heard.put(("ack", {"boot": 1, "seq": 1}))
    assert line("POST", "/iot/events", {"ev": []}, "")[0] == 200


def test_a_simulated_unit_waits_as_it_is_told() -> None:
    async def said() -> list[str]:
        line = lines.MqttLine(Simulated(LOUD, LOUD, "omega", "token"), Faults(Random(1), frozenset()), ("", 9))  # noqa: S311
        line.client = broker = Line()  # type: ignore[assignment]
        wait = SimpleNamespace(topic=line.topic("down/wait"), payload=b'{"limit":"iot","retry_after":0.3}')
        line.on_message(line.client, None, wait)  # type: ignore[arg-type]
        await line.beat({})
        asked, noted = asyncio.create_task(line.ask({"request_id": "1"})), asyncio.create_task(line.upload(NOTED))
        await asyncio.sleep(0.1)
        at_once = [topic for topic, _ in broker.told]
        await asyncio.sleep(0.5)
        asked.cancel()
        noted.cancel()
        return [*at_once, "later", *(topic for topic, _ in broker.told[len(at_once) :])]

    up = f"znz/v1/{LOUD}/up"
    # In a thread of its own: the browser of other tests keeps a loop in this one.
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(asyncio.run, said()).result() == [f"{up}/req", "later", f"{up}/evt"]


@pytest.mark.django_db(transaction=True)
def test_a_flood_leaves_the_others_their_answers_and_loses_nothing(
    broker: Broker, bridges: Start, alice: Phone, unit: Unit
) -> None:
    bridges(0, TEST_RATE_LIMIT_IOT="20/min")
    neighbour = alice.dispenser(device_type="vitamin_d")
    neighbour.post("/iot/hello")
    broker.files.sync()
    loud, other = Dispenser(broker, unit), Dispenser(broker, neighbour)
    for seq in range(1, 501):
        loud.client.publish(loud.topic("evt"), orjson.dumps(envelope(event(seq))), qos=1)
    assert loud.hears("wait")["limit"] == "iot"
    other.say("evt", envelope(event(1)))
    assert other.hears("ack", within_s=5) == {"boot": 1, "seq": 1}
    # Its own dose is still decided, and what was acknowledged is what is stored.
    loud.say("req", {"request_id": str(uuid.uuid4()), "cup_placed": True, "clk": "none"})
    assert loud.hears("dec")["should_dispense"] is True
    assert until(lambda: DeviceState.objects.filter(device_id=unit.id).count() == 21)
    acked = [told["seq"] for topic, told in list(loud.told.queue) if topic == "ack"]
    assert max(acked, default=20) <= 20
    assert Dispense.objects.count() == 1
    loud.leave()
    other.leave()
