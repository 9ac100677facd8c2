"""docs/device-protocol.md, played against the server: what firmware engineers copy is what works."""

import json
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from devices.broker import UP
from examples.dispenser import Dispenser
from examples.mqtt_line import TOPICS, MqttLine
from telemetry.models import DeviceState, Dispense
from telemetry.topics import HANDLERS
from tests.clients import Phone, Unit
from tests.examples.test_dispenser import World
from tests.mqtt.conftest import Broker, until

pytestmark = pytest.mark.django_db(transaction=True)
Start = Callable[..., subprocess.Popen[bytes]]
PAGE = (settings.BASE_DIR / "docs" / "device-protocol.md").read_text()
ITS_ID = "6f9b2c1e-58a7-4f0e-9a57-2f4f3f2e7c10"


def packets() -> list[tuple[str, bytes]]:
    """(`>` or `<` and what it is, its bytes) of the section byte for byte."""
    [block] = re.findall(r"```mqtt\n(.*?)```", PAGE, re.S)
    found: list[tuple[str, bytes]] = []
    for line in block.splitlines():
        if line[0] in "<>":
            found.append((line, b""))
        else:
            title, so_far = found[-1]
            found[-1] = title, so_far + bytes.fromhex(line[6:53])
    return found


def journal_of_the_page() -> dict[str, object]:
    [block] = [each for each in re.findall(r"```json\n(.*?)```", PAGE, re.S) if '"ev"' in each]
    return dict(json.loads(block))


def test_byte_for_byte(broker: Broker, bridges: Start, unit: Unit) -> None:
    """The page's own packets, but for the id and the token, which are as long."""
    bridges()
    its_token = re.search(rb"znd_[\w-]{64}", packets()[0][1])
    assert its_token
    with socket.create_connection(("127.0.0.1", broker.port), timeout=20) as line:
        for title, packet in packets():
            packet = packet.replace(ITS_ID.encode(), str(unit.id).encode())
            packet = packet.replace(its_token[0], unit.token.encode())
            if title.startswith(">"):
                line.sendall(packet)
            else:
                came = b""
                while len(came) < len(packet):
                    came += line.recv(len(packet) - len(came)) or pytest.fail(f"closed before {title}")
                assert came == packet, title
    assert DeviceState.objects.count() == 1


def test_the_journal_of_the_page_is_taken_over_http(unit: Unit) -> None:
    assert unit.post("/iot/events", journal_of_the_page() | {"first": 1071}).data == {
        "accepted": 1,
        "duplicates": 0,
        "rejected": [],
        "acked": {"boot": 42, "seq": 1071},
    }


def test_every_topic_stands_on_the_page() -> None:
    told = set(re.findall(r"^\| `up/(\w+)` \|", PAGE, re.M))
    assert told == set(HANDLERS) | {"evt"}
    assert {up for up, _ in TOPICS.values()} < told
    assert told == set(UP)


def test_the_reference_unit_speaks_mqtt(broker: Broker, bridges: Start, alice: Phone, tmp_path: Path) -> None:
    bridges()
    made = alice.dispenser()
    Dispenser.set_up(tmp_path / "flash", made.token)
    world = World()
    line = MqttLine(str(made.id), world.send, "127.0.0.1", broker.port)
    unit = Dispenser(tmp_path / "flash", line, world.motor)
    unit.hello()  # over HTTP, where it takes a token of its own
    unit.hello()
    broker.files.sync()
    assert until(lambda: connects(line, unit))
    assert unit.hello()["rotate_token"] is False
    told = unit.place_cup()
    assert told
    assert (told["should_dispense"], world.poured) == (True, [5])
    unit.remove_cup()
    assert unit.sync() == 0
    assert Dispense.objects.get().status == "dispensed"
    with connection.cursor() as cursor:
        cursor.execute("SELECT mqtt_online, boot, conn FROM devices")
        assert cursor.fetchone() == (True, 1, line.conn)
    line.leave()


def connects(line: MqttLine, unit: Dispenser) -> bool:
    try:
        line.connect(unit.state["token"], unit.state["boot"])
    except OSError:
        return False
    return True
