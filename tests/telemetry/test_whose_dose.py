"""Whose dose a report is of: dispensers that were added anew, former owners, doses heard of late (iot.md 5)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import transaction
from django.db.models import Sum

from devices import services as devices
from devices.credentials import DeviceCaller
from devices.models import Device, DoseDay
from notifications.models import Notification
from telemetry import family, manual
from telemetry.models import ActivityLog, DeadLetter, Dispense
from tests import make
from tests.clients import Phone, Unit
from tests.telemetry.test_dispense_protocol import NOON, journal
from tests.threads import together
from zinzino.clock import epoch_ms


@pytest.fixture
def kitchen(alice: Phone) -> Unit:
    """A dispenser that Alice has had for a while."""
    return alice.dispenser(now=NOON - timedelta(days=90))


@pytest.fixture
def poured(kitchen: Unit) -> dict[str, Any]:
    """A yes, given at noon, that the dispenser is about to pour."""
    with time_machine.travel(NOON, tick=False):
        answer: dict[str, Any] = kitchen.ask(ts=epoch_ms(NOON)).data
    return answer


def anew(kitchen: Unit, owner: Phone) -> Unit:
    """The same hardware, removed and added once more, at once or by somebody else."""
    former = Device.objects.get(pk=kitchen.id)
    devices.remove(kitchen.id, former.user_id, now=NOON)
    return owner.dispenser(mac_address=former.mac_address, serial_number=former.serial_number, now=NOON)


def tell_status(unit: Unit, dose: str, **said: Any) -> int:
    return int(unit.status(last_dispense={"dispense_id": dose, **said}).status_code)


def tell_confirm(unit: Unit, dose: str, **said: Any) -> int:
    return int(unit.confirm(dose, **said).status_code)


def tell_unsynced(unit: Unit, dose: str, **said: Any) -> int:
    event = journal(said["outcome"], d={"dispense_id": dose, "amount": said["amount"]})
    return int(unit.ask(unsynced=[event]).status_code)


def tell_journal(unit: Unit, dose: str, **said: Any) -> int:
    event = journal(said["outcome"], d={"dispense_id": dose, "amount": said["amount"]})
    return int(unit.post("/iot/events", {"ev": [event]}).status_code)


WAYS_TO_TELL = pytest.mark.parametrize("tell", [tell_status, tell_confirm, tell_unsynced, tell_journal])


@WAYS_TO_TELL
def test_a_dispenser_added_anew_still_says_how_its_former_dose_went(
    alice: Phone, kitchen: Unit, poured: dict[str, Any], tell: Callable[..., int]
) -> None:
    with time_machine.travel(NOON, tick=False):
        unit = anew(kitchen, alice)
        for _ in range(2):
            assert tell(unit, poured["dispense_id"], outcome="failed", amount=0) == 200
    dose = Dispense.objects.get(pk=poured["dispense_id"])
    assert (dose.device_id, dose.status, dose.counts) == (kitchen.id, "failed", False)
    logged = ActivityLog.objects.get(pk=dose.activity_id)
    assert (logged.action, logged.device_id) == ("dose_failed", kitchen.id)
    assert Notification.objects.get(type="dose_failed").device_id == unit.id
    assert not DeadLetter.objects.exists()


@WAYS_TO_TELL
def test_the_dose_of_a_former_owner_is_touched_by_nobody(
    alice: Phone, bob: Phone, kitchen: Unit, poured: dict[str, Any], tell: Callable[..., int]
) -> None:
    """What is left in its journal does not keep the dispenser from serving its new owner."""
    with time_machine.travel(NOON, tick=False):
        unit = anew(kitchen, bob)
        status = tell(unit, poured["dispense_id"], outcome="failed", amount=0)
        assert status == (403 if tell is tell_confirm else 200)
        asked = Dispense.objects.filter(user=bob.user).count()
    dose = Dispense.objects.get(pk=poured["dispense_id"])
    assert (dose.status, dose.counts, dose.reported_at) == ("authorized", True, None)
    assert asked == (1 if tell is tell_unsynced else 0)
    assert alice.get("/activities").data["activities"][0]["confirmation"] == "pending"
    assert poured["dispense_id"] not in bob.get("/activities").file.decode()
    assert not Notification.objects.filter(type="dose_failed").exists()
    kept = list(DeadLetter.objects.values_list("code", flat=True))
    assert kept == ([] if tell is tell_confirm else ["FORMER_REGISTRATION"])


def test_a_former_dose_of_another_supplement_is_put_aside(
    alice: Phone, kitchen: Unit, poured: dict[str, Any]
) -> None:
    """Its family is not locked; the dose goes on counting."""
    anew(kitchen, alice)
    drops = alice.dispenser(device_type="vitamin_d")
    assert drops.confirm(poured["dispense_id"], "failed", amount=0).status_code == 403
    assert tell_status(drops, poured["dispense_id"], outcome="failed", amount=0) == 200
    assert Dispense.objects.get().counts
    assert DeadLetter.objects.get().code == "FORMER_REGISTRATION"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("tell", [tell_status, tell_unsynced, tell_journal])
def test_one_name_for_the_doses_of_two_dispensers_at_once_is_taken_once(tell: Callable[..., int]) -> None:
    units = [Phone(make.person()).dispenser() for _ in range(2)]
    for round_ in range(5):
        name = str(make.uuid_of(round_))
        said = together(lambda unit: tell(Unit(unit.id, unit.token), name, outcome="dispensed", amount=5), units)  # noqa: B023
        # Through a journal and a status the second one is put aside.
        assert sorted(said) == ([200, 403] if tell is tell_unsynced else [200, 200])
        assert ActivityLog.objects.filter(metadata__dispense_id=name).count() == 1
        assert (
            DoseDay.objects.aggregate(total=Sum("doses"))["total"]
            == Dispense.objects.filter(decided_by="device").count()
        )


def test_a_dose_that_is_heard_of_late_reads_only_those_around_it(alice: Phone, kitchen: Unit) -> None:
    late = NOON - timedelta(days=80)
    for days in (-3, -1, 0, 1, 3, 40):
        entry: dict[str, Any] = {"action": "dose_taken_manual", "device_id": kitchen.id}
        manual.create(alice.user.pk, timezone="UTC", now=late + timedelta(days=days), **entry)
    with transaction.atomic():
        device = family.lock(DeviceCaller(kitchen.id, alice.user.pk, "fish_oil"))
        around = family.look(device, keys=[], now=late).limits.doses
    assert [(dose.at - late).days for dose in around] == [1, 0, -1]
