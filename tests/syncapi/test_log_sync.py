"""What people write into their log, and answer, reaches every phone of theirs (docs/contract/sync.md)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from telemetry import settlement
from telemetry.models import ActivityLog
from tests.clients import Phone, Unit
from tests.syncapi.phone import SyncedPhone
from zinzino import clock
from zinzino.clock import iso

pytestmark = pytest.mark.django_db(transaction=True)


def entry(alice: Phone) -> str:
    return str(ActivityLog.objects.get(user_id=alice.user.pk, action="dose_taken_manual").pk)


def put(alice: Phone, **said: Any) -> Any:
    return alice.put(f"/activities/{entry(alice)}", said)


def dose(**said: Any) -> dict[str, Any]:
    return {"action": "dose_taken_manual", "supplement": "fish_oil", **said}


def unconfirmed(alice: Phone) -> str:
    return str(ActivityLog.objects.get(user_id=alice.user.pk, action="dose_dispensed").pk)


CHANGES: dict[str, Callable[[Phone, Unit], Any]] = {
    "a dose by hand": lambda alice, unit: alice.post("/activities", dose(id=str(uuid4()))),
    "a dose of a device": lambda alice, unit: alice.post("/activities", dose(device_id=str(unit.id))),
    "a note": lambda alice, unit: alice.post("/activities", {"action": "note", "metadata": {"text": "x"}}),
    "a refill": lambda alice, unit: alice.post("/activities", {"action": "refill", "device_id": str(unit.id)}),
    "a batch": lambda alice, unit: alice.post("/activities/batch", {"activities": [dose()] * 30}),
    "a corrected amount": lambda alice, unit: put(alice, dose_amount="3ml"),
    "a corrected note": lambda alice, unit: put(alice, metadata={"text": "y"}),
    "a corrected time": lambda alice, unit: put(alice, timestamp=iso(clock.now() - timedelta(hours=9))),
    "a time of another month": lambda alice, unit: put(alice, timestamp=iso(clock.now() - timedelta(days=29))),
    "a dose of nothing any more": lambda alice, unit: put(alice, supplement=None),
    "a deleted entry": lambda alice, unit: alice.delete(f"/activities/{entry(alice)}"),
    "an answer": lambda alice, unit: alice.post(
        f"/activities/{unconfirmed(alice)}/resolve", {"outcome": "not_taken"}
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_after_every_change_the_delta_makes_the_old_copy_the_new(
    alice: Phone, bob: Phone, kitchen: Unit, change: str
) -> None:
    alice.post("/activities", dose(dose_amount="4ml", metadata={"text": "x"}))
    kitchen.status(supplement_level=15)
    kitchen.post("/iot/dispense/request", {"request_id": str(uuid4()), "cup_placed": True})
    unanswered = alice.dispenser(device_type="vitamin_d")
    unanswered.post("/iot/dispense/request", {"request_id": str(uuid4()), "cup_placed": True})
    settlement.sweep(now=clock.now() + timedelta(minutes=2))
    phone, fresh, others = SyncedPhone(alice), SyncedPhone(alice), SyncedPhone(bob)
    phone.full()
    before, untouched = dict(phone.copy["activity_logs"]), others.full()

    assert CHANGES[change](alice, kitchen).status_code in (200, 201)
    phone.delta()

    assert phone.copy == fresh.full()
    assert phone.copy["activity_logs"] != before
    others.delta()
    assert others.copy == untouched


def test_what_is_refused_or_repeated_is_no_change(alice: Phone, kitchen: Unit) -> None:
    said = dose(id=str(uuid4()))
    alice.post("/activities", said)
    phone = SyncedPhone(alice)
    phone.full()
    known = phone.last_sync
    assert alice.post("/activities", said).status_code == 200
    assert put(alice, dose_amount="5ml", metadata={}).status_code == 200
    assert put(alice, dose_amount="5IU").status_code == 422
    assert alice.post("/activities", dose(supplement="aspirin")).status_code == 422
    [page] = phone.delta()
    assert (page["new_activity_logs"], page["updated_activity_logs"]) == ([], [])
    assert page["deleted_items"]["activity_logs"] == []
    assert page["sync_timestamp"] >= known
