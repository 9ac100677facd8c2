"""Offline writes (api.md 5, sync.md): each takes effect at most once, and every one ends with an answer."""

import itertools
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from pytest_django import Settings

from accounts.models import User
from devices.models import Device
from notifications.models import Notification, NotificationSettings
from syncapi import edits, push
from syncapi.models import SyncChange, SyncClock, SyncMetadata, SyncMutation
from tests import make
from tests.clients import Phone, Unit
from tests.threads import together
from zinzino import clock

pytestmark = pytest.mark.django_db(transaction=True)


class Outbox:
    """One installation: what it sends, and the point up to which it knows."""

    def __init__(self, api: Phone) -> None:
        self.api = api
        self.client_id = str(uuid.uuid4())
        self.since: str = api.post("/sync/full", {"client_id": self.client_id}).data["sync_timestamp"]

    def send(self, *changes: dict[str, Any], since: str | None = None) -> Any:
        body = {"last_sync": since or self.since, "client_id": self.client_id, "changes": list(changes)}
        return self.api.post("/sync/delta", body)

    def push(self, *changes: dict[str, Any], since: str | None = None) -> Any:
        return self.send(*changes, since=since).data


def change(entity: str, op: str, id: Any = None, **rest: Any) -> dict[str, Any]:
    base = {"base_version": rest.pop("base_version")} if "base_version" in rest else {}
    named = {"id": str(id)} if id else {}
    return {"mutation_id": str(uuid.uuid4()), "entity": entity, "op": op, **named, "fields": rest, **base}


def rename(unit: Unit, name: str, **rest: Any) -> dict[str, Any]:
    return change("device", "update", unit.id, device_name=name, **rest)


@pytest.fixture
def phone(alice: Phone, kitchen: Unit) -> Outbox:
    return Outbox(alice)


@pytest.fixture
def told(alice: Phone, kitchen: Unit) -> Notification:
    kitchen.status(battery_level=5)
    return Notification.objects.get()


# ------------------------------------------------------------------------------- what takes effect


def test_a_change_takes_effect_and_comes_back_in_the_same_answer(phone: Outbox, kitchen: Unit) -> None:
    sent = change("device", "update", kitchen.id, device_name="Salon", location=None)
    data = phone.push(sent)
    [applied] = data["applied"]
    assert applied == {
        "mutation_id": sent["mutation_id"],
        "entity": "device",
        "id": str(kitchen.id),
        "status": "applied",
        "version": data["sync_timestamp"],
    }
    assert (data["sync_status"], data["conflicts"], data["rejected"]) == ("success", [], [])
    [row] = data["updated_devices"]
    assert (row["device_name"], row["location"]) == ("Salon", None)
    assert SyncMetadata.objects.get().sync_status == "success"


