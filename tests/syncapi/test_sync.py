from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from pytest_django import Settings

from accounts.models import User
from devices.models import Device
from notifications.models import Notification
from syncapi.models import SyncChange, SyncMetadata
from telemetry import settlement
from tests import make
from tests.clients import Phone, Unit
from tests.syncapi.phone import SyncedPhone
from tests.threads import together
from zinzino import clock
from zinzino.clock import iso

# Stamps are given at COMMIT: nothing here can run inside a test's own transaction.
pytestmark = pytest.mark.django_db(transaction=True)

EMPTY: dict[str, Any] = {
    "updated_devices": [],
    "updated_states": [],
    "new_activity_logs": [],
    "new_notifications": [],
    "deleted_items": {"devices": [], "activity_logs": [], "notifications": []},
    "updated_profile": None,
    "updated_notification_settings": None,
    "updated_notifications": [],
    "updated_activity_logs": [],
    "sync_status": "success",
    "applied": [],
    "conflicts": [],
    "rejected": [],
    "has_more": False,
}


def test_a_full_sync_has_the_documented_shape(alice: Phone, kitchen: Unit, statements: make.Statements) -> None:
    kitchen.cup(True)
    kitchen.status(battery_level=15)
    alice.get("/profile")
    with statements(3):
        data = alice.post("/sync/full", {"last_sync": "2025-12-04T22:00:00Z"}).data

    assert data["profile"] == alice.get("/profile").data
    assert data["devices"] == alice.get("/devices").data
    assert [set(row) for row in data["states"]] == [
        {"device_id", "cup_placed", "sensor_reading", "last_state_change"}
    ]
    assert [row["action"] for row in data["activity_logs"]] == ["battery_low", "dose_dispensed"]
    assert data["notifications"] == alice.get("/notifications").data["notifications"]
    assert (data["has_more"], data["cursor"]) == (False, None)


def test_nothing_new_is_an_empty_delta(alice: Phone, kitchen: Unit, statements: make.Statements) -> None:
    since = alice.post("/sync/full").data["sync_timestamp"]
    with statements(3):
        data = alice.post("/sync/delta", {"last_sync": since}).data
    assert {**data, "sync_timestamp": None} == {**EMPTY, "sync_timestamp": None}
    assert data["sync_timestamp"] >= since


CHANGES: dict[str, Callable[[Phone, Unit], Any]] = {
    "a cup is placed": lambda alice, unit: unit.cup(True),
    "a cup is removed": lambda alice, unit: unit.cup(False),
    "a level falls": lambda alice, unit: unit.status(battery_level=14),
    "the dispenser goes offline": lambda alice, unit: unit.status(is_connected=False),
    "a device is added": lambda alice, unit: alice.dispenser(device_type="vitamin_d"),
    "a device is renamed": lambda alice, unit: alice.put(f"/devices/{unit.id}", {"device_name": "Salon"}),
    "a device is switched off": lambda alice, unit: alice.put(f"/devices/{unit.id}", {"is_active": False}),
    "a device is removed": lambda alice, unit: alice.delete(f"/devices/{unit.id}"),
    "the profile changes": lambda alice, unit: alice.put("/profile", {"theme_preference": "light"}),
    "all is read": lambda alice, unit: alice.put("/notifications/read-all"),
    "one is read": lambda alice, unit: alice.put(f"/notifications/{newest(alice)}/read"),
    "one is deleted": lambda alice, unit: alice.delete(f"/notifications/{newest(alice)}"),
    "a dose is assumed": lambda alice, unit: settlement.sweep(now=clock.now() + timedelta(minutes=2)),
    "a late event arrives": lambda alice, unit: unit.cup(True, timestamp=iso(clock.now() - timedelta(hours=3))),
}


def newest(alice: Phone) -> str:
    return str(Notification.objects.filter(user=alice.user).latest("created_at").pk)


@pytest.mark.parametrize("change", CHANGES)
def test_after_every_change_the_delta_makes_the_old_copy_the_new(alice: Phone, kitchen: Unit, change: str) -> None:
    kitchen.cup(True)
    kitchen.status(supplement_level=15)
    phone, fresh = SyncedPhone(alice), SyncedPhone(alice)
    phone.full()

    CHANGES[change](alice, kitchen)
    pages = phone.delta()

    assert phone.copy == fresh.full()
    assert {**pages[0], "sync_timestamp": None} != {**EMPTY, "sync_timestamp": None}
    assert {**phone.delta()[0], "sync_timestamp": None} == {**EMPTY, "sync_timestamp": None}


def test_a_heartbeat_without_news_is_no_change(alice: Phone, kitchen: Unit) -> None:
    kitchen.status(battery_level=80)
    phone = SyncedPhone(alice)
    phone.full()
    kitchen.status(battery_level=80)
    assert {**phone.delta()[0], "sync_timestamp": None} == {**EMPTY, "sync_timestamp": None}


def test_nobody_elses_rows_are_in_a_feed(alice: Phone, bob: Phone, kitchen: Unit) -> None:
    phone = SyncedPhone(bob)
    phone.full()
    kitchen.cup(True)
    assert {**phone.delta()[0], "sync_timestamp": None} == {**EMPTY, "sync_timestamp": None}
    assert phone.copy["devices"] == {}


@pytest.mark.parametrize("body", [{}, {"last_sync": None}, {"last_sync": "yesterday"}, {"last_sync": 5}])
def test_a_delta_without_a_time_is_422(alice: Phone, body: dict[str, Any]) -> None:
    response = alice.post("/sync/delta", body)
    assert (response.status_code, list(response.error["details"])) == (422, ["last_sync"])


