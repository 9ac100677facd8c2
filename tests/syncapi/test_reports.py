"""What a batch does to many people is stamped together, and as exactly as one by one (ADR 0031)."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.db import connection, transaction

from devices.models import Device
from notifications import reminders
from notifications.models import Notification, NotificationSettings, NotificationType
from notifications.telling import Telling, tell_all
from syncapi import audit
from syncapi.models import SyncChange, SyncClock
from telemetry import journals
from telemetry.envelopes import read
from telemetry.intake import doses_since
from tests.clients import Phone, Unit
from tests.syncapi.histories.world import asked, run, truth
from tests.syncapi.phone import SyncedPhone
from tests.telemetry.test_lock_order import apart, until_it_waits
from zinzino import clock

pytestmark = pytest.mark.django_db(transaction=True)


def upload(unit: Unit, *, seq: int = 1, cup_placed: bool = True) -> journals.Upload:
    line = {"id": str(uuid.uuid4()), "boot": 1, "seq": seq, "k": "state", "d": {"cup_placed": cup_placed}}
    return journals.Upload(unit.id, read({"v": 1, "clk": "none", "ev": [line]}))


def take(*units: Unit, **said: Any) -> None:
    journals.take([upload(unit, **said) for unit in units], now=clock.now())


def stamps(unit: Unit) -> dict[str, datetime]:
    return dict(SyncChange.objects.filter(object_id=unit.id).values_list("kind", "ts"))


def report(units: list[Unit], owners: list[Phone], *, group_size: int = 200) -> None:
    """What a batch of these dispensers' lines asks for."""
    lines = [
        (owner.user.pk, kind, unit.id)
        for unit, owner in zip(units, owners, strict=True)
        for kind in ("device", "device_state")
    ]
    reporters, kinds, objects = (list(column) for column in zip(*lines, strict=True))
    people = [owner.user.pk for owner in owners]
    run(
        "SELECT sync_report(%s::uuid[], %s::uuid[], %s::text[], %s::uuid[], %s)",
        (people, reporters, kinds, objects, group_size),
    )


@contextmanager
def nobody_stamps_one_by_one() -> Iterator[None]:
    run("ALTER FUNCTION sync_tick(uuid, integer) RENAME TO sync_tick_of_another_day")
    try:
        yield
    finally:
        run("ALTER FUNCTION sync_tick_of_another_day(uuid, integer) RENAME TO sync_tick")


@pytest.fixture
def parlour(bob: Phone) -> Unit:
    return bob.dispenser()


def test_phones_hear_of_a_batch_and_nothing_of_it_was_stamped_one_by_one(
    alice: Phone, bob: Phone, kitchen: Unit, parlour: Unit
) -> None:
    cellar = alice.dispenser(device_type="vitamin_d")
    phones = [SyncedPhone(alice), SyncedPhone(bob)]
    for phone in phones:
        phone.full()
    before = dict(SyncClock.objects.values_list("user_id", "ts"))
    with nobody_stamps_one_by_one():
        take(kitchen, parlour, cellar)
    assert {len(set(stamps(unit).values())) for unit in (kitchen, parlour, cellar)} == {1}
    for phone, units in zip(phones, ([kitchen, cellar], [parlour]), strict=True):
        [stamped] = {at for unit in units for at in stamps(unit).values()}
        assert before[phone.api.user.pk] < stamped == SyncClock.objects.get(user=phone.api.user).ts
        [page] = phone.delta()
        assert {row["id"] for row in page["updated_devices"]} == {str(unit.id) for unit in units}
        assert len(page["updated_states"]) == len(units)
        assert phone.copy == truth(phone.api.user.pk)
        assert not audit.faults_of(phone.api.user.pk)


def test_a_cup_that_stayed_is_not_told_again(kitchen: Unit, parlour: Unit) -> None:
    take(kitchen, parlour, seq=1)
    first = stamps(kitchen)
    take(kitchen, parlour, seq=2)
    assert stamps(kitchen)["device_state"] == first["device_state"]
    assert stamps(kitchen)["device"] > first["device"]


def test_a_stamp_that_a_savepoint_took_back_is_given_at_commit(alice: Phone, kitchen: Unit) -> None:
    before = stamps(kitchen)["device"]
    with transaction.atomic():
        Device.objects.filter(pk=kitchen.id).update(battery_level=40)
        savepoint = transaction.savepoint()
        report([kitchen], [alice])
        transaction.savepoint_rollback(savepoint)
    assert stamps(kitchen)["device"] > before
    assert not audit.faults_of(alice.user.pk)


