"""`sync_audit`, `sync_rebuild`: the log says what the tables say, or is mended so that phones hear of it."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import F

from devices.models import Device
from notifications.models import Notification
from syncapi import audit, capture
from syncapi.models import SyncChange, SyncClock
from telemetry.models import ActivityLog
from tests import everything, make
from tests.clients import Phone, Unit
from tests.syncapi.phone import SyncedPhone
from zinzino import clock

pytestmark = pytest.mark.django_db(transaction=True)


def said(command: str, *words: str) -> dict[str, Any]:
    out = StringIO()
    call_command(command, *words, "--json", stdout=out)
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


@contextmanager
def unseen() -> Iterator[None]:
    """What happens in here passes the triggers by, as under a replication role."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield


@pytest.fixture
def phone(alice: Phone, kitchen: Unit) -> SyncedPhone:
    kitchen.cup(True)
    kitchen.status(battery_level=5)
    phone = SyncedPhone(alice)
    phone.full()
    return phone


def test_nothing_is_found_where_nothing_was_passed_by(alice: Phone, bob: Phone, phone: SyncedPhone) -> None:
    faults = {"missing": 0, "zombie": 0, "misplaced": 0, "ahead": 0, "triggers": []}
    clean = {"users": 2, **faults, "concerned": 0, "such_as": [], "repaired": False}
    assert said("sync_audit") == clean
    assert said("sync_audit", "--id", str(bob.user.pk)) == clean | {"users": 1}


HARM: dict[str, tuple[Callable[[Phone], Any], str]] = {
    "a row that was loaded": (
        lambda alice: Notification.objects.create(
            id=uuid.uuid4(), user_id=alice.user.pk, type="reminder", dedupe_key="x", created_at=clock.now()
        ),
        "missing",
    ),
    "a row that was dropped": (lambda alice: ActivityLog.objects.filter(action="battery_low").delete(), "zombie"),
    "a device that changed hands": (
        lambda alice: Device.objects.update(user_id=make.person("carol@example.com").user.pk),
        "zombie",
    ),
    "a row that moved": (
        lambda alice: ActivityLog.objects.filter(action="battery_low").update(
            timestamp=clock.now() - timedelta(days=40)
        ),
        "misplaced",
    ),
    "a log that was restored from another day": (
        lambda alice: SyncChange.objects.filter(kind="device").update(ts=clock.now() + timedelta(days=1)),
        "ahead",
    ),
    "tombstones of what lives": (
        lambda alice: SyncChange.objects.filter(kind="notification").update(op="D"),
        "missing",
    ),
    "a device that came back": (lambda alice: SyncChange.objects.filter(kind="device").update(op="D"), "missing"),
}


@pytest.mark.parametrize("harm", HARM)
def test_what_passed_the_triggers_by_is_found_and_mended(alice: Phone, phone: SyncedPhone, harm: str) -> None:
    work, fault = HARM[harm]
    with unseen():
        work(alice)
    with pytest.raises(CommandError) as refused:
        said("sync_audit")
    assert refused.value.returncode == 1
    assert audit.faults_of(alice.user.pk)[fault] > 0

    assert said("sync_audit", "--repair")[fault] > 0
    assert said("sync_audit")[fault] == 0
    phone.delta()
    assert phone.copy == SyncedPhone(alice).full()


@pytest.mark.parametrize("harm", HARM)
def test_a_log_is_rebuilt_whatever_it_said(alice: Phone, phone: SyncedPhone, harm: str) -> None:
    with unseen():
        HARM[harm][0](alice)
    audit.rebuild(alice.user.pk)
    assert not audit.faults_of(alice.user.pk)
    phone.sync()
    assert phone.copy == SyncedPhone(alice).full()


@pytest.mark.parametrize("command", ["sync_audit", "sync_rebuild"])
@pytest.mark.parametrize("was_known", [True, False])
def test_an_edit_from_before_the_mending_overwrites_nothing(
    alice: Phone, kitchen: Unit, phone: SyncedPhone, command: str, was_known: bool
) -> None:
    """Nobody knows what has changed meanwhile."""
    phone.edit("device", "update", str(kitchen.id), device_name="Salon")
    with unseen():
        Device.objects.update(device_name="By hand")
        lines = SyncChange.objects.filter(kind="device")
        lines.update(op="D") if was_known else lines.delete()
    said(command, "--id", str(alice.user.pk), *(["--repair"] if command == "sync_audit" else []))
    phone.sync()
    assert [entry["type"] for _, entry in phone.problems()] == ["field_conflict"]
    assert Device.objects.get().device_name == "By hand"


