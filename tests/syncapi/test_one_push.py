"""What the changes of one push make of each other: each finds what those before it have left behind."""

import itertools
import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from pytest_django import Settings

from accounts.models import User
from devices.models import Device
from notifications.models import Notification, NotificationSettings
from syncapi import audit, edits
from syncapi.models import SyncChange
from telemetry.models import ActivityLog, Dispense
from tests.clients import Phone, Unit
from tests.syncapi.histories.world import asked, truth
from tests.syncapi.phone import SyncedPhone
from tests.syncapi.test_push import Outbox, change, rename
from tests.syncapi.test_push_entries import dose
from tests.threads import together
from zinzino import clock

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def phone(alice: Phone, kitchen: Unit) -> Outbox:
    return Outbox(alice)


@pytest.fixture(autouse=True)
def other(alice: Phone, kitchen: Unit) -> Iterator[SyncedPhone]:
    """Whatever was pushed, another phone is right after its next delta, page by page."""
    other = SyncedPhone(alice)
    other.full()
    yield other
    other.delta()
    assert other.copy == truth(alice.user.pk)
    assert not audit.faults_of(alice.user.pk)


@pytest.fixture
def told(alice: Phone, kitchen: Unit) -> Notification:
    kitchen.status(battery_level=5)
    return Notification.objects.get()


def outcomes(page: Any, *changes: dict[str, Any]) -> list[str]:
    """What came of each change, in the order in which they were sent."""
    said = {each["mutation_id"]: each["status"] for each in page["applied"]}
    said |= {each["mutation_id"]: each["type"] for each in page["conflicts"]}
    said |= {each["mutation_id"]: each["code"] for each in page["rejected"]}
    return [said[each["mutation_id"]] for each in changes]


def came(phone: Outbox, *changes: dict[str, Any]) -> list[str]:
    return outcomes(phone.push(*changes), *changes)


def entry(op: str, id: Any, **fields: Any) -> dict[str, Any]:
    return change("activity_log", op, id, **fields)


# ------------------------------------------------------------------------------- one entry


def test_an_entry_is_made_changed_and_deleted(phone: Outbox, kitchen: Unit) -> None:
    made = dose(kitchen, dose_amount="5ml")
    steps = [
        made,
        entry("update", made["id"], dose_amount="3ml"),
        entry("update", made["id"], dose_amount="5ml"),
        entry("update", made["id"], dose_amount="5ml"),
        entry("delete", made["id"]),
        entry("delete", made["id"]),
        made | {"mutation_id": str(uuid.uuid4())},
    ]
    page = phone.push(*steps)
    assert outcomes(page, *steps) == ["applied"] * 3 + ["noop", "applied", "noop", "deleted_on_server"]
    assert page["deleted_items"]["activity_logs"] == [made["id"]]
    assert (Dispense.objects.count(), ActivityLog.objects.count()) == (0, 0)
    again = phone.push(*steps)
    assert [each["status"] for each in again["applied"]] == ["duplicate"] * 6
    assert again["conflicts"] == page["conflicts"]


def test_an_entry_is_made_and_changed(phone: Outbox, kitchen: Unit) -> None:
    made = dose(kitchen, dose_amount="5ml", metadata={"note": "one"})
    steps = [
        made,
        entry("update", made["id"], dose_amount="3ml"),
        entry("update", made["id"], metadata={"note": "2"}),
    ]
    page = phone.push(*steps)
    assert outcomes(page, *steps) == ["applied"] * 3
    [row] = page["new_activity_logs"]
    assert (row["dose_amount"], row["metadata"]["note"], page["updated_activity_logs"]) == ("3ml", "2", [])
    assert len({each["version"] for each in page["applied"]}) == 1
    assert Dispense.objects.get().amount == 3


def test_an_entry_moves_to_another_month_and_back(phone: Outbox, kitchen: Unit) -> None:
    made = dose(kitchen)
    early = clock.iso(clock.now() - timedelta(days=29))
    moves = [entry("update", made["id"], timestamp=at) for at in (early, made["fields"]["timestamp"], early)]
    page = phone.push(made, *moves, entry("update", made["id"], dose_amount="2ml"))
    assert page["sync_status"] == "success"
    [row] = page["new_activity_logs"]
    assert (row["timestamp"], row["dose_amount"]) == (early, "2ml")
    assert page["deleted_items"]["activity_logs"] == []