def test_what_is_reported_within_a_savepoint_is_stamped(alice: Phone, kitchen: Unit) -> None:
    before = stamps(kitchen)["device"]
    with transaction.atomic(), transaction.atomic():
        Device.objects.filter(pk=kitchen.id).update(battery_level=40)
        report([kitchen], [alice])
    assert stamps(kitchen)["device"] > before


def test_a_stamp_of_another_that_committed_meanwhile_is_not_taken_for_ours(alice: Phone, kitchen: Unit) -> None:
    """It is younger than our transaction, and yet older than what we write."""
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        run("SELECT now()")
        pool.submit(apart, lambda: kitchen.status(battery_level=41)).result(timeout=20)
        theirs = stamps(kitchen)["device"]
        Device.objects.filter(pk=kitchen.id).update(battery_level=40)
    assert stamps(kitchen)["device"] > theirs


def test_what_people_edit_beside_a_report_keeps_the_stamp_of_its_field(alice: Phone, kitchen: Unit) -> None:
    with transaction.atomic():
        report([kitchen], [alice])
        Device.objects.filter(pk=kitchen.id).update(device_name="Kiler")
    line = SyncChange.objects.get(kind="device", object_id=kitchen.id)
    assert line.fields is not None
    assert datetime.fromisoformat(line.fields["device_name"]) == line.ts == SyncClock.objects.get().ts


def test_who_has_no_clock_or_no_line_yet_is_stamped_at_commit(
    alice: Phone, bob: Phone, kitchen: Unit, parlour: Unit
) -> None:
    SyncClock.objects.filter(user=alice.user).delete()
    SyncChange.objects.filter(object_id__in=(kitchen.id, parlour.id)).delete()
    take(kitchen, parlour)
    for unit, phone in ((kitchen, alice), (parlour, bob)):
        assert set(stamps(unit)) == {"device", "device_state"}
        assert max(stamps(unit).values()) == SyncClock.objects.get(user=phone.user).ts


def test_a_tombstone_is_not_raised_by_a_report(alice: Phone, bob: Phone, kitchen: Unit, parlour: Unit) -> None:
    alice.delete(f"/devices/{kitchen.id}")
    report([kitchen, parlour], [alice, bob])
    assert set(SyncChange.objects.filter(object_id=kitchen.id).values_list("op", flat=True)) == {"D"}


def test_no_more_rows_share_a_stamp_than_fit_a_page(alice: Phone, kitchen: Unit) -> None:
    units = [kitchen, alice.dispenser(device_type="vitamin_d"), alice.dispenser(device_type="krill_oil")]
    before = SyncClock.objects.get().ts
    report(units, [alice] * 3, group_size=4)
    found = sorted(at for unit in units for at in stamps(unit).values())
    assert found == [found[0]] * 4 + [found[0] + timedelta(milliseconds=1)] * 2
    assert before < found[0] < found[-1] == SyncClock.objects.get().ts
    assert SyncClock.objects.get().stamped == 2


def test_stamps_go_on_when_the_clock_of_the_wall_steps_back(alice: Phone, kitchen: Unit) -> None:
    run("UPDATE sync_clock SET ts = ts + interval '1 hour'")
    before = SyncClock.objects.get().ts
    report([kitchen], [alice])
    assert set(stamps(kitchen).values()) == {before + timedelta(milliseconds=1)}


def test_a_batch_waits_for_who_stamps_and_stamps_after_him(
    alice: Phone, bob: Phone, kitchen: Unit, parlour: Unit
) -> None:
    """The order of stamps is the order in which changes become visible."""
    with ThreadPoolExecutor(1) as pool, psycopg.connect(**connection.get_connection_params()) as writer:
        writer.execute("UPDATE users SET full_name = 'x' WHERE id = %s", (alice.user.pk,))
        writer.execute("SET CONSTRAINTS ALL IMMEDIATE")
        [(held,)] = writer.execute("SELECT ts FROM sync_clock WHERE user_id = %s", (alice.user.pk,))
        taken = pool.submit(apart, lambda: take(kitchen, parlour))
        until_it_waits()
        writer.commit()
        taken.result(timeout=20)
    assert min(stamps(kitchen).values()) > held
    assert not audit.faults_of(alice.user.pk)


