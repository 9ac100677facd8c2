"""The bridge with a real broker: every event once, nothing acknowledged before it is committed (iot.md 3)."""

import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
from django.db import connection

from devices.management.commands import mqtt_auth_sync
from devices.models import Device, DeviceCommand
from telemetry.models import DeadLetter, DeviceState, Dispense
from tests.clients import Phone, Unit
from tests.mqtt.conftest import Broker, Dispenser, until

pytestmark = pytest.mark.django_db(transaction=True)
Start = Callable[..., subprocess.Popen[bytes]]


def event(seq: int, kind: str = "state", **data: Any) -> dict[str, Any]:
    data = data or {"cup_placed": bool(seq % 2)}
    return {"id": str(uuid.uuid4()), "boot": 1, "seq": seq, "k": kind, "d": data}


def envelope(*events: Any) -> dict[str, Any]:
    return {"v": 1, "boot": 1, "clk": "none", "ev": list(events)}


def test_a_unit_speaks_and_is_answered(broker: Broker, bridges: Start, alice: Phone, unit: Unit) -> None:
    bridges()
    dispenser = Dispenser(broker, unit)
    dispenser.say("presence", {"online": True, "boot": 1, "conn": 1})
    dispenser.say("hello", {"boot": 1, "conn": 1, "firmware_version": "1.3.0"})
    welcome = dispenser.hears("hi")
    assert (welcome["plan_version"], welcome["rotate_token"], welcome["commands"]) == (1, True, [])

    dispenser.say("evt", envelope(event(1), event(2)))
    assert dispenser.hears("ack") == {"boot": 1, "seq": 2}
    assert DeviceState.objects.count() == 2

    request = {"request_id": str(uuid.uuid4()), "cup_placed": True, "ts": int(time.time() * 1000), "clk": "ok"}
    dispenser.say("req", request)
    answer = dispenser.hears("dec")
    assert (answer["request_id"], answer["should_dispense"], answer["reason"]) == (
        request["request_id"],
        True,
        "due",
    )
    dispenser.say("req", request)
    assert dispenser.hears("dec")["dispense_id"] == answer["dispense_id"]
    assert Dispense.objects.count() == 1

    assert until(lambda: Device.objects.get().mqtt_online)
    given = alice.post(f"/devices/{unit.id}/commands", {"type": "identify"}).data
    told = dispenser.hears("cmd", within_s=5)
    assert (told["id"], told["status"]) == (given["id"], "sent")
    dispenser.say("cmd", {"id": given["id"], "status": "succeeded"})
    assert until(lambda: DeviceCommand.objects.get().status == "succeeded")
    dispenser.leave()


def test_more_than_the_bridge_may_hold_waits_in_the_broker(broker: Broker, bridges: Start, unit: Unit) -> None:
    """Mosquitto 2.0.11 sends more at once than it was told it may: none of it is passed over."""
    first = bridges(0)
    first.send_signal(signal.SIGTERM)
    first.wait(15)
    dispenser = Dispenser(broker, unit)
    for seq in range(1, 5001):
        last = dispenser.client.publish(dispenser.topic("evt"), orjson.dumps(envelope(event(seq))), qos=1)
    last.wait_for_publish(30)
    bridges(0)
    assert until(lambda: DeviceState.objects.count() == 5000, 60), DeviceState.objects.count()
    dispenser.leave()


def test_a_poison_message_holds_up_nothing(broker: Broker, bridges: Start, unit: Unit) -> None:
    bridges()
    dispenser = Dispenser(broker, unit)
    for poison in (b"\xff\x00{", b"[" * 5000, b'{"ev": 7}', b'{"ev": [{"k": "song"}]}'):
        dispenser.say("evt", poison)
        dispenser.say("req", poison)
    dispenser.say("nonsense", {})
    dispenser.say("evt", envelope(event(1)))
    assert dispenser.hears("ack") == {"boot": 1, "seq": 1}
    assert until(lambda: DeadLetter.objects.count() == 7), list(DeadLetter.objects.values_list("payload", "code"))
    dispenser.leave()


def test_two_bridges_one_killed_and_every_tenth_twice_is_every_event_once(
    broker: Broker, bridges: Start, unit: Unit
) -> None:
    first, _second = bridges(0), bridges(1)
    dispenser = Dispenser(broker, unit)
    for seq in range(1, 401):
        one = envelope(event(seq))
        dispenser.say("evt", one)
        if seq % 10 == 0:
            dispenser.say("evt", one)
        if seq == 150:
            first.send_signal(signal.SIGKILL)
        if seq == 250:
            bridges(0)
    assert until(lambda: DeviceState.objects.count() == 400, 30)
    while dispenser.hears("ack", within_s=30)["seq"] < 400:
        pass
    assert DeviceState.objects.count() == Device.objects.get().event_count == 400
    dispenser.leave()


def test_what_came_while_no_bridge_was_there_is_taken_but_pours_nothing(
    broker: Broker, bridges: Start, unit: Unit
) -> None:
    first = bridges(0)
    dispenser = Dispenser(broker, unit)
    dispenser.say("evt", envelope(event(1)))
    assert dispenser.hears("ack")["seq"] == 1
    first.send_signal(signal.SIGTERM)
    first.wait(15)
    dispenser.say("evt", envelope(event(2)))
    dispenser.say("req", {"request_id": str(uuid.uuid4()), "cup_placed": True, "clk": "none"})
    bridges(0)
    assert dispenser.hears("dec")["reason"] == "event_too_old"
    assert dispenser.hears("ack")["seq"] == 2
    assert not Dispense.objects.exists()
    dispenser.leave()


