"""MQTT under `make run`: its broker, its bridge and PostgreSQL are killed, and nothing acknowledged is lost."""

import json
import queue
import signal
import time
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from tests.embedded.conftest import eventually
from tests.faults.product import Product
from zinzino.mosquitto import installed

pytestmark = [
    pytest.mark.enable_socket,
    pytest.mark.slow,
    pytest.mark.skipif(installed() is None, reason="There is no mosquitto on this machine."),
]


class Unit:
    """The demonstration's dispenser; it sends again whatever was not acknowledged."""

    def __init__(self, product: Product) -> None:
        demo = json.loads((product.layout.data_dir / "demo.json").read_text())
        self.id, self.token = demo["device_id"], demo["device_token"]
        self.boot, self.seq = int(time.time()), 0
        self.journal: dict[int, dict[str, Any]] = {}
        self.noted: list[str] = []
        self.acks: queue.Queue[dict[str, int]] = queue.Queue()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        hello = urllib.request.Request(f"{product.url}/v1/iot/hello", b"{}", headers)  # noqa: S310
        urllib.request.urlopen(hello).read()  # noqa: S310
        port = int((product.layout.run / "mqtt.port").read_text())
        self.client = Client(CallbackAPIVersion.VERSION2, self.id)
        self.client.username_pw_set(self.id, self.token)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = self.subscribe
        self.client.on_message = self.take
        self.client.connect_async("127.0.0.1", port, keepalive=5)
        self.client.loop_start()

    def subscribe(self, client: Client, *_: Any) -> None:
        client.subscribe(f"znz/v1/{self.id}/down/#", qos=1)

    def take(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        if message.topic.endswith("/ack"):
            self.acks.put(json.loads(message.payload))

    def note(self) -> None:
        self.seq += 1
        event = {"id": str(uuid.uuid4()), "boot": self.boot, "seq": self.seq, "k": "state"}
        self.journal[self.seq] = event | {"d": {"cup_placed": bool(self.seq % 2)}}
        self.noted.append(str(event["id"]))

    def send(self) -> None:
        if self.journal:
            body = {"v": 1, "boot": self.boot, "clk": "none", "first": min(self.journal)}
            payload = json.dumps({**body, "ev": list(self.journal.values())[:100]})
            self.client.publish(f"znz/v1/{self.id}/up/evt", payload, qos=1)

    def hear(self) -> None:
        while not self.acks.empty():
            acked = self.acks.get()
            if acked["boot"] == self.boot:
                self.journal = {seq: each for seq, each in self.journal.items() if seq > acked["seq"]}


@pytest.fixture
def unit(running: Product) -> Iterator[Unit]:
    unit = Unit(running)
    eventually(unit.client.is_connected, within_s=30)
    yield unit
    unit.client.loop_stop()


def speak(unit: Unit, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        unit.note()
        unit.send()
        unit.hear()
        time.sleep(0.1)


def brought_in(unit: Unit) -> bool:
    unit.send()
    time.sleep(0.5)
    unit.hear()
    return not unit.journal


def test_every_event_is_there_once_whatever_is_killed(running: Product, unit: Unit) -> None:
    for victim in ("mqtt_bridge", "mqtt_broker", "postgres"):
        speak(unit, 2)
        killed = running.servers()["postgres"] if victim == "postgres" else running.masters(victim)[0]
        killed.send_signal(signal.SIGKILL)
        speak(unit, 2)
        eventually(lambda: brought_in(unit), within_s=60)
    with psycopg.connect(host=str(running.layout.postgres_sockets), user="zinzino", dbname="zinzino") as database:
        kept = database.execute(
            "SELECT count(*), (SELECT count(*) FROM event_keys WHERE device_id = %(id)s AND key = ANY(%(keys)s))"
            "  FROM device_states WHERE device_id = %(id)s AND received_at > to_timestamp(%(boot)s)",
            {"id": unit.id, "keys": [f"event:{name}" for name in unit.noted], "boot": unit.boot},
        ).fetchone()
    assert kept == (len(unit.noted), len(unit.noted))


def test_the_broker_says_where_it_is(running: Product, unit: Unit) -> None:
    assert running.masters("mqtt_broker")
    assert running.masters("mqtt_bridge")
    assert unit.client.is_connected()