def test_two_batches_of_the_same_people_do_not_block_each_other(
    alice: Phone, bob: Phone, kitchen: Unit, parlour: Unit
) -> None:
    cellar, attic = alice.dispenser(device_type="vitamin_d"), bob.dispenser(device_type="vitamin_d")
    with ThreadPoolExecutor(2) as pool:
        for seq in range(1, 21):
            said = {"seq": seq, "cup_placed": bool(seq % 2)}
            both = [
                pool.submit(apart, partial(take, *units, **said))
                for units in ((kitchen, parlour), (attic, cellar))
            ]
            for each in both:
                each.result(timeout=20)
    for phone in (alice, bob):
        assert not audit.faults_of(phone.user.pk)
    assert asked("SELECT count(*) FROM device_states")[0][0] == 80


# -------------------------------------------------------------------------- what many people hear of at once


def told(*people: Phone, group_size: int = 200, each: int = 1) -> None:
    """A batch that makes notifications for these people and has them stamped."""
    made = tell_all(
        [
            Telling(phone.user.pk, NotificationType.SECURITY, f"cause-{number}", text="password_changed")
            for phone in people
            for number in range(each)
        ],
        now=clock.now(),
    )
    run("SELECT sync_told(%s::uuid[], %s)", (list(made), group_size))


def note_stamps(phone: Phone) -> list[datetime]:
    lines = SyncChange.objects.filter(user=phone.user, kind="notification", op="U")
    return sorted(lines.values_list("ts", flat=True))


def test_reminders_reach_the_copies_and_none_was_stamped_one_by_one(alice: Phone, bob: Phone) -> None:
    now = clock.now().replace(second=0, microsecond=0)
    on_the_wall = now.astimezone(ZoneInfo(alice.user.timezone)).time()
    NotificationSettings.objects.update(reminder_times=[on_the_wall], next_reminder_at=now)
    phones = [SyncedPhone(phone) for phone in (alice, bob)]
    for phone in phones:
        phone.full()
    with nobody_stamps_one_by_one():
        assert reminders.fire(now=now, doses=doses_since) == len(phones)
    for phone in phones:
        assert note_stamps(phone.api) == [SyncClock.objects.get(user=phone.api.user).ts]
        [page] = phone.delta()
        assert [row["type"] for row in page["new_notifications"]] == ["reminder"]
        assert phone.copy == truth(phone.api.user.pk)
        assert not audit.faults_of(phone.api.user.pk)


def test_several_for_one_person_share_stamps_no_more_than_fit_a_page(alice: Phone, bob: Phone) -> None:
    before = SyncClock.objects.get(user=alice.user).ts
    with transaction.atomic():
        told(alice, bob, each=6, group_size=4)
    found = note_stamps(alice)
    assert found == [found[0]] * 4 + [found[0] + timedelta(milliseconds=1)] * 2
    assert before < found[0] < found[-1] == SyncClock.objects.get(user=alice.user).ts
    assert not audit.faults_of(alice.user.pk)


def test_told_without_a_clock_is_stamped_at_commit(alice: Phone, bob: Phone) -> None:
    SyncClock.objects.filter(user=alice.user).delete()
    with transaction.atomic():
        told(alice, bob)
    assert note_stamps(alice) == [SyncClock.objects.get(user=alice.user).ts]


def test_told_and_deleted_in_one_transaction_leaves_a_tombstone(alice: Phone, bob: Phone) -> None:
    with transaction.atomic():
        told(alice, bob)
        Notification.objects.filter(user=alice.user).delete()
    assert not note_stamps(alice)
    assert not audit.faults_of(alice.user.pk)


def test_told_within_a_savepoint_that_is_taken_back_is_told_to_nobody(alice: Phone, bob: Phone) -> None:
    with transaction.atomic():
        savepoint = transaction.savepoint()
        told(alice, bob)
        transaction.savepoint_rollback(savepoint)
    assert not note_stamps(alice)
    assert not audit.faults_of(alice.user.pk)


def test_who_stamps_at_the_same_time_is_waited_for(alice: Phone, bob: Phone) -> None:
    with ThreadPoolExecutor(1) as pool, psycopg.connect(**connection.get_connection_params()) as writer:
        writer.execute("UPDATE users SET full_name = 'x' WHERE id = %s", (alice.user.pk,))
        writer.execute("SET CONSTRAINTS ALL IMMEDIATE")
        [(held,)] = writer.execute("SELECT ts FROM sync_clock WHERE user_id = %s", (alice.user.pk,))

        @transaction.atomic
        def tell() -> None:
            told(alice, bob)

        done = pool.submit(apart, tell)
        until_it_waits()
        writer.commit()
        done.result(timeout=20)
    assert note_stamps(alice) > [held]
