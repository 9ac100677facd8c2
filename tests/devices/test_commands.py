"""Commands: given by a person, fetched by the dispenser, and how they end (iot.md 2 and 4)."""

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine

from devices import commands
from devices.models import Device, DeviceCommand
from tests import make
from tests.clients import Phone, Unit
from tests.threads import together
from zinzino import clock


def give(phone: Phone, unit: Unit, type: str = "sync", **given: Any) -> Any:
    return phone.post(f"/devices/{unit.id}/commands", {"type": type, **given})


def fetch(unit: Unit, wait: int = 0) -> Any:
    return unit.get(f"/iot/commands?wait={wait}").data["commands"]


def ack(unit: Unit, command_id: str, status: str, **said: Any) -> Any:
    return unit.post(f"/iot/commands/{command_id}/ack", {"status": status, **said})


def test_a_command_goes_its_way(alice: Phone, kitchen: Unit, statements: make.Statements) -> None:
    answer = give(alice, kitchen, "log_upload", params={"lines": 50})
    assert answer.status_code == 202
    given = answer.data
    assert set(given) == {"id", "type", "params", "status", "created_at", "expires_at", "code", "result"}
    assert (given["status"], given["params"]) == ("queued", {"lines": 50})
    kitchen.post("/iot/heartbeat")
    with statements(5):
        fetched = kitchen.get("/iot/commands?wait=20").data["commands"]
    assert [(each["id"], each["status"]) for each in fetched] == [(given["id"], "sent")]
    assert set(fetched[0]) == {"id", "type", "params", "status", "created_at", "expires_at"}
    # It may have lost the answer.
    assert [each["id"] for each in fetch(kitchen)] == [given["id"]]
    assert ack(kitchen, given["id"], "received").data == {"id": given["id"], "status": "delivered"}
    assert fetch(kitchen) == []
    assert ack(kitchen, given["id"], "succeeded", code=7, result={"lines": 50}).data["status"] == "succeeded"
    ended = alice.get(f"/devices/{kitchen.id}/commands/{given['id']}").data
    assert (ended["status"], ended["code"], ended["result"]) == ("succeeded", "7", {"lines": 50})
    assert [each["id"] for each in alice.get(f"/devices/{kitchen.id}/commands").data["commands"]] == [given["id"]]


def test_a_hello_brings_what_waits_and_a_heartbeat_says_how_many(alice: Phone, kitchen: Unit) -> None:
    first, second = give(alice, kitchen).data["id"], give(alice, kitchen, "reboot").data["id"]
    assert kitchen.post("/iot/heartbeat").data["pending_commands"] == 2
    assert [each["id"] for each in kitchen.post("/iot/hello").data["commands"]] == [first, second]


@pytest.mark.parametrize("type", ["dispense_now", "identify"])
def test_what_somebody_waits_for_is_never_queued(alice: Phone, kitchen: Unit, type: str) -> None:
    kitchen.post("/iot/heartbeat")  # there, but nobody knows when it will ask
    answer = give(alice, kitchen, type)
    assert (answer.status_code, answer.error["code"]) == (409, "DEVICE_NOT_CONNECTED")
    assert answer.error["details"]["reason"] == "device_offline"
    fetch(kitchen, wait=20)
    given = give(alice, kitchen, type, ttl_s=300).data
    assert [each["type"] for each in fetch(kitchen)] == [type]
    command = DeviceCommand.objects.get(pk=given["id"])
    assert command.expires_at - command.created_at == timedelta(seconds=60)
    with time_machine.travel(clock.now() + timedelta(seconds=56), tick=False):
        assert give(alice, kitchen, type).status_code == 409
    Device.objects.update(mqtt_online=True)
    with time_machine.travel(clock.now() + timedelta(seconds=56), tick=False):
        assert give(alice, kitchen, type).status_code == 202


