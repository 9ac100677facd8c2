"""Hello, heartbeat, tokens of a dispenser's own, reset (iot.md 2)."""

import base64
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from devices import credentials
from devices.models import Device, DeviceCredential
from notifications.models import Notification
from telemetry.models import DeviceReport
from tests import make
from tests.clients import Phone, Unit
from zinzino import clock


def test_a_hello_is_answered_with_all_that_it_must_know(kitchen: Unit, statements: make.Statements) -> None:
    kitchen.post("/iot/heartbeat", {})
    hello = {"boot": 42, "conn": 1, "firmware_version": "1.3.0", "hardware_rev": "d1", "battery_level": 84}
    with statements(11):  # one of them begins an alert's state, once
        answer = kitchen.post("/iot/hello", hello)
    assert answer.status_code == 200
    told = answer.data
    assert told["plan_version"] == 1
    assert told["dose"] == {"amount": 5, "unit": "ml"}
    assert (told["acked"], told["commands"], told["firmware"], told["heartbeat_s"]) == (None, [], None, 900)
    assert told["server_time"].endswith("Z")
    assert isinstance(told["server_ms"], int)
    device = Device.objects.get()
    assert (device.boot, device.conn, device.hardware_rev, device.firmware_version) == (42, 1, "d1", "1.3.0")
    assert (device.battery_level, device.is_connected, device.setup_state) == (84, True, "online")
    assert len(answer.file) < 1024


def test_a_hello_says_how_far_the_journal_is_safe(kitchen: Unit) -> None:
    line = {"id": str(make.uuid_of(1)), "boot": 7, "seq": 1, "k": "state", "d": {"cup_placed": True}}
    kitchen.post("/iot/events", {"ev": [line]})
    assert kitchen.post("/iot/hello", {}).data["acked"] == {"boot": 7, "seq": 1}


def test_other_hardware_is_refused_and_remembered(kitchen: Unit) -> None:
    answer = kitchen.post("/iot/hello", {"mac_address": "02:00:00:00:00:01", "battery_level": 1})
    assert (answer.status_code, answer.error["code"]) == (403, "IDENTITY_MISMATCH")
    assert DeviceReport.objects.get().data["mac_address"] == "02:00:00:00:00:01"
    assert Device.objects.get().battery_level == 100
    mac = Device.objects.get().mac_address
    assert kitchen.post("/iot/hello", {"mac_address": mac.lower()}).status_code == 200


def test_a_new_boot_leaves_one_line(kitchen: Unit) -> None:
    for boot in (1, 1, 2):
        kitchen.post("/iot/hello", {"boot": boot, "reset_reason": "watchdog"})
    assert [row.data["message"] for row in DeviceReport.objects.all()] == ["watchdog", "watchdog"]


@pytest.mark.parametrize(
    "field", [{"boot": -1}, {"mac_address": "x"}, {"battery_level": 101}, {"clk": "odd"}, {"reset_reason": "a\nb"}]
)
def test_a_wrong_field_of_a_hello_is_named(kitchen: Unit, field: dict[str, Any]) -> None:
    answer = kitchen.post("/iot/hello", field)
    assert (answer.status_code, list(answer.error["details"])) == (422, list(field))


def test_a_heartbeat_stores_no_row_and_keeps_it_present(kitchen: Unit, statements: make.Statements) -> None:
    kitchen.post("/iot/heartbeat", {})
    soon = clock.now() + timedelta(seconds=30)
    with time_machine.travel(soon, tick=False), statements(3):
        answer = kitchen.post("/iot/heartbeat", {"rssi": -60, "boot": 3, "conn": 1, "next_contact_s": 7200}).data
    assert answer == {"plan_version": 1, "pending_commands": 0, "heartbeat_s": 900}
    assert Device.objects.get().silent_at == soon + timedelta(seconds=7200 * 2.5)


def test_a_low_level_in_a_heartbeat_tells_the_owner(kitchen: Unit) -> None:
    kitchen.post("/iot/heartbeat", {"battery_level": 9})
    assert Notification.objects.get().type == "low_battery"


def test_the_token_that_a_phone_saw_is_replaced_by_one_of_its_own(kitchen: Unit) -> None:
    assert kitchen.post("/iot/hello").data["rotate_token"] is True
    assert kitchen.status().data["rotate_token"] is True
    own = Unit(kitchen.id, kitchen.post("/iot/credentials/rotate", {"reason": "first contact"}).data["token"])
    # An answer that was lost leaves the former one good.
    assert kitchen.post("/iot/hello").status_code == 200
    assert own.post("/iot/hello").data["rotate_token"] is False
    assert kitchen.post("/iot/hello").status_code == 401


def test_the_brokers_hash_is_mosquittos(kitchen: Unit) -> None:
    row = DeviceCredential.objects.get()
    assert row.mqtt_hash.startswith("$7$101$")
    salt = base64.b64decode(row.mqtt_hash.split("$")[3])
    assert row.mqtt_hash == credentials.mqtt_hash(kitchen.token, salt)


def test_a_reset_ends_the_tokens_tells_the_owner_and_changes_no_ownership(alice: Phone, kitchen: Unit) -> None:
    kitchen.post("/iot/hello")
    assert kitchen.post("/iot/factory-reset").status_code == 200
    assert kitchen.post("/iot/hello").status_code == 401
    device = Device.objects.get()
    assert (device.user_id, device.setup_state, device.is_connected) == (alice.user.pk, "created", False)
    told = Notification.objects.get()
    assert (told.type, told.device_id) == ("security", kitchen.id)
    assert "Mutfak" in told.message