def test_of_two_people_only_the_named_one_is_mended(alice: Phone, bob: Phone, phone: SyncedPhone) -> None:
    other = SyncedPhone(bob)
    bob.dispenser()
    other.full()
    with unseen():
        Device.objects.update(device_name="Ghost")
        SyncChange.objects.filter(kind="device").delete()
    with pytest.raises(CommandError):
        said("sync_audit")
    assert said("sync_audit", "--email", "bob@example.com", "--repair")["missing"] == 1
    assert said("sync_audit", "--email", "bob@example.com")["missing"] == 0
    assert audit.faults_of(alice.user.pk) == {"missing": 1}
    repaired = said("sync_audit", "--repair")
    assert (repaired["missing"], repaired["concerned"], repaired["such_as"]) == (1, 1, [str(alice.user.pk)])
    for each in (phone, other):
        each.delta()
        assert [row["device_name"] for row in each.rows("device").values()] == ["Ghost"]


def test_the_triggers_of_the_database_are_those_of_this_code() -> None:
    """Who changes `capture.SYNCED` writes a migration with `capture.changed`."""
    assert audit.trigger_faults() == []


@pytest.mark.parametrize(
    ("harm", "mend"),
    [
        ("ALTER TABLE devices DISABLE TRIGGER sync_device", "ALTER TABLE devices ENABLE TRIGGER sync_device"),
        (
            "ALTER TABLE activity_logs_default DISABLE TRIGGER sync_activity_log_update",
            "ALTER TABLE activity_logs_default ENABLE TRIGGER sync_activity_log_update",
        ),
    ],
)
def test_a_trigger_that_is_off_is_found(harm: str, mend: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(harm)
        try:
            assert len(audit.trigger_faults()) == 1
            with pytest.raises(CommandError):
                said("sync_audit")
        finally:
            cursor.execute(mend)
    assert audit.trigger_faults() == []


# Never change; or end all access, so that nothing is synced any more.
LEFT_OUT = {"id", "user_id", "is_active:users", "deleted_at:users"}


def columns(table: str) -> list[str]:
    names = [str(field.column) for field in everything.models_by_table()[table]._meta.concrete_fields]
    return [name for name in names if name not in LEFT_OUT and f"{name}:{table}" not in LEFT_OUT]


@pytest.mark.parametrize("each", capture.SYNCED, ids=lambda each: each.kind)
def test_no_shown_column_moves_without_a_stamp(alice: Phone, phone: SyncedPhone, each: capture.Synced) -> None:
    """For every column of every synced table: after it changes, a delta gives what a full sync gives."""
    shown = 0
    for column in columns(each.table):
        before = json.dumps(phone.copy)
        assert everything.change(each.table, column, owner=each.owner, user_id=alice.user.pk)
        phone.delta()
        assert phone.copy == SyncedPhone(alice).full(), column
        shown += before != json.dumps(phone.copy)
    assert shown >= 5


def test_a_rebuilt_log_makes_every_phone_start_anew(alice: Phone, bob: Phone, phone: SyncedPhone) -> None:
    other = SyncedPhone(bob)
    other.full()
    with unseen():
        Device.objects.update(device_name="Ghost")
    assert said("sync_rebuild", "--email", "alice@example.com", "--dry-run")["lines"] == 0
    lines = SyncChange.objects.filter(user=alice.user).exclude(op="D").count()
    assert said("sync_rebuild", "--email", "alice@example.com") == {"users": 1, "lines": lines, "dry_run": False}

    refused = alice.post("/sync/delta", {"last_sync": phone.last_sync})
    assert refused.error["details"] == {"reason": "full_sync_required"}
    assert [row["device_name"] for row in phone.full()["devices"].values()] == ["Ghost"]
    alice.put("/profile", {"theme_preference": "light"})
    phone.delta()
    assert phone.copy == SyncedPhone(alice).full()
    assert said("sync_audit")["missing"] == 0
    other.delta()


def test_everybodys_log_is_rebuilt_only_on_demand(alice: Phone, bob: Phone) -> None:
    for words in ([], ["--all", "--email", "alice@example.com"]):
        with pytest.raises(CommandError, match="--all"):
            said("sync_rebuild", *words)
    assert said("sync_rebuild", "--all")["users"] == 2
    assert not SyncClock.objects.filter(horizon__lt=F("ts")).exists()
