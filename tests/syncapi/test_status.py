"""`GET /sync/status`: how far a phone is behind, and what its copy must come to."""

import hashlib
from datetime import datetime, timedelta

import pytest
from django.db import connection
from pytest_django import Settings

from syncapi import feed
from telemetry.models import ActivityLog
from tests import make
from tests.clients import Phone, Unit
from tests.syncapi.phone import SyncedPhone
from zinzino import clock

pytestmark = pytest.mark.django_db(transaction=True)

CLIENT = "1c0ffee0-0000-4000-8000-000000000001"
TIMES = ("last_full_sync", "last_delta_sync", "sync_status")
EMPTY = hashlib.sha256(b"").hexdigest()


def checksum(ids: list[str]) -> str:
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()


def test_a_phone_that_never_synced(alice: Phone, statements: make.Statements) -> None:
    alice.get("/profile")
    with statements(2):
        status = alice.get("/sync/status").data
    assert status.pop("server_time") >= status.pop("sync_timestamp") > status.pop("window_start")
    assert status == {
        "last_full_sync": None,
        "last_delta_sync": None,
        "sync_status": None,
        "pending_changes": None,
        "full_sync_required": True,
        "counts": {"devices": 0, "activity_logs": 0, "notifications": 0},
        "checksums": {"devices": EMPTY, "activity_logs": EMPTY, "notifications": EMPTY},
    }


def test_what_a_copy_must_come_to(alice: Phone, bob: Phone, kitchen: Unit) -> None:
    bob.dispenser().cup(True)
    alice.dispenser(device_type="vitamin_d").cup(True)
    kitchen.cup(True)
    kitchen.status(battery_level=5)
    phone = SyncedPhone(alice)
    copy = phone.full()
    status = alice.get(f"/sync/status?last_sync={phone.last_sync}").data
    assert status["counts"] == {"devices": 2, "activity_logs": 3, "notifications": 1}
    assert status["checksums"] == {name: checksum(list(copy[name])) for name in status["counts"]}
    assert (status["pending_changes"], status["full_sync_required"]) == (0, False)


def test_it_reaches_as_far_back_as_a_full_sync(alice: Phone, kitchen: Unit, settings: Settings) -> None:
    kitchen.cup(True)
    ActivityLog.objects.update(timestamp=clock.now() - timedelta(days=89, hours=23))
    assert alice.get("/sync/status").data["counts"]["activity_logs"] == 1
    settings.SYNC_FULL_DAYS = 89
    status = alice.get("/sync/status").data
    assert (status["counts"]["activity_logs"], status["checksums"]["activity_logs"]) == (0, EMPTY)
    assert SyncedPhone(alice).full()["activity_logs"] == {}
    window = datetime.fromisoformat(status["sync_timestamp"]) - datetime.fromisoformat(status["window_start"])
    assert window == timedelta(days=89)


def test_each_phone_has_its_own_and_together_they_are_the_newest(alice: Phone) -> None:
    since = alice.post("/sync/full", {"client_id": CLIENT}).data["sync_timestamp"]
    mine = alice.get(f"/sync/status?client_id={CLIENT}").data
    assert (mine["last_full_sync"] is None, mine["last_delta_sync"], mine["sync_status"]) == (
        False,
        None,
        "success",
    )
    assert alice.get(f"/sync/status?client_id={CLIENT[:-1]}2").data["last_full_sync"] is None

    alice.post("/sync/delta", {"last_sync": since})
    alice.post("/sync/delta", {"last_sync": "2001-01-01T00:00:00Z", "client_id": CLIENT[:-1] + "3"})
    again = alice.get(f"/sync/status?client_id={CLIENT}").data
    assert [again[name] for name in TIMES] == [mine[name] for name in TIMES]
    everybody = alice.get("/sync/status").data
    assert everybody["last_full_sync"] == mine["last_full_sync"]
    assert everybody["last_delta_sync"] > mine["last_full_sync"]


def test_a_refused_delta_shows(alice: Phone) -> None:
    alice.post("/sync/delta", {"last_sync": "2999-01-01T00:00:00Z", "client_id": CLIENT})
    assert alice.get(f"/sync/status?client_id={CLIENT}").data["sync_status"] == "failed"


def test_waiting_changes_are_counted_up_to_a_bound(
    alice: Phone, kitchen: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    since = alice.post("/sync/full").data["sync_timestamp"]
    kitchen.status(battery_level=5)
    # The device, the line of the log, the notification.
    assert alice.get(f"/sync/status?last_sync={since}").data["pending_changes"] == 3
    monkeypatch.setattr(feed, "MOST_COUNTED", 2)
    assert alice.get(f"/sync/status?last_sync={since}").data["pending_changes"] == 2


def test_it_says_beforehand_what_a_delta_would_refuse(alice: Phone, settings: Settings) -> None:
    now = clock.now()
    for last_sync in (now - timedelta(days=400), now - timedelta(seconds=1), now + timedelta(hours=1)):
        status = alice.get(f"/sync/status?last_sync={clock.iso(last_sync)}").data
        refused = alice.post("/sync/delta", {"last_sync": clock.iso(last_sync)}).status_code == 409
        assert status["full_sync_required"] is refused
    settings.SYNC_EPOCH = now
    long_ago = clock.iso(now - timedelta(hours=1))
    assert alice.get(f"/sync/status?last_sync={long_ago}").data["full_sync_required"] is True


def test_an_offset_may_be_left_unencoded(alice: Phone) -> None:
    assert alice.get("/sync/status?last_sync=2025-12-05T13:00:00+03:00").status_code == 200
    refused = alice.get("/sync/status?last_sync=yesterday&client_id=x")
    assert (refused.status_code, sorted(refused.error["details"])) == (422, ["client_id", "last_sync"])


def test_asking_changes_nothing(alice: Phone) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT ts FROM sync_clock")
        before = cursor.fetchone()
        alice.get("/sync/status")
        cursor.execute("SELECT ts FROM sync_clock")
        assert cursor.fetchone() == before
