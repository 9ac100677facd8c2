"""No limit is reset: what counts stays counted, whatever a person does around it (iot.md 5, api.md 6)."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine

from devices.models import Device
from telemetry.models import Dispense
from tests import make
from tests.clients import Phone, Unit
from tests.threads import together
from zinzino.clock import iso

NOON = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)  # 12:00 in Istanbul


@pytest.fixture(autouse=True)
def at_noon() -> Iterator[Any]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def cup(unit: Unit) -> str:
    """What a fresh cup is told."""
    unit.cup(False)
    return str(unit.cup(True).data["reason"])


def by_hand(phone: Phone, **said: Any) -> str:
    return str(phone.post("/activities", {"action": "dose_taken_manual", **said}).data["id"])


def again(alice: Phone, unit: Unit) -> Unit:
    """The same dispenser, removed and added once more: same MAC, same serial, a new device."""
    former = Device.objects.get(pk=unit.id)
    alice.delete(f"/devices/{unit.id}")
    return alice.dispenser(mac_address=former.mac_address, serial_number=former.serial_number)


WAYS: dict[str, Callable[[Phone, Unit], Unit]] = {
    "nothing": lambda alice, unit: unit,
    "removing and adding the dispenser": again,
    "another dispenser": lambda alice, unit: alice.dispenser(),
    "another dispenser of the same family": lambda alice, unit: alice.dispenser(device_type="krill_oil"),
    "both": lambda alice, unit: (again(alice, unit), alice.dispenser(device_type="vegan"))[1],
}


@pytest.mark.parametrize("way", WAYS)
def test_a_poured_dose_counts_through(alice: Phone, kitchen: Unit, way: str, at_noon: Any) -> None:
    assert cup(kitchen) == "due"
    at_noon.shift(timedelta(hours=3, minutes=59))
    unit = WAYS[way](alice, kitchen)
    assert cup(unit) == "min_interval"
    at_noon.shift(timedelta(minutes=1))
    assert cup(unit) == "due"
    at_noon.shift(timedelta(hours=5))
    unit = WAYS[way](alice, unit)
    assert cup(unit) == "daily_limit"
    at_noon.shift(timedelta(hours=10, minutes=59))  # 07:59 of the next day, 19:59 after the first
    assert cup(WAYS[way](alice, unit)) == "rolling_limit"
    assert Dispense.objects.filter(counts=True).count() == 2


@pytest.mark.parametrize("way", WAYS)
def test_a_dose_by_hand_counts_through(alice: Phone, kitchen: Unit, way: str, at_noon: Any) -> None:
    by_hand(alice, device_id=str(kitchen.id), timestamp=iso(NOON - timedelta(hours=3)))
    unit = WAYS[way](alice, kitchen)
    assert cup(unit) == "min_interval"
    at_noon.shift(timedelta(hours=1))
    assert cup(unit) == "due"
    at_noon.shift(timedelta(hours=4))
    assert cup(unit) == "daily_limit"


def test_a_dose_of_a_supplement_counts_for_its_family_alone(alice: Phone, kitchen: Unit) -> None:
    by_hand(alice, supplement="vitamin_d")
    assert cup(kitchen) == "due"
    vitamin = alice.dispenser(device_type="vitamin_d")
    assert cup(vitamin) == "min_interval"


def test_a_dose_of_neither_device_nor_supplement_counts_for_nothing(alice: Phone, kitchen: Unit) -> None:
    by_hand(alice, dose_amount="5ml")
    assert cup(kitchen) == "due"


def test_the_amount_of_a_dose_by_hand_counts_against_the_ceiling(
    alice: Phone, kitchen: Unit, at_noon: Any
) -> None:
    by_hand(alice, supplement="krill_oil", dose_amount="16ml")
    at_noon.shift(timedelta(hours=4))
    assert cup(kitchen) == "daily_limit"  # 16 and 5 are more than 20 ml a day


def test_what_a_correction_says_is_what_counts(alice: Phone, kitchen: Unit) -> None:
    entry = by_hand(alice, supplement="vitamin_d", dose_amount="1000IU")
    assert alice.put(f"/activities/{entry}", {"supplement": "fish_oil", "dose_amount": "5ml"}).status_code == 200
    assert cup(kitchen) == "min_interval"
    alice.put(f"/activities/{entry}", {"timestamp": iso(NOON - timedelta(hours=4))})
    assert cup(kitchen) == "due"


def test_a_deleted_entry_takes_back_itself_and_nothing_else(alice: Phone, kitchen: Unit, at_noon: Any) -> None:
    first = by_hand(alice, supplement="fish_oil", timestamp=iso(NOON - timedelta(hours=5)))
    assert cup(kitchen) == "due"
    at_noon.shift(timedelta(hours=4))
    assert cup(kitchen) == "daily_limit"
    alice.delete(f"/activities/{first}")
    assert cup(kitchen) == "due"
    at_noon.shift(timedelta(hours=4))
    assert cup(kitchen) == "daily_limit"


def test_a_refill_and_a_note_reset_nothing(alice: Phone, kitchen: Unit, at_noon: Any) -> None:
    assert cup(kitchen) == "due"
    for action in ("refill", "note"):
        at_noon.shift(60)
        assert alice.post("/activities", {"action": action, "device_id": str(kitchen.id)}).status_code == 201
    assert cup(kitchen) == "min_interval"


def test_the_next_dose_is_told_with_the_dose_by_hand(alice: Phone, kitchen: Unit) -> None:
    by_hand(alice, device_id=str(kitchen.id))
    assert alice.get(f"/devices/{kitchen.id}").data["next_dose_at"] == iso(NOON + timedelta(hours=4))


def test_nobody_elses_dose_counts(alice: Phone, bob: Phone, kitchen: Unit) -> None:
    by_hand(bob, supplement="fish_oil")
    assert cup(kitchen) == "due"


@pytest.mark.django_db(transaction=True)
def test_doses_by_hand_and_cups_at_once_wait_for_each_other() -> None:
    """After a dose by hand is answered, no cup is told yes; whatever came first, it is one decision's worth."""
    alice = Phone(make.person())
    units = [alice.dispenser(device_type=kind) for kind in ("fish_oil", "krill_oil", "vegan", "vitamin_d")]

    def act(turn: int) -> Any:
        if turn % 2:
            return units[turn // 2].cup(True).data["reason"]
        items = [
            {"id": str(uuid4()), "action": "dose_taken_manual", "supplement": kind}
            for kind in (("vitamin_d", "fish_oil") if turn % 4 else ("fish_oil", "vitamin_d"))
        ]
        return [each["status"] for each in alice.post("/activities/batch", {"activities": items}).data["results"]]

    answers = together(act, range(8))
    assert [answer for answer in answers if isinstance(answer, list)] == [["created", "created"]] * 4
    # Who poured before the first dose by hand stands at the same instant still, with the same cup.
    assert {cup(unit) for unit in units} <= {"min_interval", "cup_not_emptied"}
    assert answers.count("due") <= 2
    assert Dispense.objects.filter(decided_by="person").count() == 8
