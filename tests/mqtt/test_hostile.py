"""What a unit with a good token may not do to others, and what no message does to the bridge."""

import subprocess
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
from django.conf import settings
from django.db import connection
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from devices.broker import bridge_name
from telemetry import bridge as bridge_module
from telemetry import journals
from telemetry.bridge import Address, Bridge, Message
from telemetry.models import DeadLetter, DeviceState, Dispense
from tests.clients import Phone, Unit
from tests.mqtt.conftest import Broker, Dispenser, until
from tests.mqtt.test_bridge import envelope, event
from zinzino import clock

pytestmark = pytest.mark.django_db(transaction=True)
Start = Callable[..., subprocess.Popen[bytes]]


def intruder(broker: Broker, unit: Unit, client_id: str) -> Client:
    client = Client(CallbackAPIVersion.VERSION2, client_id)
    client.username_pw_set(str(unit.id), unit.token)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    assert until(client.is_connected)
    return client


def test_nobody_is_thrown_out_by_a_borrowed_client_id(
    broker: Broker, bridges: Start, alice: Phone, unit: Unit
) -> None:
    running = bridges(0)
    other = alice.dispenser(device_type="vitamin_d")
    other.post("/iot/hello")
    broker.files.sync()
    dispenser = Dispenser(broker, unit)
    thieves = [intruder(broker, other, name) for name in (str(unit.id), bridge_name(0))]
    time.sleep(1)
    assert dispenser.drops == []
    assert broker.subscribed(0) == 1
    dispenser.say("evt", envelope(event(1)))
    assert dispenser.hears("ack")["seq"] == 1
    assert running.poll() is None
    for each in (*thieves, dispenser.client):
        each.disconnect()
        each.loop_stop()


def test_a_unit_leaves_nothing_behind_on_topics_of_its_own(broker: Broker, unit: Unit) -> None:
    dispenser = Dispenser(broker, unit)
    for topic in (f"znz/v1/{unit.id}/up/anything", f"znz/v1/{unit.id}/up/evt/more", f"znz/v1/{unit.id}/down/ack"):
        dispenser.client.publish(topic, b"{}", qos=1, retain=True).wait_for_publish(10)
    bridge = Client(CallbackAPIVersion.VERSION2)
    bridge.username_pw_set(bridge_name(5), settings.MQTT_PASSWORD)
    heard: list[str] = []
    ready: list[int] = []
    bridge.on_message = lambda _client, _data, message: heard.append(message.topic)
    bridge.on_subscribe = lambda *_: ready.append(1)
    bridge.connect("127.0.0.1", broker.port)
    bridge.loop_start()
    bridge.subscribe("znz/v1/#", qos=1)
    assert until(lambda: ready)
    time.sleep(0.5)
    assert heard == []
    bridge.disconnect()
    bridge.loop_stop()
    dispenser.leave()


def test_a_packet_that_is_too_large_never_arrives(broker: Broker, bridges: Start, unit: Unit) -> None:
    bridges(0)
    dispenser = Dispenser(broker, unit)
    dispenser.client.publish(dispenser.topic("evt"), b"{" * 200_000, qos=1)
    assert until(lambda: dispenser.drops)
    dispenser.leave()
    again = Dispenser(broker, unit)
    again.say("evt", envelope(event(1)))
    assert again.hears("ack")["seq"] == 1
    assert not DeadLetter.objects.exists()
    again.leave()


class Quiet:
    """The client of a bridge that speaks with nobody."""

    def __init__(self) -> None:
        self.acked: list[int] = []

    def ack(self, mid: int, qos: int) -> None:
        self.acked.append(mid)

    def publish(self, *_: Any, **__: Any) -> None:
        """Nobody hears."""


@pytest.fixture
def offline() -> Bridge:
    bridge = Bridge("znz-bridge-1-0", Address("127.0.0.1", 9, "", ""))
    bridge.client = Quiet()  # type: ignore[assignment]
    return bridge


def message(unit: Unit, kind: str, body: Any, *, mid: int, waited: bool = False) -> Message:
    topic = f"znz/v1/{unit.id}/up/{kind}"
    return Message(mid, 1, topic, orjson.dumps(body), clock.now(), waited, 0)


def test_an_error_of_ours_costs_one_message_not_the_queue(
    offline: Bridge, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison, original = event(3), journals.take

    def take(uploads: Sequence[journals.Upload], **options: Any) -> Any:
        if any(str(each.id) == poison["id"] for upload in uploads for each in upload.batch.events):
            raise TypeError("nobody thought of it")
        return original(uploads, **options)

    monkeypatch.setattr(journals, "take", take)
    events = [event(1), event(2), poison, event(4), event(5)]
    offline.take([message(unit, "evt", envelope(each), mid=mid) for mid, each in enumerate(events)])
    assert (DeviceState.objects.count(), DeadLetter.objects.count()) == (4, 1)
    assert sorted(offline.client.acked) == [0, 1, 2, 3, 4]  # type: ignore[attr-defined]


def test_a_request_that_waited_behind_a_full_queue_pours_nothing(offline: Bridge, unit: Unit) -> None:
    class Came:
        mid, qos, dup = 1, 1, False
        topic = f"znz/v1/{unit.id}/up/req"
        payload = orjson.dumps({"request_id": str(uuid.uuid4()), "cup_placed": True, "clk": "none"})

    for mid in range(offline.waiting.maxsize):
        offline.waiting.put_nowait(offline.placed(message(unit, "hb", {}, mid=mid)))
    dropped = Came()
    dropped.qos = 0
    offline._on_message(offline.client, None, dropped)  # type: ignore[arg-type]
    assert offline.counts["dropped"] == 1
    offline.waiting.queue.clear()
    offline._on_message(offline.client, None, Came())  # type: ignore[arg-type]
    offline.take(offline.next_batch())
    assert not Dispense.objects.exists()


def test_a_batch_is_bounded_by_what_a_transaction_takes(offline: Bridge, unit: Unit) -> None:
    for mid in range(40):
        large = Message(mid, 1, f"znz/v1/{unit.id}/up/evt", b" " * 100_000, clock.now(), False, 0)
        offline.waiting.put(offline.placed(large))
    assert len(offline.next_batch()) == 10


def test_a_request_goes_before_all_that_waits(offline: Bridge, unit: Unit) -> None:
    for mid, kind in enumerate(["hello"] * 60 + ["evt"] * 3 + ["req"]):
        offline.waiting.put(offline.placed(message(unit, kind, {}, mid=mid)))
    first = offline.next_batch()
    assert [each.mid for each in first[:4]] == [63, 60, 61, 62]
    assert len(first) == 4 + bridge_module.BATCH_SINGLES


def test_the_files_of_the_broker_hold_no_token(broker: Broker, unit: Unit) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM device_credentials WHERE mqtt_hash LIKE %s", [f"%{unit.token}%"])
        assert cursor.fetchone() == (0,)
    said = "".join(path.read_text(errors="replace") for path in broker.folder.rglob("*") if path.is_file())
    assert unit.token not in said
    assert settings.MQTT_PASSWORD not in said
