"""The scripted cases of sync.md: what the histories meet only by luck."""

import itertools
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from django.db.models import F
from psycopg import IsolationLevel
from pytest_django import Settings

from devices.models import Device
from notifications.models import Notification
from syncapi.models import SyncChange, SyncClock
from telemetry.models import DeviceState
from tests.clients import Phone, Unit
from tests.syncapi.histories.world import asked, run, truth
from tests.syncapi.phone import SyncedPhone
from tests.threads import together
from zinzino import clock
from zinzino.clock import iso

pytestmark = pytest.mark.django_db(transaction=True)

LINES = """
INSERT INTO activity_logs (id, user_id, action, local_date, metadata, timestamp)
SELECT gen_random_uuid(), %s, 'note', now(), '{}', now() FROM generate_series(1, %s)"""


@pytest.fixture
def phone(alice: Phone, kitchen: Unit) -> SyncedPhone:
    phone = SyncedPhone(alice)
    phone.full()
    return phone


def stamps(phone: SyncedPhone) -> dict[str, datetime]:
    rows = SyncChange.objects.filter(user=phone.api.user)
    return {f"{kind} {id}": ts for kind, id, ts in rows.values_list("kind", "object_id", "ts")}


# ------------------------------------------------------------------------------- dispensers


ON_TIME = [(-50, True), (-40, False), (-30, True)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_in_whatever_order_events_come_every_phone_hears_of_each_once(
    alice: Phone, kitchen: Unit, order: tuple[int, ...]
) -> None:
    """The newest event is the state, whenever it comes; the late one, and the repeated ones, change nothing."""
    start = clock.now()
    events = [(start + timedelta(seconds=offset), placed) for offset, placed in [*ON_TIME, (-86_400, True)]]
    phones = [SyncedPhone(alice), SyncedPhone(alice)]
    for phone in phones:
        phone.full()
    heard: Counter[str] = Counter()
    for number in [*order, *order]:
        at, placed = events[number]
        assert kitchen.cup(placed, timestamp=iso(at)).status_code == 200
        for phone in phones:
            for page in phone.delta():
                heard.update(row["id"] for row in page["new_activity_logs"])
                assert not set(heard) & set(page["deleted_items"]["activity_logs"])
    assert DeviceState.objects.count() == 4
    for phone in phones:
        [state] = phone.rows("state").values()
        assert (state["cup_placed"], state["last_state_change"] <= iso(start)) == (True, True)
        assert phone.copy == truth(alice.user.pk)
    assert set(heard.values()) <= {2}
    assert len(heard) == len(phones[0].rows("activity_log"))


def test_a_dispenser_that_lives_in_another_age_disturbs_nobody(phone: SyncedPhone, kitchen: Unit) -> None:
    before = phone.last_sync
    for year in ("1970", "1999", "2038", "2106", "9999"):
        kitchen.cup(True, timestamp=f"{year}-01-19T03:14:08Z")
        kitchen.cup(False)
    phone.delta()
    assert str(before) < str(phone.last_sync) <= iso(clock.now() + timedelta(seconds=1))
    assert phone.copy == truth(phone.api.user.pk)


# ------------------------------------------------------------------------------- phones


def test_a_phone_that_cuts_its_time_gets_rows_again_and_loses_none(phone: SyncedPhone, kitchen: Unit) -> None:
    for level in (5, 50, 5):
        kitchen.status(battery_level=level)
        phone.delta()
        phone._remember("last_sync", f"{str(phone.last_sync)[:19]}Z")
    assert phone.copy == truth(phone.api.user.pk)


def test_a_time_may_have_any_offset(phone: SyncedPhone, kitchen: Unit) -> None:
    at = datetime.fromisoformat(str(phone.last_sync))
    kitchen.status(battery_level=5)
    answers = []
    for hours, written in ((3, "+03:00"), (-5, "-05:00"), (0, "+00:00")):
        local = (at + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}"
        page = phone.api.post("/sync/delta", {"last_sync": local + written}).data
        answers.append([row["id"] for row in page["new_notifications"]])
    assert answers[0] == answers[1] == answers[2] == list(phone.full()["notifications"])


def test_ten_thousand_rows_of_one_moment_come_in_pages(phone: SyncedPhone, settings: Settings) -> None:
    """A transaction has as many stamps as it needs, so that no page is without bound."""
    with transaction.atomic():
        run(LINES, (phone.api.user.pk, 10_000))
    pages = phone.delta()
    sizes = [len(page["new_activity_logs"]) for page in pages]
    assert sum(sizes) == 10_000
    assert not any(page["updated_activity_logs"] for page in pages), "a line was sent twice"
    assert max(sizes) < settings.SYNC_PAGE_ROWS + 200
    assert len(set(stamps(phone).values())) >= 50
    assert phone.copy == truth(phone.api.user.pk)


# ------------------------------------------------------------------------------- the clock


def test_stamps_go_on_when_the_server_s_clock_steps_back(phone: SyncedPhone, kitchen: Unit) -> None:
    run("UPDATE sync_clock SET ts = ts + interval '1 hour'")
    phone.delta()
    before = SyncClock.objects.get().ts
    kitchen.status(battery_level=50)
    kitchen.status(battery_level=5)
    after = SyncClock.objects.get().ts
    assert (after - before) == timedelta(milliseconds=2)
    phone.delta()
    assert phone.copy == truth(phone.api.user.pk)


def test_a_reader_does_not_wait_for_a_writer_that_takes_its_time(phone: SyncedPhone, kitchen: Unit) -> None:
    """It gets an older point in time, which is as good."""
    with psycopg.connect(**connection.get_connection_params()) as writer:
        writer.execute("UPDATE devices SET location = 'x' WHERE id = %s", (kitchen.id,))
        writer.execute("SET CONSTRAINTS ALL IMMEDIATE")
        [page] = phone.delta()
        assert (page["updated_devices"], phone.last_sync) == ([], page["sync_timestamp"])
        writer.commit()
    [page] = phone.delta()
    assert [row["location"] for row in page["updated_devices"]] == ["x"]


def test_any_time_that_has_passed_is_a_legal_one(phone: SyncedPhone, kitchen: Unit) -> None:
    """Also one after the last change: the reader moves the clock."""
    before = SyncClock.objects.get().ts
    now = clock.now()
    assert before < now
    assert phone.api.post("/sync/delta", {"last_sync": iso(now)}).status_code == 200


def test_an_old_transaction_number_that_looks_like_ours_is_not_taken_for_ours(phone: SyncedPhone) -> None:
    """As after a restore into a new cluster, where numbers begin anew."""
    long_ago = clock.now() - timedelta(days=1)
    with transaction.atomic():
        run("UPDATE sync_clock SET owner_xid = pg_current_xact_id(), stamped = 1, ts = %s", (long_ago,))
        Device.objects.update(device_name="Salon")
    assert SyncClock.objects.get().ts > long_ago + timedelta(hours=23)


def test_a_writer_that_reads_one_snapshot_is_refused_not_lost(phone: SyncedPhone, kitchen: Unit) -> None:
    """Writers read committed rows, as Django does; another kind fails at its COMMIT, in the open."""
    with psycopg.connect(**connection.get_connection_params()) as writer:
        writer.isolation_level = IsolationLevel.REPEATABLE_READ
        writer.execute("UPDATE devices SET location = 'x' WHERE id = %s", (kitchen.id,))
        phone.api.put("/profile", {"theme_preference": "light"})
        with pytest.raises(psycopg.errors.SerializationFailure):
            writer.commit()


def test_a_stamp_that_was_forced_in_a_lost_savepoint_is_given_again(phone: SyncedPhone, kitchen: Unit) -> None:
    own, other = stamps(phone), []
    with transaction.atomic():
        Device.objects.update(device_name="Salon")
        with transaction.atomic():
            run("SET CONSTRAINTS ALL IMMEDIATE")
            transaction.set_rollback(True)
        # The lock is gone with the savepoint: another writer may pass.
        together(lambda _: phone.api.put("/profile", {"theme_preference": "light"}), [1])
        other = [ts for name, ts in stamps(phone).items() if name.startswith("profile")]
    later = stamps(phone)[f"device {kitchen.id}"]
    assert later > other[0] > own[f"device {kitchen.id}"]
    phone.delta()
    assert phone.copy == truth(phone.api.user.pk)


def test_devices_that_change_hands_in_both_directions_at_once_block_nobody(alice: Phone, bob: Phone) -> None:
    hers, his = alice.dispenser(), bob.dispenser()
    phones = [SyncedPhone(alice), SyncedPhone(bob)]
    for phone in phones:
        phone.full()

    def swap(id: Any) -> None:
        for turn in range(20):
            owner = (alice, bob)[(turn + (id == hers.id)) % 2].user.pk
            Device.objects.filter(pk=id).update(user_id=owner)

    together(swap, [hers.id, his.id])
    for phone in phones:
        phone.delta()
        assert phone.copy == truth(phone.api.user.pk)
    assert sorted(len(phone.rows("device")) for phone in phones) in ([0, 2], [1, 1])


def test_what_is_written_as_it_was_is_no_change(phone: SyncedPhone, kitchen: Unit) -> None:
    before = stamps(phone)
    Device.objects.update(
        device_name=F("device_name"), updated_at=F("updated_at"), battery_level=F("battery_level")
    )
    Device.objects.get().save()
    assert stamps(phone) == before


def test_what_comes_back_after_a_deletion_is_new(phone: SyncedPhone, kitchen: Unit) -> None:
    kitchen.status(battery_level=5)
    phone.delta()
    row = Notification.objects.get()
    Notification.objects.all().delete()
    [gone] = phone.delta()
    Notification.objects.bulk_create([row])
    [back] = phone.delta()
    assert gone["deleted_items"]["notifications"] == [str(row.pk)]
    assert [each["id"] for each in back["new_notifications"]] == [str(row.pk)]
    assert (back["updated_notifications"], phone.copy) == ([], truth(phone.api.user.pk))


def test_a_device_that_changes_hands_leaves_one_and_comes_to_the_other(alice: Phone, bob: Phone) -> None:
    unit = alice.dispenser()
    hers, his = SyncedPhone(alice), SyncedPhone(bob)
    for phone in (hers, his):
        phone.full()
    Device.objects.update(user_id=bob.user.pk)
    [page] = hers.delta()
    assert page["deleted_items"]["devices"] == [str(unit.id)]
    his.delta()
    for phone, ids in ((hers, []), (his, [str(unit.id)])):
        assert [list(phone.rows(kind)) for kind in ("device", "state")] == [ids, ids]
        assert phone.copy == truth(phone.api.user.pk)


def test_the_last_changes_are_found_by_the_index_alone(phone: SyncedPhone) -> None:
    """However long the log is, a delta reads no more of it than it sends."""
    run(LINES, (phone.api.user.pk, 5_000))
    phone.delta()
    run(LINES, (phone.api.user.pk, 20))
    run("VACUUM ANALYZE sync_change")
    plan = asked(
        "EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM sync_change WHERE user_id = %s AND ts > %s"
        " ORDER BY ts FETCH FIRST 500 ROWS WITH TIES",
        (phone.api.user.pk, phone.last_sync),
    )[0][0][0]["Plan"]
    text = str(plan)
    assert "sync_change_feed" in text
    assert "Seq Scan" not in text