CASES: dict[str, Callable[[Phone, Unit, Notification], dict[str, Any]]] = {
    "a profile field": lambda alice, unit, told: change("profile", "update", alice.user.pk, full_name="Al Ay"),
    "a profile without its id": lambda alice, unit, told: change("profile", "update", theme_preference="light"),
    "a device": lambda alice, unit, told: rename(unit, "Ofis"),
    "a removal": lambda alice, unit, told: change("device", "delete", unit.id),
    "a reading": lambda alice, unit, told: change("notification", "update", told.pk, is_read=True),
    "a deletion": lambda alice, unit, told: change("notification", "delete", told.pk),
    "settings": lambda alice, unit, told: change(
        "notification_settings", "update", reminder_times=["07:30"], quiet_hours={"enabled": True}
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_change_is_applied_once_and_seen_by_the_other_phone(
    alice: Phone, kitchen: Unit, told: Notification, case: str
) -> None:
    from tests.syncapi.phone import SyncedPhone

    phone, other = Outbox(alice), SyncedPhone(alice)
    other.full()
    sent = CASES[case](alice, kitchen, told)
    first = phone.push(sent)
    assert [entry["status"] for entry in first["applied"]] == ["applied"], first
    before = SyncClock.objects.get().ts
    again = phone.push(sent)
    assert again["applied"] == [first["applied"][0] | {"status": "duplicate"}]
    assert not SyncChange.objects.filter(ts__gt=before).exists()
    other.delta()
    assert other.copy == SyncedPhone(alice).full()


def test_equal_values_are_no_change(phone: Outbox, kitchen: Unit) -> None:
    before = SyncChange.objects.get(kind="device").ts
    data = phone.push(rename(kitchen, "Mutfak Dispenseri"))
    [applied] = data["applied"]
    assert (applied["status"], applied["version"]) == ("noop", clock.iso(before))
    assert data["updated_devices"] == []


def test_the_changes_of_a_full_sync(alice: Phone, kitchen: Unit) -> None:
    bare = rename(kitchen, "Salon")
    refused = alice.post("/sync/full", {"changes": [bare]})
    assert (refused.status_code, list(refused.error["details"])) == (422, ["changes.0.base_version"])

    data = alice.post("/sync/full", {"changes": [bare | {"base_version": clock.iso(clock.now())}]}).data
    assert ([entry["status"] for entry in data["applied"]], data["sync_status"]) == (["applied"], "success")
    assert [row["device_name"] for row in data["devices"]] == ["Salon"]
    assert "applied" not in alice.post("/sync/full").data


def test_later_pages_take_no_changes(alice: Phone, kitchen: Unit, settings: Settings) -> None:
    settings.SYNC_PAGE_ROWS = 1
    for level in (5, 50, 5):
        kitchen.status(battery_level=level)
    cursor = alice.post("/sync/full").data["cursor"]
    late = rename(kitchen, "Salon", base_version=clock.iso(clock.now()))
    refused = alice.post("/sync/full", {"cursor": cursor, "changes": [late]})
    assert (refused.status_code, list(refused.error["details"])) == (422, ["changes"])


# ------------------------------------------------------------------------------- conflicts


def test_a_field_that_changed_meanwhile_is_not_overwritten(alice: Phone, phone: Outbox, kitchen: Unit) -> None:
    alice.put(f"/devices/{kitchen.id}", {"device_name": "Balkon"})
    sent = change("device", "update", kitchen.id, device_name="Salon", location="Ofis")
    data = phone.push(sent)

    stamps: Any = SyncChange.objects.get(kind="device").fields
    [conflict] = data["conflicts"]
    assert conflict == {
        "mutation_id": sent["mutation_id"],
        "entity": "device",
        "id": str(kitchen.id),
        "type": "field_conflict",
        "resolution": "server_wins",
        "base_version": phone.since,
        "server_version": data["sync_timestamp"],
        "fields": {
            "device_name": {
                "client": "Salon",
                "server": "Balkon",
                "server_changed_at": clock.iso(datetime.fromisoformat(stamps["device_name"])),
            }
        },
        "applied_fields": ["location"],
        "server_record": data["updated_devices"][0],
    }
    assert (data["applied"], data["sync_status"]) == ([], "partial")
    row = Device.objects.get()
    assert (row.device_name, row.location) == ("Balkon", "Ofis")
    assert phone.push(sent)["conflicts"] == [conflict]


def test_who_has_seen_the_conflict_may_overwrite(alice: Phone, phone: Outbox, kitchen: Unit) -> None:
    alice.put(f"/devices/{kitchen.id}", {"device_name": "Balkon"})
    [conflict] = phone.push(rename(kitchen, "Salon"))["conflicts"]
    data = phone.push(rename(kitchen, "Salon", base_version=conflict["server_version"]))
    assert [entry["status"] for entry in data["applied"]] == ["applied"]
    assert Device.objects.get().device_name == "Salon"


def test_the_same_value_from_both_sides_is_no_conflict(alice: Phone, phone: Outbox, kitchen: Unit) -> None:
    alice.put(f"/devices/{kitchen.id}", {"device_name": "Salon"})
    assert [entry["status"] for entry in phone.push(rename(kitchen, "Salon"))["applied"]] == ["noop"]


def test_what_dispensers_report_never_conflicts(phone: Outbox, kitchen: Unit) -> None:
    kitchen.cup(True)
    kitchen.status(battery_level=7, supplement_level=3, firmware_version="2.0.0")
    assert phone.push(rename(kitchen, "Salon"))["sync_status"] == "success"


def test_different_fields_of_two_phones_both_survive(alice: Phone, phone: Outbox, kitchen: Unit) -> None:
    other = Outbox(alice)
    other.push(rename(kitchen, "Salon"))
    assert phone.push(change("device", "update", kitchen.id, location="Ofis"))["sync_status"] == "success"
    row = Device.objects.get()
    assert (row.device_name, row.location) == ("Salon", "Ofis")


def test_of_two_phones_the_later_loses_and_is_told(alice: Phone, phone: Outbox, kitchen: Unit) -> None:
    other = Outbox(alice)
    other.push(rename(kitchen, "Salon"))
    data = phone.push(rename(kitchen, "Ofis"))
    assert data["conflicts"][0]["fields"]["device_name"]["server"] == "Salon"


def test_a_phone_never_conflicts_with_itself(phone: Outbox, kitchen: Unit) -> None:
    """Its answer was lost; it goes on from what it knew."""
    lost = rename(kitchen, "One")
    phone.push(lost)
    data = phone.push(lost, rename(kitchen, "Two"))
    assert [entry["status"] for entry in data["applied"]] == ["duplicate", "applied"]
    assert Device.objects.get().device_name == "Two"


def test_without_a_name_every_app_is_another_phone(alice: Phone, phone: Outbox, kitchen: Unit) -> None:
    phone.client_id = str(edits.NO_CLIENT_ID)
    phone.push(rename(kitchen, "One"))
    assert phone.push(rename(kitchen, "Two"))["sync_status"] == "partial"


def test_a_phone_conflicts_with_others_after_itself(alice: Phone, phone: Outbox, kitchen: Unit) -> None:
    phone.push(rename(kitchen, "One"))
    alice.put(f"/devices/{kitchen.id}", {"device_name": "Two"})
    assert phone.push(rename(kitchen, "Three"))["sync_status"] == "partial"


def test_two_edits_in_one_push_are_one_after_the_other(phone: Outbox, kitchen: Unit) -> None:
    data = phone.push(rename(kitchen, "One"), rename(kitchen, "Two"), change("device", "delete", kitchen.id))
    assert [entry["status"] for entry in data["applied"]] == ["applied", "applied", "applied"]
    assert data["deleted_items"]["devices"] == [str(kitchen.id)]


@pytest.mark.parametrize("field", [{"theme_preference": "light"}, {"language": "en"}, {"timezone": "Asia/Tokyo"}])
def test_of_preferences_the_last_writer_wins(alice: Phone, phone: Outbox, field: dict[str, str]) -> None:
    other = {"theme_preference": "auto", "language": "tr", "timezone": "Europe/Berlin"}
    alice.put("/profile", {name: other[name] for name in field})
    assert phone.push(change("profile", "update", **field))["sync_status"] == "success"
    assert alice.get("/profile").data.items() >= field.items()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"full_name": "Al Ay"}, {"full_name": "Ali Ay"}),
        ({"phone": "+905551234567"}, {"phone": None}),
        ({"notification_enabled": False}, {"notification_enabled": True}),
    ],
)
def test_the_rest_of_the_profile_is_guarded(
    alice: Phone, phone: Outbox, ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    alice.put("/profile", ours)
    data = phone.push(change("profile", "update", **theirs))
    assert data["conflicts"][0]["type"] == "field_conflict"
    assert data["conflicts"][0]["server_record"] == alice.get("/profile").data
    assert alice.get("/profile").data.items() >= ours.items()


def test_an_edit_of_what_was_deleted_is_told(alice: Phone, phone: Outbox, kitchen: Unit) -> None:
    alice.delete(f"/devices/{kitchen.id}")
    [conflict] = phone.push(rename(kitchen, "Salon"))["conflicts"]
    assert (conflict["type"], conflict["server_record"]) == ("deleted_on_server", None)
    assert conflict["fields"]["device_name"]["client"] == "Salon"
    assert conflict["server_version"] == clock.iso(SyncChange.objects.get(kind="device").ts)


def test_an_edit_of_what_the_same_push_deletes_is_told(phone: Outbox, kitchen: Unit, told: Notification) -> None:
    """The log hears of a deletion only at the end of a push."""
    note = str(uuid.uuid4())
    data = phone.push(
        change("device", "delete", kitchen.id),
        rename(kitchen, "Salon"),
        change("notification", "delete", told.pk),
        change("notification", "update", told.pk, is_read=True),
        change("activity_log", "create", note, action="note", metadata={"text": "one"}),
        change("activity_log", "delete", note),
        change("activity_log", "update", note, metadata={"text": "two"}),
    )
    assert [applied["status"] for applied in data["applied"]] == [
        "applied",
        "applied",
        "noop",
        "applied",
        "applied",
    ]
    assert [(each["entity"], each["type"]) for each in data["conflicts"]] == [
        ("device", "deleted_on_server"),
        ("activity_log", "deleted_on_server"),
    ]
    assert not data["rejected"]


def test_an_edit_from_before_an_epoch_conflicts(phone: Outbox, kitchen: Unit, settings: Settings) -> None:
    """After a restore, or a rebuilt log, nobody knows which field changed when."""
    old = phone.since
    settings.SYNC_EPOCH = clock.now() + timedelta(milliseconds=1)
    while clock.now() < settings.SYNC_EPOCH:
        pass
    fresh = Outbox(phone.api)
    data = fresh.push(
        rename(kitchen, "Salon", base_version=old), change("profile", "update", language="en", base_version=old)
    )
    assert [conflict["entity"] for conflict in data["conflicts"]] == ["device"]
    assert [applied["entity"] for applied in data["applied"]] == ["profile"]
    assert data["conflicts"][0]["fields"]["device_name"]["server_changed_at"] is None


# ------------------------------------------------------------------------------- deletions, readings


def test_deleting_wins_over_a_change_that_nobody_saw(alice: Phone, phone: Outbox, kitchen: Unit) -> None:
    alice.put(f"/devices/{kitchen.id}", {"device_name": "Balkon"})
    assert phone.push(change("device", "delete", kitchen.id))["sync_status"] == "success"
    assert not Device.objects.exists()


@pytest.mark.parametrize("entity", ["device", "notification"])
def test_what_is_gone_is_deleted_already(phone: Outbox, entity: str) -> None:
    [applied] = phone.push(change(entity, "delete", uuid.uuid4()))["applied"]
    assert applied["status"] == "noop"


def test_read_stays_read_and_keeps_its_time(alice: Phone, phone: Outbox, told: Notification) -> None:
    alice.put(f"/notifications/{told.pk}/read")
    read_at = Notification.objects.get().read_at
    [applied] = phone.push(change("notification", "update", told.pk, is_read=True))["applied"]
    assert (applied["status"], Notification.objects.get().read_at) == ("noop", read_at)
    alice.delete(f"/notifications/{told.pk}")
    [applied] = phone.push(change("notification", "update", told.pk, is_read=True))["applied"]
    assert applied["status"] == "noop"


def test_settings_take_the_calling_phone_s_push_token(alice: Phone, phone: Outbox) -> None:
    data = phone.push(change("notification_settings", "update", push_token="t" * 40, push_platform="ios"))
    assert data["sync_status"] == "success"
    assert alice.get("/notifications/settings").data["push_token"] == "t" * 40


def test_settings_of_two_phones_merge_field_by_field(alice: Phone, phone: Outbox) -> None:
    other = Outbox(alice)
    other.push(change("notification_settings", "update", low_battery_enabled=False))
    phone.push(change("notification_settings", "update", quiet_hours={"enabled": True}))
    row = NotificationSettings.objects.get()
    assert (row.low_battery_enabled, row.quiet_enabled) == (False, True)


# ------------------------------------------------------------------------------- refusals

ANY = str(uuid.uuid4())
REFUSED: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "no entity": ({"op": "update", "id": ANY}, "UNSUPPORTED", []),
    "a state": ({"entity": "device_state", "op": "update", "id": ANY}, "UNSUPPORTED", []),
    "a new device": ({"entity": "device", "op": "create", "id": ANY}, "UNSUPPORTED", []),
    "no name at all": ({"entity": ["device"], "op": {}}, "UNSUPPORTED", []),
    "no id": ({"entity": "device", "op": "update"}, "VALIDATION_ERROR", ["id"]),
    "a broken id": ({"entity": "device", "op": "update", "id": "x"}, "VALIDATION_ERROR", ["id"]),
    "an unknown id": (
        {"entity": "device", "op": "update", "id": ANY, "fields": {"location": "x"}},
        "NOT_FOUND",
        [],
    ),
    "another's profile": (
        {"entity": "profile", "op": "update", "id": ANY, "fields": {"language": "en"}},
        "NOT_FOUND",
        [],
    ),
    "no fields": ({"entity": "profile", "op": "update", "fields": "x"}, "VALIDATION_ERROR", ["fields"]),
    "a wrong value": (
        {"entity": "profile", "op": "update", "fields": {"language": "xx"}},
        "VALIDATION_ERROR",
        ["fields.language"],
    ),
    "an unknown field": (
        {"entity": "profile", "op": "update", "fields": {"email": "x@example.com", "language": "en"}},
        "VALIDATION_ERROR",
        ["fields.email"],
    ),
    "no time": (
        {"entity": "profile", "op": "update", "base_version": "then", "fields": {"language": "en"}},
        "VALIDATION_ERROR",
        ["base_version"],
    ),
    "no hours at all": (
        {
            "entity": "notification_settings",
            "op": "update",
            "fields": {"quiet_hours": {"start": "08:00", "end": "08:00"}},
        },
        "VALIDATION_ERROR",
        ["fields.quiet_hours.end"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_change_says_why_and_stops_no_other(phone: Outbox, kitchen: Unit, case: str) -> None:
    wrong, code, named = REFUSED[case]
    wrong = {"mutation_id": str(uuid.uuid4()), **wrong}
    data = phone.push(rename(kitchen, "Before"), wrong, change("device", "update", kitchen.id, location="After"))
    [rejected] = data["rejected"]
    assert (rejected["mutation_id"], rejected["code"]) == (wrong["mutation_id"], code)
    assert sorted(rejected["details"]) == named
    assert (rejected["message"] != "", data["sync_status"], len(data["applied"])) == (True, "partial", 2)
    assert phone.push(wrong)["rejected"] == [rejected]
    row = Device.objects.get()
    assert (row.device_name, row.location) == ("Before", "After")


@pytest.mark.parametrize("op", ["update", "delete"])
def test_what_belongs_to_another_is_not_found(phone: Outbox, bob: Phone, op: str) -> None:
    unit = bob.dispenser()
    unit.status(battery_level=5)
    theirs = [
        ("device", unit.id, {"location": "x"}),
        ("notification", Notification.objects.get().pk, {"is_read": True}),
    ]
    for entity, id, fields in theirs:
        sent = change(entity, op, id) | {"fields": fields}
        [rejected] = phone.push(sent)["rejected"]
        assert (rejected["code"], rejected["details"]) == ("NOT_FOUND", {})
    assert Device.objects.filter(user=bob.user).exists()


def test_unread_is_refused(phone: Outbox, told: Notification) -> None:
    [rejected] = phone.push(change("notification", "update", told.pk, is_read=False))["rejected"]
    assert list(rejected["details"]) == ["fields.is_read"]


def test_a_name_that_was_used_for_something_else_is_refused(phone: Outbox, kitchen: Unit) -> None:
    first = rename(kitchen, "One")
    phone.push(first)
    other = first | {"fields": {"device_name": "Two"}}
    [rejected] = phone.push(other)["rejected"]
    assert (rejected["code"], rejected["details"]) == ("DUPLICATE_ENTRY", {"reason": "duplicate"})
    assert [entry["status"] for entry in phone.push(first)["applied"]] == ["duplicate"]
    both = phone.push(rename(kitchen, "Three") | {"mutation_id": str(uuid.uuid4())}, first, other)
    assert ([entry["status"] for entry in both["applied"]], len(both["rejected"])) == (["applied", "duplicate"], 1)
    assert Device.objects.get().device_name == "Three"


def test_the_same_change_twice_in_one_push(phone: Outbox, kitchen: Unit) -> None:
    sent = rename(kitchen, "One")
    data = phone.push(sent, sent)
    assert [entry["status"] for entry in data["applied"]] == ["applied", "duplicate"]


def test_another_person_may_use_the_same_name(phone: Outbox, bob: Phone, kitchen: Unit) -> None:
    sent = change("profile", "update", theme_preference="light")
    phone.push(sent)
    assert [entry["status"] for entry in Outbox(bob).push(sent)["applied"]] == ["applied"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ("x", "changes"),
        ([5], "changes.0"),
        ([{}], "changes.0.mutation_id"),
        ([{"mutation_id": "x"}], "changes.0.mutation_id"),
        ([{"mutation_id": ANY}] * 101, "changes"),
    ],
)
def test_a_broken_envelope_is_422(phone: Outbox, changes: Any, named: str) -> None:
    refused = phone.api.post("/sync/delta", {"last_sync": phone.since, "changes": changes})
    assert (refused.status_code, list(refused.error["details"])) == (422, [named])


def test_a_hundred_changes_are_taken_and_a_megabyte_is_not(phone: Outbox, kitchen: Unit) -> None:
    assert len(phone.push(*(rename(kitchen, f"Name {number}") for number in range(100)))["applied"]) == 100
    assert Device.objects.get().device_name == "Name 99"
    large = rename(kitchen, "x" * 1_000_000)
    assert phone.send(large).status_code == 413


def test_a_full_sync_that_is_needed_comes_first(phone: Outbox, kitchen: Unit) -> None:
    """409 leaves no effect: the outbox stays as it is."""
    sent = rename(kitchen, "Salon")
    later = clock.iso(clock.now() + timedelta(hours=1))
    refused = phone.send(sent, since=later)
    assert (refused.status_code, refused.error["details"]) == (409, {"reason": "full_sync_required"})
    assert not SyncMutation.objects.exists()
    assert Device.objects.get().device_name == "Mutfak Dispenseri"
    assert SyncMetadata.objects.get(client_id=phone.client_id).sync_status == "failed"
    assert [entry["status"] for entry in phone.push(sent)["applied"]] == ["applied"]


def test_changes_come_back_in_the_same_chain_of_pages(
    alice: Phone, phone: Outbox, kitchen: Unit, settings: Settings
) -> None:
    settings.SYNC_PAGE_ROWS = 2
    for level in (5, 50) * 4:
        kitchen.status(battery_level=level)
    page = phone.push(rename(kitchen, "Salon"))
    assert page["has_more"]
    names = [row["device_name"] for row in page["updated_devices"]]
    while page["has_more"]:
        page = phone.push(since=page["sync_timestamp"])
        names += [row["device_name"] for row in page["updated_devices"]]
    assert names[-1] == "Salon"


def test_a_push_costs_few_statements_more_than_its_writes(
    phone: Outbox, kitchen: Unit, statements: make.Statements
) -> None:
    """Who it is, turn, results, lock, row, history, row, write, stamp, version, remember both, page."""
    phone.push()
    sent = rename(kitchen, "Salon")
    with statements(13):
        phone.push(sent)


# ------------------------------------------------------------------------------- at the same time


def test_of_concurrent_retries_one_takes_effect(alice: Phone, kitchen: Unit) -> None:
    outbox = Outbox(alice)
    for number in range(8):
        sent = rename(kitchen, f"Name {number}")
        answers = together(lambda each: Outbox(alice).push(each), [sent] * 4)
        statuses = sorted(answer["applied"][0]["status"] for answer in answers)
        assert statuses == ["applied", "duplicate", "duplicate", "duplicate"]
        assert len({answer["applied"][0]["version"] for answer in answers}) == 1
    assert SyncMutation.objects.count() == 8
    assert outbox.push()["updated_devices"][0]["device_name"] == "Name 7"


@pytest.mark.parametrize("_round", range(3))
def test_pushes_beside_dispensers_and_other_requests_fail_for_nobody(alice: Phone, _round: int) -> None:
    units = [alice.dispenser(device_type=kind) for kind in ("fish_oil", "krill_oil", "vitamin_d")]
    names = itertools.count()

    def live(who: Unit | str) -> list[int]:
        seen = []
        for turn in range(10):
            if isinstance(who, Unit):
                own = Unit(who.id, who.token)
                seen += [
                    own.cup(turn % 2 == 0).status_code,
                    own.status(battery_level=(5, 50)[turn % 2]).status_code,
                ]
            elif who == "pushes":
                order = units if turn % 2 else units[::-1]
                changes = [rename(unit, f"Name {next(names)}") for unit in order]
                seen.append(Outbox(alice).send(*changes, change("profile", "update", language="en")).status_code)
            else:
                seen.append(alice.put("/notifications/read-all").status_code)
                seen.append(alice.put("/profile", {"theme_preference": ("dark", "light")[turn % 2]}).status_code)
        return seen

    seen = together(live, [*units, "pushes", "pushes", "reads"])
    assert {status for each in seen for status in each} == {200}


def test_who_was_in_the_way_is_waited_for_and_the_push_tried_again(
    phone: Outbox, kitchen: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, tries = push.take, []

    def deadlocked(*args: Any) -> Any:
        tries.append(1)
        if len(tries) < 3:
            with connection.cursor() as cursor:
                code = ("40P01", "40001")[len(tries) - 1]
                cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{code}'; END $$")
        return original(*args)

    monkeypatch.setattr(push, "take", deadlocked)
    assert phone.push(rename(kitchen, "Salon"))["sync_status"] == "success"
    assert len(tries) == 3


def test_who_is_in_the_way_for_ever_is_503(phone: Outbox, kitchen: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    def deadlocked(*_args: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '55P03'; END $$")

    monkeypatch.setattr(push, "take", deadlocked)
    monkeypatch.setattr("time.sleep", lambda _: None)
    answer = phone.send(rename(kitchen, "Salon"))
    assert (answer.status_code, answer["Retry-After"]) == (503, "2")


def test_another_fault_is_not_tried_again(phone: Outbox, kitchen: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def breaks(*_args: Any) -> Any:
        tries.append(1)
        raise OperationalError

    monkeypatch.setattr(push, "take", breaks)
    assert phone.send(rename(kitchen, "Salon")).status_code == 503
    assert len(tries) == 1


# ------------------------------------------------------------------------------- the same, online


def test_a_put_may_say_what_it_is_based_on(alice: Phone, phone: Outbox, kitchen: Unit) -> None:
    path = f"/devices/{kitchen.id}"
    assert alice.put(path, {"device_name": "One", "base_version": phone.since}).status_code == 200
    kitchen.status(battery_level=7)
    refused = alice.put(path, {"device_name": "Two", "location": "Ofis", "base_version": phone.since})
    assert (refused.status_code, refused.error["code"]) == (409, "SYNC_CONFLICT")
    assert refused.error["details"]["reason"] == "conflict"
    conflict = refused.error["details"]["conflict"]
    assert (conflict["entity"], conflict["type"], conflict["applied_fields"]) == ("device", "field_conflict", [])
    assert conflict["fields"]["device_name"]["server"] == "One"
    assert conflict["server_record"] == alice.get("/devices").data[0]
    assert Device.objects.get().location == "Mutfak"

    again = alice.put(path, {"device_name": "Two", "base_version": conflict["server_version"]})
    assert again.data["device_name"] == "Two"
    assert alice.put(path, {"device_name": "Three"}).status_code == 200


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"settings": {"volume": 3}}, {"settings": {"volume": 9}}),
        ({"is_active": False}, {"is_active": True}),
        ({"location": None}, {"location": "Ofis"}),
    ],
)
def test_all_that_a_person_sets_on_a_device_is_guarded(
    alice: Phone, phone: Outbox, kitchen: Unit, first: dict[str, Any], second: dict[str, Any]
) -> None:
    path = f"/devices/{kitchen.id}"
    alice.put(path, first)
    assert alice.put(path, {**first, "base_version": phone.since}).status_code == 200
    refused = alice.put(path, {**second, "base_version": phone.since})
    assert (refused.status_code, list(refused.error["details"]["conflict"]["fields"])) == (409, list(second))


def test_a_profile_put_is_guarded_too(alice: Phone, phone: Outbox) -> None:
    alice.put("/profile", {"full_name": "One", "language": "en"})
    based = {"base_version": phone.since}
    refused = alice.put("/profile", {"full_name": "Two", "theme_preference": "light", **based})
    assert (refused.status_code, refused.error["details"]["conflict"]["entity"]) == (409, "profile")
    assert User.objects.get().theme_preference == "dark"
    assert alice.put("/profile", {"language": "tr", **based}).data["language"] == "tr"
    wrong = alice.put("/profile", {"base_version": "now"})
    assert (wrong.status_code, list(wrong.error["details"])) == (422, ["base_version"])


def test_others_devices_stay_refused(phone: Outbox, bob: Phone) -> None:
    unit = bob.dispenser()
    for path, status in ((f"/devices/{unit.id}", 403), (f"/devices/{uuid.uuid4()}", 404)):
        refused = phone.api.put(path, {"device_name": "Mine", "base_version": phone.since})
        assert refused.status_code == status


def test_of_two_puts_on_one_base_one_wins(alice: Phone, phone: Outbox, kitchen: Unit) -> None:
    def put(name: str) -> int:
        body = {"device_name": name, "base_version": phone.since}
        return int(Phone.put(alice, f"/devices/{kitchen.id}", body).status_code)

    assert sorted(together(put, ["One", "Two", "Three", "Four"])) == [200, 409, 409, 409]