def test_an_entry_is_made_twice_with_other_content(phone: Outbox, kitchen: Unit) -> None:
    made, more = dose(kitchen, dose_amount="5ml"), dose(kitchen, dose_amount="3ml")
    again = more | {"id": made["id"]}
    page = phone.push(made, again)
    assert outcomes(page, made, again) == ["applied", "already_exists"]
    assert page["conflicts"][0]["fields"]["dose_amount"]["server"] == "5ml"


# ------------------------------------------------------------------------------- one device


def test_a_device_is_changed_from_two_points_in_time(alice: Phone, phone: Outbox, kitchen: Unit) -> None:
    """The second edit was made after a look at what the first one did not know."""
    alice.put(f"/devices/{kitchen.id}", {"device_name": "Balkon"})
    seen = clock.iso(SyncChange.objects.get(kind="device").ts)
    blind, informed = rename(kitchen, "One"), rename(kitchen, "Two", base_version=seen)
    last = rename(kitchen, "Three")
    assert came(phone, blind, informed, last) == ["field_conflict", "applied", "field_conflict"]
    assert Device.objects.get().device_name == "Two"


def test_what_was_changed_and_changed_back_is_a_change(phone: Outbox, kitchen: Unit) -> None:
    steps = [rename(kitchen, "Salon"), rename(kitchen, "Mutfak Dispenseri"), rename(kitchen, "Mutfak Dispenseri")]
    assert came(phone, *steps) == ["applied", "applied", "noop"]


def test_entries_of_a_device_that_the_same_push_removes(phone: Outbox, kitchen: Unit) -> None:
    before, after = dose(kitchen, dose_amount="5ml"), dose(kitchen)
    steps = [
        before,
        change("device", "delete", kitchen.id),
        entry("update", before["id"], dose_amount="3ml"),
        entry("update", before["id"], device_id=str(kitchen.id)),
        after,
        rename(kitchen, "Salon"),
        change("device", "delete", kitchen.id),
    ]
    expected = ["applied", "applied", "applied", "noop", "NOT_FOUND", "deleted_on_server", "noop"]
    page = phone.push(*steps)
    assert outcomes(page, *steps) == expected
    [row] = page["new_activity_logs"]
    assert (row["id"], row["device_id"], row["dose_amount"]) == (before["id"], str(kitchen.id), "3ml")
    assert Dispense.objects.get().amount == 3
    assert page["deleted_items"]["devices"] == [str(kitchen.id)]


def test_a_refill_and_a_new_name_and_the_end(phone: Outbox, kitchen: Unit) -> None:
    kitchen.status(supplement_level=8)
    refill = entry("create", uuid.uuid4(), action="refill", device_id=str(kitchen.id), metadata={"level": 60})
    page = phone.push(refill, rename(kitchen, "Salon"))
    [row] = page["updated_devices"]
    assert (row["supplement_level"], row["device_name"]) == (60, "Salon")
    more = entry("create", uuid.uuid4(), action="refill", device_id=str(kitchen.id), metadata={"level": 90})
    assert came(phone, more, change("device", "delete", kitchen.id)) == ["applied", "applied"]


def test_a_removal_that_is_refused_removes_nothing(phone: Outbox, bob: Phone) -> None:
    unit = bob.dispenser()
    steps = [change("device", "delete", unit.id), rename(unit, "Mine")]
    assert came(phone, *steps) == ["NOT_FOUND", "NOT_FOUND"]


# ------------------------------------------------------------------------------- one notification


def test_a_notification_is_read_and_deleted_in_any_order(phone: Outbox, kitchen: Unit) -> None:
    read: tuple[str, dict[str, Any]] = ("update", {"is_read": True})
    delete: tuple[str, dict[str, Any]] = ("delete", {})
    for level, order in zip(
        (5, 6, 7), ([read, read, delete], [delete, read, delete], [read, delete, read]), strict=True
    ):
        kitchen.status(battery_level=50)
        kitchen.status(battery_level=level)
        id = Notification.objects.get().pk
        first, *rest = came(phone, *(change("notification", op, id, **fields) for op, fields in order))
        assert (first, rest.count("applied")) == ("applied", 0 if order[0] is delete else 1)
        assert not Notification.objects.exists()