def test_a_time_that_the_clock_has_not_reached_needs_a_full_sync(alice: Phone) -> None:
    response = alice.post("/sync/delta", {"last_sync": iso(clock.now() + timedelta(hours=1))})
    assert (response.status_code, response.error["code"]) == (409, "SYNC_CONFLICT")
    assert response.error["details"] == {"reason": "full_sync_required"}
    assert SyncMetadata.objects.get(user=alice.user).sync_status == "failed"


def test_a_raised_epoch_needs_a_full_sync(alice: Phone, settings: Settings) -> None:
    since = alice.post("/sync/full").data["sync_timestamp"]
    settings.SYNC_EPOCH = clock.now() + timedelta(seconds=1)
    assert alice.post("/sync/delta", {"last_sync": since}).status_code == 409


@pytest.mark.parametrize("spelling", ["Z", "+00:00", "000Z", "000000Z"])
def test_a_time_may_be_spelled_in_any_way_of_iso_8601(alice: Phone, spelling: str) -> None:
    since: str = alice.post("/sync/full").data["sync_timestamp"]
    assert alice.post("/sync/delta", {"last_sync": since.removesuffix("Z") + spelling}).status_code == 200


def test_the_phone_is_remembered(alice: Phone) -> None:
    client = "1c0ffee0-0000-4000-8000-000000000001"
    info = {"platform": "ios", "app_version": "1.0.0", "os_version": "17.2"}
    alice.post("/sync/full", {"client_id": client, "device_info": info})
    row = SyncMetadata.objects.get()
    assert (str(row.client_id), row.device_info, row.sync_status) == (client, info, "success")
    assert row.last_full_sync is not None
    assert row.last_delta_sync is None


def test_pages_walk_a_large_copy_and_a_large_delta(alice: Phone, kitchen: Unit, settings: Settings) -> None:
    phone, fresh = SyncedPhone(alice), SyncedPhone(alice)
    phone.full()
    for _ in range(20):
        kitchen.cup(True)
        kitchen.status(battery_level=5)
        kitchen.status(battery_level=50)
        kitchen.cup(False)
    settings.SYNC_PAGE_ROWS = 7
    pages = phone.delta()
    stamps = [page["sync_timestamp"] for page in pages]

    assert phone.copy == fresh.full()
    assert len(phone.copy["notifications"]) == 20
    assert stamps == sorted(set(stamps))


def test_a_full_walk_keeps_its_timestamp_and_misses_nothing_that_happens_meanwhile(
    alice: Phone, kitchen: Unit, settings: Settings
) -> None:
    for level in (5, 50) * 10:
        kitchen.status(battery_level=level)
    settings.SYNC_PAGE_ROWS = 6
    phone = SyncedPhone(alice)
    first = alice.post("/sync/full").data
    assert first["has_more"] is True
    kitchen.status(supplement_level=5)
    second = alice.post("/sync/full", {"cursor": first["cursor"]}).data
    assert second["sync_timestamp"] == first["sync_timestamp"]
    assert (second["profile"], second["devices"]) == (None, [])
    phone.full()
    assert phone.copy == SyncedPhone(alice).full()


def test_a_broken_cursor_is_422(alice: Phone) -> None:
    for cursor in ("x", "AAAA", "W10="):
        assert alice.post("/sync/full", {"cursor": cursor}).status_code == 422


def test_a_commit_that_lands_late_is_not_missed() -> None:
    alice = Phone(make.person())
    kitchen = alice.dispenser()
    phone = SyncedPhone(alice)
    phone.full()

    with psycopg.connect(**connection.get_connection_params()) as writer:
        writer.execute(
            "UPDATE devices SET device_name = 'Late', updated_at = %s WHERE id = %s", (clock.now(), kitchen.id)
        )
        alice.put("/profile", {"theme_preference": "light"})
        phone.delta()
        in_between = phone.last_sync
        writer.commit()
    phone.delta()

    assert phone.copy["devices"][str(kitchen.id)]["device_name"] == "Late"
    # The usual design misses it for good: the row is older than the point that the phone has reached.
    naive = Device.objects.filter(updated_at__gt=in_between)
    assert not naive.exists()


def test_a_rolled_back_change_leaves_no_trace() -> None:
    alice = Phone(make.person())
    kitchen = alice.dispenser()
    phone = SyncedPhone(alice)
    phone.full()

    with transaction.atomic():
        Device.objects.filter(pk=kitchen.id).update(device_name="never")
        transaction.set_rollback(True)
    assert {**phone.delta()[0], "sync_timestamp": None} == {**EMPTY, "sync_timestamp": None}


def test_a_deleted_account_leaves_no_log_behind() -> None:
    alice = Phone(make.person())
    alice.dispenser().cup(True)
    assert SyncChange.objects.exists()
    User.objects.filter(pk=alice.user.pk).delete()
    assert not SyncChange.objects.exists()


def test_phones_of_a_busy_user_miss_nothing() -> None:
    alice = Phone(make.person())
    units = [alice.dispenser(device_type=kind) for kind in ("fish_oil", "vitamin_d")]
    phones = [SyncedPhone(alice) for _ in range(2)]
    for phone in phones:
        phone.full()

    def live(who: Unit | SyncedPhone) -> None:
        for turn in range(15):
            if isinstance(who, SyncedPhone):
                who.delta()
            else:
                own = Unit(who.id, who.token)
                own.cup(turn % 2 == 0)
                own.status(battery_level=(5, 50)[turn % 2])

    together(live, [*units, *phones])
    expected = SyncedPhone(alice).full()
    for phone in phones:
        phone.delta()
        assert phone.copy == expected
