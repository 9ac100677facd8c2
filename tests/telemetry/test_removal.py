"""api.md 3: a removed dispenser's doses stay its owner's, its readings go, and nobody else ever sees either."""

import pytest

from devices.models import RemovedDevice
from telemetry import removal
from telemetry.models import DeviceState, Dispense
from telemetry.tasks import erase_readings
from tests.clients import Phone, Unit


def test_the_readings_of_a_removed_dispenser_go_and_its_doses_stay(alice: Phone, kitchen: Unit) -> None:
    other = alice.dispenser(device_type="vitamin_d")
    kitchen.cup(True), kitchen.cup(False), other.cup(False)
    alice.delete(f"/devices/{kitchen.id}")

    assert (erase_readings(), erase_readings()) == (2, 0)
    assert [row.device_id for row in DeviceState.objects.all()] == [other.id]
    assert Dispense.objects.get().device_id == kitchen.id
    assert [row["device_id"] for row in alice.get("/activities").data["activities"]] == [str(kitchen.id)]
    assert not RemovedDevice.objects.exists()


def test_it_goes_in_chunks(alice: Phone, kitchen: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "CHUNK_ROWS", 2)
    for placed in (True, False, True, False, True):
        kitchen.cup(placed)
    alice.delete(f"/devices/{kitchen.id}")
    removed = RemovedDevice.objects.get().pk
    assert [removal.delete_chunk("device_states", removed) for _ in range(4)] == [2, 2, 1, 0]


def test_a_refused_removal_queues_nothing(bob: Phone, kitchen: Unit) -> None:
    bob.delete(f"/devices/{kitchen.id}")
    assert not RemovedDevice.objects.exists()


def test_the_next_owner_of_the_hardware_sees_nothing_of_before(alice: Phone, bob: Phone) -> None:
    hardware = {"mac_address": "FF:EE:DD:CC:BB:AA", "serial_number": "ZNZ-2024-002"}
    before = alice.dispenser(**hardware)
    before.cup(True), before.status(battery_level=5)
    alice.delete(f"/devices/{before.id}")
    now = bob.dispenser(**hardware)

    assert bob.get(f"/devices/{now.id}/history").data["activities"] == []
    assert bob.get(f"/devices/{now.id}").data["total_doses_dispensed"] == 0
    assert bob.get("/activities").data["activities"] == []
    for path in ("", "/history", "/plan", "/decisions"):
        assert bob.get(f"/devices/{before.id}{path}").status_code == 404
    assert now.cup(True).data["reason"] == "due"
