"""Offline entries of the log: made once under the phone's own id, changed field by field, deleted for good."""

import uuid
from datetime import timedelta
from typing import Any

import pytest

from syncapi.models import SyncMutation
from telemetry.models import ActivityLog, Dispense
from tests.clients import Phone, Unit
from tests.syncapi.phone import SyncedPhone
from tests.syncapi.test_push import Outbox, change
from zinzino import clock

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def phone(alice: Phone, kitchen: Unit) -> Outbox:
    return Outbox(alice)


def dose(unit: Unit, **more: Any) -> dict[str, Any]:
    taken = clock.iso(clock.now() - timedelta(hours=5))
    fields = {"device_id": str(unit.id), "action": "dose_taken_manual", "timestamp": taken, **more}
    return change("activity_log", "create", uuid.uuid4(), **fields)


def test_a_dose_by_hand_is_written_once_and_counts(alice: Phone, phone: Outbox, kitchen: Unit) -> None:
    sent = dose(kitchen, metadata={"note": "with breakfast"})
    data = phone.push(sent)
    assert [(entry["status"], entry["id"]) for entry in data["applied"]] == [("applied", sent["id"])]
    [row] = data["new_activity_logs"]
    assert (row["id"], row["timestamp"]) == (sent["id"], sent["fields"]["timestamp"])
    assert row | {"device_name": "Mutfak Dispenseri"} == alice.get(f"/activities/{sent['id']}").data
    assert phone.push(sent)["applied"][0]["status"] == "duplicate"
    assert Dispense.objects.count() == 1
    assert phone.push(dose(kitchen))["sync_status"] == "success"


def test_the_same_content_under_another_name_is_a_duplicate(phone: Outbox, kitchen: Unit) -> None:
    """Also when the results of offline writes are long forgotten."""
    sent = dose(kitchen)
    phone.push(sent)
    SyncMutation.objects.all().delete()
    assert phone.push(sent)["applied"][0]["status"] == "duplicate"
    again = sent | {"mutation_id": str(uuid.uuid4())}
    assert phone.push(again)["applied"][0]["status"] == "duplicate"
    assert ActivityLog.objects.count() == 1


def test_other_content_under_the_same_id_conflicts(phone: Outbox, kitchen: Unit) -> None:
    sent = dose(kitchen, dose_amount="5ml")
    phone.push(sent)
    other = dose(kitchen, dose_amount="3ml") | {"id": sent["id"]}
    [conflict] = phone.push(other)["conflicts"]
    assert (conflict["type"], conflict["id"]) == ("already_exists", sent["id"])
    assert conflict["fields"]["dose_amount"] == {"client": "3ml", "server": "5ml", "server_changed_at": None}
    assert conflict["server_record"]["dose_amount"] == "5ml"


def test_an_id_of_another_person_is_not_found(phone: Outbox, bob: Phone, kitchen: Unit) -> None:
    sent = dose(bob.dispenser())
    Outbox(bob).push(sent)
    for op, fields in (("create", dose(kitchen)["fields"]), ("update", {"dose_amount": "3ml"}), ("delete", {})):
        [rejected] = phone.push(change("activity_log", op, sent["id"]) | {"fields": fields})["rejected"]
        assert (rejected["code"], rejected["details"]) == ("NOT_FOUND", {})
    [rejected] = phone.push(dose(bob.dispenser()))["rejected"]
    assert rejected["code"] == "NOT_FOUND"


def test_a_late_retry_does_not_bring_back_what_was_deleted(phone: Outbox, kitchen: Unit) -> None:
    sent = dose(kitchen)
    phone.push(sent)
    assert phone.push(change("activity_log", "delete", sent["id"]))["deleted_items"]["activity_logs"] == [
        sent["id"]
    ]
    SyncMutation.objects.all().delete()
    [conflict] = phone.push(sent)["conflicts"]
    assert (conflict["type"], conflict["server_record"]) == ("deleted_on_server", None)
    [conflict] = phone.push(change("activity_log", "update", sent["id"], dose_amount="3ml"))["conflicts"]
    assert conflict["type"] == "deleted_on_server"
    [applied] = phone.push(change("activity_log", "delete", sent["id"]))["applied"]
    assert applied["status"] == "noop"
    assert not Dispense.objects.exists()


def test_different_fields_of_two_phones_both_survive(alice: Phone, phone: Outbox, kitchen: Unit) -> None:
    sent = dose(kitchen, metadata={"note": "one"})
    phone.push(sent)
    first, second = Outbox(alice), Outbox(alice)
    first.push(change("activity_log", "update", sent["id"], dose_amount="3ml"))
    data = second.push(change("activity_log", "update", sent["id"], metadata={"note": "two"}, dose_amount="4ml"))
    [conflict] = data["conflicts"]
    assert (list(conflict["fields"]), conflict["applied_fields"]) == (["dose_amount"], ["metadata"])
    assert conflict["fields"]["dose_amount"]["server"] == "3ml"
    row = alice.get(f"/activities/{sent['id']}").data
    assert (row["dose_amount"], row["metadata"]["note"]) == ("3ml", "two")


def test_a_field_may_be_taken_away(alice: Phone, phone: Outbox, kitchen: Unit) -> None:
    sent = dose(kitchen, metadata={"note": "one"})
    phone.push(sent)
    [applied] = phone.push(change("activity_log", "update", sent["id"], metadata={}))["applied"]
    assert applied["status"] == "applied"
    assert "note" not in alice.get(f"/activities/{sent['id']}").data["metadata"]


def test_an_entry_that_moves_to_another_month_stays_one_object(alice: Phone, phone: Outbox, kitchen: Unit) -> None:
    """Its row changes the partition: gone and there again, in one transaction."""
    other = SyncedPhone(alice)
    sent = dose(kitchen)
    since = phone.push(sent)["sync_timestamp"]
    other.full()
    earlier = clock.iso(clock.now() - timedelta(days=29))
    data = phone.push(change("activity_log", "update", sent["id"], timestamp=earlier), since=since)
    assert [entry["status"] for entry in data["applied"]] == ["applied"]
    assert data["deleted_items"]["activity_logs"] == []
    other.delta()
    assert other.copy == SyncedPhone(alice).full()
    late = change("activity_log", "update", sent["id"], dose_amount="2ml", base_version=since)
    [conflict] = Outbox(alice).push(late)["conflicts"]
    assert list(conflict["fields"]) == ["dose_amount"]


def test_lines_of_dispensers_cannot_be_written(alice: Phone, kitchen: Unit) -> None:
    kitchen.cup(True)
    line = ActivityLog.objects.get()
    for sent in (
        change("activity_log", "update", line.pk, dose_amount="3ml"),
        change("activity_log", "delete", line.pk),
    ):
        [rejected] = Outbox(alice).push(sent)["rejected"]
        assert (rejected["code"], rejected["details"]) == ("FORBIDDEN", {"reason": "not_editable"})


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"action": "dose_dispensed"}, "fields.action"),
        ({"timestamp": "2001-01-01T00:00:00Z"}, "fields.timestamp"),
        ({"metadata": {"triggered_by": "x"}}, "fields.metadata.triggered_by"),
        ({"local_date": "2025-01-01"}, "fields.local_date"),
    ],
)
def test_what_an_entry_may_not_say_is_named(phone: Outbox, kitchen: Unit, wrong: Any, named: str) -> None:
    [rejected] = phone.push(dose(kitchen, **wrong))["rejected"]
    assert (rejected["code"], list(rejected["details"])) == ("VALIDATION_ERROR", [named])
    assert not ActivityLog.objects.exists()
