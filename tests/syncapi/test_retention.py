"""What sync forgets, and that only who missed something has to start anew."""

import uuid
from datetime import timedelta

import pytest
from django.db import connection

from notifications.models import Notification
from syncapi import retention
from syncapi.models import SyncChange, SyncClock, SyncMetadata
from tests.clients import Phone, Unit
from tests.syncapi.phone import SyncedPhone
from tests.syncapi.test_push import Outbox, change, rename
from zinzino import clock

pytestmark = pytest.mark.django_db(transaction=True)

AGO = timedelta(days=200)


def age(days: int) -> None:
    """All that sync remembers happened that many days earlier."""
    with connection.cursor() as cursor:
        shift = f"interval '{days} days'"
        cursor.execute(f"UPDATE sync_change SET ts = ts - {shift}, created_ts = created_ts - {shift}")
        cursor.execute(f"UPDATE sync_clock SET ts = ts - {shift}")


@pytest.fixture
def phone(alice: Phone, kitchen: Unit) -> SyncedPhone:
    kitchen.status(battery_level=5)
    phone = SyncedPhone(alice)
    phone.full()
    return phone


def test_a_phone_that_missed_a_forgotten_deletion_starts_anew(alice: Phone, phone: SyncedPhone) -> None:
    before = phone.last_sync
    Notification.objects.all().delete()
    phone.delta()
    stamp = SyncChange.objects.get(op="D").ts
    age(200)
    gone = retention.purge(now=clock.now())
    assert (gone["tombstones"], SyncChange.objects.filter(op="D").count()) == (1, 0)
    assert SyncClock.objects.get().horizon == stamp - AGO

    def asked(last_sync: str | None) -> int:
        return int(alice.post("/sync/delta", {"last_sync": last_sync}).status_code)

    older = clock.iso(stamp - AGO - timedelta(milliseconds=1))
    assert (asked(older), asked(clock.iso(stamp - AGO)), asked(before)) == (409, 200, 200)


def test_who_lost_nothing_never_expires(alice: Phone, phone: SyncedPhone) -> None:
    age(3_000)
    assert retention.purge(now=clock.now())["tombstones"] == 0
    long_ago = clock.iso(clock.now() - timedelta(days=3_000))
    assert alice.post("/sync/delta", {"last_sync": long_ago}).status_code == 200


def test_a_younger_tombstone_stays(alice: Phone, phone: SyncedPhone) -> None:
    Notification.objects.all().delete()
    age(179)
    assert retention.purge(now=clock.now())["tombstones"] == 0


def test_many_tombstones_go_in_portions(
    kitchen: Unit, phone: SyncedPhone, monkeypatch: pytest.MonkeyPatch
) -> None:
    for level in (50, 5) * 7:
        kitchen.status(battery_level=level)
    Notification.objects.all().delete()
    monkeypatch.setattr(retention, "CHUNK_ROWS", 3)
    age(200)
    assert retention.purge(now=clock.now())["tombstones"] == 8
    assert retention.purge(now=clock.now())["tombstones"] == 0


def test_phones_that_are_gone_are_forgotten_and_a_preview_changes_nothing(phone: SyncedPhone) -> None:
    now = clock.now()
    SyncMetadata.objects.update(last_full_sync=now - timedelta(days=401), created_at=now - timedelta(days=401))
    assert retention.prune_phones(now=now, dry_run=True) == SyncMetadata.objects.count() == 1
    assert retention.prune_phones(now=now) == 1
    assert not SyncMetadata.objects.exists()


def test_a_phone_that_still_syncs_is_remembered(alice: Phone, phone: SyncedPhone) -> None:
    SyncMetadata.objects.update(created_at=clock.now() - timedelta(days=401))
    assert retention.purge(now=clock.now())["phones"] == 0


def test_what_came_of_a_change_is_kept_for_ninety_days_and_a_later_repeat_is_harmless(
    alice: Phone, kitchen: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox(alice)
    sent = [
        rename(kitchen, "Salon"),
        change("activity_log", "create", uuid.uuid4(), action="note", metadata={"text": "one"}),
        change("device", "delete", alice.dispenser(device_type="vitamin_d").id),
    ]
    outbox.push(*sent)
    monkeypatch.setattr(retention, "CHUNK_ROWS", 2)
    assert retention.purge(now=clock.now() + timedelta(days=89))["mutations"] == 0
    assert retention.prune_mutations(now=clock.now() + timedelta(days=91), dry_run=True) == 3
    assert retention.purge(now=clock.now() + timedelta(days=91))["mutations"] == 3
    before = SyncClock.objects.get().ts
    again = outbox.push(*sent)
    assert [entry["status"] for entry in again["applied"]] == ["noop", "duplicate", "noop"]
    assert not SyncChange.objects.filter(ts__gt=before).exists()


def test_the_tombstones_of_devices_stay_also_beside_others(kitchen: Unit, phone: SyncedPhone) -> None:
    """By them an erasure finds what they reported."""
    Notification.objects.all().delete()
    phone.api.delete(f"/devices/{kitchen.id}")
    age(200)
    assert retention.purge(now=clock.now())["tombstones"] == 2
    assert list(SyncChange.objects.filter(op="D").values_list("kind", "object_id")) == [("device", kitchen.id)]