def test_a_notification_of_a_device_that_is_removed_with_it(
    phone: Outbox, kitchen: Unit, told: Notification
) -> None:
    steps = [
        change("device", "delete", kitchen.id),
        change("notification", "update", told.pk, is_read=True),
        change("notification", "delete", told.pk),
    ]
    page = phone.push(*steps)
    assert outcomes(page, *steps) == ["applied"] * 3
    assert page["deleted_items"] == {
        "devices": [str(kitchen.id)],
        "activity_logs": [],
        "notifications": [str(told.pk)],
    }


@pytest.mark.parametrize("_round", range(4))
def test_reading_one_by_one_beside_reading_all_fails_for_nobody(alice: Phone, kitchen: Unit, _round: int) -> None:
    """The phone names them in an order of its own."""
    for level in (5, 50) * 20:
        kitchen.status(battery_level=level)
    ids = list(Notification.objects.order_by("-pk").values_list("pk", flat=True))
    phone = Outbox(alice)
    reads = [change("notification", "update", id, is_read=True) for id in ids]

    def work(what: str) -> list[int]:
        if what == "push":
            return [phone.send(*reads).status_code]
        return [alice.put("/notifications/read-all").status_code for _ in range(6)]

    seen = together(work, ["push", "all", "all"])
    assert {status for each in seen for status in each} == {200}
    assert not Notification.objects.filter(is_read=False).exists()


def test_of_two_readings_at_once_the_first_keeps_its_time(alice: Phone, kitchen: Unit) -> None:
    kitchen.status(battery_level=5)
    id = Notification.objects.get().pk
    together(lambda _: alice.put(f"/notifications/{id}/read"), range(4))
    change = SyncChange.objects.get(kind="notification")
    assert SyncChange.objects.filter(ts__gt=change.ts).count() == 0
    before = Notification.objects.get().read_at
    alice.put(f"/notifications/{id}/read")
    assert Notification.objects.get().read_at == before


# ------------------------------------------------------------------------------- a person


@pytest.mark.parametrize(("zone", "days"), [("Pacific/Kiritimati", 1), ("Pacific/Niue", -1)])
def test_what_is_written_after_a_change_of_zone_is_dated_there(
    alice: Phone, phone: Outbox, zone: str, days: int
) -> None:
    alice.put("/profile", {"timezone": "UTC"})
    midnight = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    at = midnight - timedelta(days=1) + timedelta(hours=23 if days > 0 else 1)
    note = entry("create", uuid.uuid4(), action="note", timestamp=clock.iso(at))
    before = note | {"mutation_id": str(uuid.uuid4()), "id": str(uuid.uuid4())}
    page = phone.push(before, change("profile", "update", timezone=zone), note)
    dates = {row["id"]: row["local_date"] for row in page["new_activity_logs"]}
    assert dates[before["id"]] == at.date().isoformat()
    assert dates[note["id"]] == (at.date() + timedelta(days=days)).isoformat()


def test_settings_and_profile_and_all_that_hangs_on_them(
    alice: Phone, phone: Outbox, kitchen: Unit, told: Notification
) -> None:
    steps = [
        change("notification_settings", "update", reminder_times=["07:30", "19:00"]),
        change("profile", "update", full_name="Al Ay", timezone="Europe/Berlin"),
        change("notification_settings", "update", reminder_times=["08:00"], low_battery_enabled=False),
        change("profile", "update", full_name="Ali Ay", phone="x"),
        change("notification", "update", told.pk, is_read=True),
        change("profile", "update", full_name="Ayşe Ay"),
    ]
    page = phone.push(*steps)
    assert outcomes(page, *steps) == ["applied", "applied", "applied", "VALIDATION_ERROR", "applied", "applied"]
    assert page["updated_profile"]["full_name"] == "Ayşe Ay"
    assert page["updated_notification_settings"]["reminder_times"] == ["08:00"]
    assert NotificationSettings.objects.get().low_battery_enabled is False


# ------------------------------------------------------------------------------- names


