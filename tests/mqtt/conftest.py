"""A real Mosquitto on a loopback port, bridges as processes of their own, and dispensers that speak MQTT."""

import os
import queue
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from django.conf import settings as django_settings
from django.db import connection
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from devices.broker import Files
from tests.clients import Phone, Unit
from tests.processes import end
from zinzino.mosquitto import Mosquitto, installed

LOGGED = """log_type warning
log_type notice
log_type information
log_type subscribe
"""


def until(holds: Callable[[], Any], within_s: float = 20.0) -> Any:
    """Wait until something holds; what it gave last."""
    deadline = time.monotonic() + within_s
    while not (found := holds()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """Debian's Mosquitto with the product's own configuration, password and ACL files."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        self.server = Mosquitto(folder, self.port, more=LOGGED)
        self.files = Files.of(self.server)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.server.prepare()
        self.files.sync()
        with (self.folder / "log").open("ab") as log:
            self.process = self.server.start(stderr=log, stdout=log)

    def said(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def subscribed(self, index: int) -> int:
        """How often the bridge with that index has subscribed."""
        return self.said().count(f"znz-bridge-1-{index} 1 $share")

    def stop(self, signum: int = signal.SIGTERM) -> None:
        if self.process:
            self.process.send_signal(signum)
            self.process.wait(10)


class Dispenser:
    """One unit on MQTT; what it is told stands in `told`, by topic."""

    def __init__(self, broker: Broker, unit: Unit, *, will: dict[str, Any] | None = None) -> None:
        self.unit = unit
        self.told: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        self.drops: list[Any] = []
        self.client = Client(CallbackAPIVersion.VERSION2, str(unit.id), protocol=MQTTv5)
        self.client.username_pw_set(str(unit.id), unit.token)
        if will:
            self.client.will_set(self.topic("presence"), orjson.dumps(will), qos=1, retain=True)
        self.client.on_message = self._on_message
        self.client.on_disconnect = lambda *told: self.drops.append(told)
        self.client.on_connect = lambda client, *_: client.subscribe(f"znz/v1/{unit.id}/down/#", qos=1)
        self.client.connect("127.0.0.1", broker.port, keepalive=5)
        self.client.loop_start()
        assert until(self.client.is_connected)

    def topic(self, kind: str, of: UUID | None = None) -> str:
        return f"znz/v1/{of or self.unit.id}/up/{kind}"

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        self.told.put((message.topic.rpartition("/")[2], orjson.loads(message.payload)))

    def say(self, kind: str, body: Any, *, of: UUID | None = None) -> None:
        payload = body if isinstance(body, bytes) else orjson.dumps(body)
        self.client.publish(self.topic(kind, of), payload, qos=1).wait_for_publish(10)

    def hears(self, kind: str, within_s: float = 20.0) -> dict[str, Any]:
        deadline = time.monotonic() + within_s
        while (left := deadline - time.monotonic()) > 0:
            topic, body = self.told.get(timeout=left)
            if topic == kind:
                return body
        raise AssertionError(f"nothing on down/{kind}")

    def leave(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def vanish(self) -> None:
        """Without a word: the broker says its will."""
        sock: Any = self.client.socket()
        self.client.on_disconnect = None
        self.client._thread_terminate = True
        sock.shutdown(socket.SHUT_RDWR)
        self.client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    if installed() is None:
        pytest.skip("There is no mosquitto on this machine.")
    made = Broker(tmp_path / "mosquitto")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def bridges(broker: Broker) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """`bridges(0)` starts the bridge with that index on the test database."""
    running: list[subprocess.Popen[bytes]] = []

    def start(index: int = 0, *arguments: str, **more: str) -> subprocess.Popen[bytes]:
        code = (
            "import sys, django; from django.conf import settings; django.setup();"
            "settings.DATABASES['default']['NAME'] = sys.argv[1];"
            "from django.core.management import call_command; call_command('mqtt_bridge', *sys.argv[2:])"
        )
        name = str(connection.settings_dict["NAME"])
        own = {"MQTT_PORT": str(broker.port), "DJANGO_SETTINGS_MODULE": "tests.settings"}
        command = [sys.executable, "-c", code, name, "--index", str(index), *arguments]
        before = broker.subscribed(index)
        process = subprocess.Popen(command, env={**os.environ, **own, **more}, cwd=django_settings.BASE_DIR)
        running.append(process)
        assert until(lambda: broker.subscribed(index) > before, 60), broker.said()
        return process

    yield start
    for process in running:
        end(process)


@pytest.fixture
def unit(transactional_db: None, broker: Broker, alice: Phone) -> Unit:
    """A dispenser that has said hello over HTTP, so that the broker knows it."""
    made = alice.dispenser()
    made.post("/iot/hello")
    broker.files.sync()
    return made