def test_the_word_of_a_dispenser_is_final(alice: Phone, kitchen: Unit) -> None:
    command_id = give(alice, kitchen).data["id"]
    fetch(kitchen)
    assert ack(kitchen, command_id, "failed", code="E7").data["status"] == "failed"
    assert ack(kitchen, command_id, "failed").data["status"] == "failed"
    assert ack(kitchen, command_id, "received").data["status"] == "failed"
    other = ack(kitchen, command_id, "succeeded")
    assert (other.status_code, other.error["code"]) == (409, "SYNC_CONFLICT")
    assert DeviceCommand.objects.get().code == "E7"


def test_an_expired_command_is_not_told_and_not_taken(alice: Phone, kitchen: Unit) -> None:
    command_id = give(alice, kitchen, ttl_s=10).data["id"]
    with time_machine.travel(clock.now() + timedelta(seconds=11), tick=False):
        assert fetch(kitchen) == []
        answer = ack(kitchen, command_id, "received")
        assert (answer.status_code, answer.error["code"]) == (409, "COMMAND_EXPIRED")
        assert alice.get(f"/devices/{kitchen.id}/commands/{command_id}").data["status"] == "expired"
        assert DeviceCommand.objects.get().status == "queued"
        assert commands.sweep(now=clock.now()) == 1
    assert DeviceCommand.objects.get().status == "expired"


def test_one_that_was_received_in_time_may_end_later(alice: Phone, kitchen: Unit) -> None:
    command_id = give(alice, kitchen, ttl_s=10).data["id"]
    ack(kitchen, command_id, "received")
    with time_machine.travel(clock.now() + timedelta(minutes=5), tick=False):
        assert commands.sweep(now=clock.now()) == 0
        assert ack(kitchen, command_id, "succeeded").data["status"] == "succeeded"


def test_a_command_is_cancelled_while_it_waits(alice: Phone, kitchen: Unit) -> None:
    one, other = give(alice, kitchen).data["id"], give(alice, kitchen).data["id"]
    for _ in range(2):
        assert alice.delete(f"/devices/{kitchen.id}/commands/{one}").data["status"] == "cancelled"
    assert [each["id"] for each in fetch(kitchen)] == [other]
    assert alice.delete(f"/devices/{kitchen.id}/commands/{other}").status_code == 409
    assert ack(kitchen, one, "succeeded").status_code == 409


@pytest.mark.django_db(transaction=True)
def test_cancelled_or_sent_but_never_both(alice: Phone, kitchen: Unit) -> None:
    command_id = give(alice, kitchen).data["id"]
    acts = [
        lambda: alice.delete(f"/devices/{kitchen.id}/commands/{command_id}").status_code,
        lambda: len(fetch(kitchen)),
    ]
    status, told = together(lambda act: act(), acts)
    assert (status, told) in {(200, 0), (409, 1)}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "type"),
        ({"type": "dance"}, "type"),
        ({"type": "sync", "ttl_s": 0}, "ttl_s"),
        ({"type": "sync", "ttl_s": "5"}, "ttl_s"),
        ({"type": "sync", "params": []}, "params"),
        ({"type": "sync", "params": {"a": "x" * 1100}}, "params"),
        ({"type": "sync", "params": {"a": 2**200}}, "params"),
    ],
)
def test_a_wrong_field_is_named(alice: Phone, kitchen: Unit, body: Any, field: str) -> None:
    answer = alice.post(f"/devices/{kitchen.id}/commands", json.dumps(body))
    assert (answer.status_code, [name.split(".")[0] for name in answer.error["details"]]) == (422, [field])
    assert ack(kitchen, str(uuid4()), "done").status_code == 422


def test_only_so_many_wait(alice: Phone, kitchen: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "PENDING_AT_MOST", 2)
    assert [give(alice, kitchen).status_code for _ in range(3)] == [202, 202, 429]


def test_a_repeated_request_with_a_key_gives_one_command(alice: Phone, kitchen: Unit) -> None:
    key = {"HTTP_IDEMPOTENCY_KEY": str(uuid4())}
    ids = {
        alice.send("POST", f"/devices/{kitchen.id}/commands", {"type": "sync"}, **key).data["id"] for _ in range(2)
    }
    assert len(ids) == DeviceCommand.objects.count() == 1