def test_a_name_stands_for_the_first_change_that_bears_it(phone: Outbox, kitchen: Unit) -> None:
    wrong = rename(kitchen, "")
    right = rename(kitchen, "Salon") | {"mutation_id": wrong["mutation_id"]}
    page = phone.push(wrong, right, wrong)
    assert [each["code"] for each in page["rejected"]] == [
        "VALIDATION_ERROR",
        "DUPLICATE_ENTRY",
        "VALIDATION_ERROR",
    ]
    assert page["applied"] == []
    first = rename(kitchen, "One")
    other = rename(kitchen, "Two") | {"mutation_id": first["mutation_id"]}
    page = phone.push(first, other, first, other)
    assert [each["status"] for each in page["applied"]] == ["applied", "duplicate"]
    assert [each["code"] for each in page["rejected"]] == ["DUPLICATE_ENTRY"] * 2
    assert Device.objects.get().device_name == "One"


def test_a_change_that_fails_half_way_leaves_nothing_behind(
    phone: Outbox, kitchen: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the database refuses it: the others stand."""

    def half(pusher: edits.Pusher, _change: edits.Change) -> edits.Effect:
        User.objects.filter(pk=pusher.user_id).update(full_name="Half")
        asked("SELECT 'x'::uuid")
        raise AssertionError

    monkeypatch.setitem(edits.RULES, ("profile", "update"), half)
    steps = [rename(kitchen, "Salon"), change("profile", "update", full_name="Al Ay")]
    assert came(phone, *steps, change("notification_settings", "update", low_battery_enabled=False)) == [
        "applied",
        "VALIDATION_ERROR",
        "applied",
    ]
    assert (Device.objects.get().device_name, User.objects.get().full_name) == ("Salon", "Alice Aydın")


@pytest.mark.parametrize("nothing_written", ["an equal value", "a conflict"])
def test_what_a_phone_did_not_write_does_not_count_as_its_own(
    alice: Phone, phone: Outbox, kitchen: Unit, nothing_written: str
) -> None:
    """It had an answer that names the version of another's change, but may not have got it."""
    Outbox(alice).push(rename(kitchen, "Balkon"))
    same = change("device", "update", kitchen.id, location="Mutfak")
    phone.push(same if nothing_written == "an equal value" else rename(kitchen, "One"))
    assert came(phone, rename(kitchen, "Two")) == ["field_conflict"]
    assert Device.objects.get().device_name == "Balkon"


def test_nor_does_an_entry_that_was_there(alice: Phone, phone: Outbox, kitchen: Unit) -> None:
    made = dose(kitchen, dose_amount="5ml")
    phone.push(made)
    Outbox(alice).push(entry("update", made["id"], dose_amount="3ml"))
    assert came(phone, made | {"mutation_id": str(uuid.uuid4())}) == ["duplicate"]
    assert came(phone, entry("update", made["id"], dose_amount="2ml")) == ["field_conflict"]


def test_what_a_phone_wrote_beside_a_conflict_is_its_own(alice: Phone, phone: Outbox, kitchen: Unit) -> None:
    Outbox(alice).push(rename(kitchen, "Balkon"))
    assert came(phone, change("device", "update", kitchen.id, device_name="One", location="One")) == [
        "field_conflict"
    ]
    assert came(phone, change("device", "update", kitchen.id, location="Two")) == ["applied"]
    assert came(phone, change("device", "update", kitchen.id, device_name="Two")) == ["field_conflict"]


# ------------------------------------------------------------------------------- pages, epochs, values


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_what_a_push_removes_and_changes_comes_back_page_by_page(
    alice: Phone, phone: Outbox, kitchen: Unit, told: Notification, settings: Settings, rows: int
) -> None:
    spare, note = alice.dispenser(device_type="vitamin_d"), str(uuid.uuid4())
    copy = SyncedPhone(alice)
    copy.full()
    settings.SYNC_PAGE_ROWS = rows
    steps = [
        change("device", "delete", kitchen.id),
        entry("create", note, action="note", metadata={"text": "one"}),
        change("notification", "delete", told.pk),
        rename(spare, "Salon"),
        entry("update", note, metadata={"text": "two"}),
        change("profile", "update", full_name="Al Ay"),
    ]
    page = phone.push(*steps, since=copy.last_sync)
    copy.apply(page)
    while page["has_more"]:
        page = phone.push(since=copy.last_sync)
        copy.apply(page)
    assert copy.copy == truth(alice.user.pk)
    assert list(copy.rows("device")) == [str(spare.id)]


def test_edits_from_before_between_and_after_two_epochs(phone: Outbox, kitchen: Unit, settings: Settings) -> None:
    bases = [phone.since]
    for _ in range(2):
        settings.SYNC_EPOCH = clock.now() + timedelta(milliseconds=1)
        while clock.now() <= settings.SYNC_EPOCH:
            pass
        bases.append(Outbox(phone.api).since)
    now = Outbox(phone.api)
    steps = [rename(kitchen, f"Name {number}", base_version=base) for number, base in enumerate(bases)]
    assert came(now, *steps) == ["field_conflict", "field_conflict", "applied"]
    assert now.push(*steps)["applied"][0]["status"] == "duplicate"


@pytest.mark.parametrize("number", [10**40, 2**64, -(2**63) - 1, 1.5e300, -1e-300])
def test_numbers_of_any_size_come_back_as_they_were_written(alice: Phone, phone: Outbox, number: float) -> None:
    def sent(*changes: dict[str, Any], path: str = "/sync/delta") -> Any:
        based = [each | {"base_version": phone.since} for each in changes]
        return alice.post(path, json.dumps({"last_sync": phone.since, "changes": based})).data

    made = entry("create", uuid.uuid4(), action="note", metadata={"number": number})
    assert type(number)(sent(made)["new_activity_logs"][0]["metadata"]["number"]) == number
    edits = [entry("update", made["id"], metadata={"number": number, "turn": turn}) for turn in range(2)]
    first, second = sent(edits[0]), sent(edits[1])
    assert (first["sync_status"], second["sync_status"]) == ("success", "partial")
    lost = second["conflicts"][0]["fields"]["metadata"]
    assert [type(number)(lost[who]["number"]) for who in ("client", "server")] == [number, number]
    for path in ("/sync/delta", "/sync/full"):
        [again] = sent(edits[1], path=path)["conflicts"]
        assert again["mutation_id"] == edits[1]["mutation_id"]


def test_a_conflict_shows_the_supplement_that_is_stored(alice: Phone, phone: Outbox) -> None:
    made = entry("create", uuid.uuid4(), action="dose_taken_manual", supplement="fish_oil", dose_amount="5ml")
    phone.push(made)
    Outbox(alice).push(entry("update", made["id"], supplement="krill_oil"))
    [conflict] = Outbox(alice).push(entry("update", made["id"], supplement="vegan", base_version=phone.since))[
        "conflicts"
    ]
    assert conflict["fields"]["supplement"]["server"] == "krill_oil"


def test_a_refusal_is_no_longer_than_what_it_names(phone: Outbox, kitchen: Unit) -> None:
    sent = rename(kitchen, "Salon")
    sent["fields"] |= {f"{number}{'x' * 5_000}": 1 for number in range(40)}
    [rejected] = phone.push(sent)["rejected"]
    assert len(rejected["details"]) == 20
    assert max(map(len, rejected["details"])) <= len("fields.") + 100


def test_every_order_of_four_changes_ends_in_the_same_way_for_all(alice: Phone, kitchen: Unit) -> None:
    """Whatever the order, each change has an answer, and a repeat has the same."""
    for number, order in enumerate(itertools.permutations(range(4))):
        note, phone = str(uuid.uuid4()), Outbox(alice)
        steps = [
            entry("create", note, action="note", metadata={"text": "one"}),
            entry("update", note, metadata={"text": "two"}),
            entry("delete", note),
            rename(kitchen, f"Name {number}"),
        ]
        sent = [steps[place] for place in order]
        first, again = phone.push(*sent), phone.push(*sent)
        made, edited, deleted = (order.index(place) for place in range(3))
        expected = {
            "create": "applied",
            "update": "NOT_FOUND"
            if edited < made
            else "deleted_on_server"
            if edited > deleted > made
            else "applied",
            "delete": "noop" if deleted < made else "applied",
        }
        assert dict(zip(expected, outcomes(first, *steps), strict=False)) == expected
        assert outcomes(first, steps[3]) == ["applied"]
        assert [each | {"status": "duplicate"} for each in first["applied"]] == again["applied"]
        assert (first["conflicts"], first["rejected"]) == (again["conflicts"], again["rejected"])
        assert ActivityLog.objects.filter(pk=note).exists() is (deleted < made)
    assert not SyncChange.objects.filter(ts__lt=F("created_ts")).exists()