def test_a_broker_that_restarts_loses_nothing_that_it_took(broker: Broker, bridges: Start, unit: Unit) -> None:
    bridges(0)
    dispenser = Dispenser(broker, unit)
    dispenser.say("evt", envelope(event(1)))
    assert dispenser.hears("ack")["seq"] == 1
    broker.stop()
    broker.start()
    assert until(dispenser.client.is_connected)
    dispenser.say("evt", envelope(event(2)))
    assert until(lambda: DeviceState.objects.count() == 2, 30)
    dispenser.leave()


def test_a_drained_bridge_leaves_no_session(broker: Broker, bridges: Start, unit: Unit) -> None:
    other = bridges(1)
    dispenser = Dispenser(broker, unit)
    dispenser.say("evt", envelope(event(1)))
    assert dispenser.hears("ack")["seq"] == 1
    other.send_signal(signal.SIGTERM)
    other.wait(15)
    dispenser.say("evt", envelope(event(2)))
    assert bridges(1, "--drain").wait(30) == 0
    assert DeviceState.objects.count() == 2
    bridges(0)
    # With a session left behind every second message would wait for its return.
    for seq in range(3, 13):
        dispenser.say("evt", envelope(event(seq)))
    assert until(lambda: DeviceState.objects.count() == 12)
    dispenser.leave()


def test_another_units_topics_are_closed(broker: Broker, bridges: Start, alice: Phone, unit: Unit) -> None:
    bridges()
    other = alice.dispenser(device_type="vitamin_d")
    other.post("/iot/hello")
    broker.files.sync()
    stranger, dispenser = Dispenser(broker, other), Dispenser(broker, unit)
    stranger.client.subscribe("znz/v1/#", qos=1)
    stranger.say("evt", envelope(event(1)), of=unit.id)
    dispenser.say("evt", envelope(event(2)))
    dispenser.hears("ack")
    assert DeviceState.objects.count() == 1
    assert stranger.told.empty()
    stranger.leave()
    dispenser.leave()


CUT = """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
          WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""


def cut_sessions() -> int:
    """As a database that restarts, or moves to another machine."""
    with connection.cursor() as cursor:
        cursor.execute(CUT)
        return int(cursor.fetchone()[0])


def test_commands_go_on_after_the_database_was_away(
    broker: Broker, bridges: Start, alice: Phone, unit: Unit
) -> None:
    bridges()
    dispenser = Dispenser(broker, unit)
    dispenser.say("presence", {"online": True, "boot": 1, "conn": 1})
    assert until(lambda: Device.objects.get().mqtt_online)
    for away in (False, True):
        assert not away or cut_sessions() >= 2
        given = alice.post(f"/devices/{unit.id}/commands", {"type": "identify"}).data
        assert dispenser.hears("cmd")["id"] == given["id"]
        dispenser.say("cmd", {"id": given["id"], "status": "succeeded"})
    dispenser.leave()


def test_the_users_of_the_broker_are_followed_after_the_database_was_away(broker: Broker, unit: Unit) -> None:
    with watching(broker):
        assert cut_sessions() >= 1
        before = hash_in(broker, unit)
        Unit(unit.id, unit.post("/iot/credentials/rotate").data["token"]).post("/iot/hello")
        assert until(lambda: hash_in(broker, unit) != before, 8)


@contextmanager
def watching(broker: Broker) -> Iterator[None]:
    """What `mqtt_auth_sync --watch` does, in a thread."""
    over = threading.Event()

    def follow() -> None:
        mqtt_auth_sync.watch(broker.files, lambda: not over.is_set())
        connection.close()

    thread = threading.Thread(target=follow)
    thread.start()
    time.sleep(1)
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_revoked_unit_is_dropped_within_two_seconds(broker: Broker, alice: Phone, unit: Unit) -> None:
    staying = alice.dispenser(device_type="vitamin_d")
    staying.post("/iot/hello")
    broker.files.sync()
    gone, stays = Dispenser(broker, unit), Dispenser(broker, staying)
    with watching(broker):
        alice.delete(f"/devices/{unit.id}")
        assert until(lambda: gone.drops, 2)
    assert stays.drops == []
    assert broker.files.sync() is None
    gone.leave()
    stays.leave()


def hash_in(broker: Broker, unit: Unit) -> str:
    lines = (broker.folder / "auth" / "passwords").read_text().splitlines()
    return next(line for line in lines if line.startswith(str(unit.id)))


def test_a_new_token_opens_the_broker_once_it_was_used(broker: Broker, unit: Unit) -> None:
    with watching(broker):
        token = unit.post("/iot/credentials/rotate").data["token"]
        own, before = Unit(unit.id, token), hash_in(broker, unit)
        assert broker.files.sync() is None
        own.post("/iot/hello")
        assert until(lambda: hash_in(broker, unit) != before, 5)
    time.sleep(0.5)
    Dispenser(broker, own).leave()


def test_the_will_of_the_present_connection_ends_presence_and_an_older_one_does_not(
    broker: Broker, bridges: Start, unit: Unit
) -> None:
    bridges()
    dispenser = Dispenser(broker, unit, will={"online": False, "boot": 1, "conn": 7})
    dispenser.say("presence", {"online": True, "boot": 1, "conn": 7})
    assert until(lambda: Device.objects.get().mqtt_online)
    dispenser.say("presence", {"online": False, "boot": 1, "conn": 6})
    dispenser.say("evt", envelope(event(1)))
    dispenser.hears("ack")
    assert Device.objects.get().mqtt_online
    dispenser.vanish()
    assert until(lambda: not Device.objects.get().mqtt_online)
    assert not Device.objects.get().is_connected
