"""What a socket is told: exactly what POST /sync/delta would answer, at once, and nothing of anybody else."""

import json
import time
from collections.abc import Callable

import pytest
from django.db import connection
from pytest_django import Settings

from syncapi.live import hints
from tests.clients import Phone, Unit
from tests.live.conftest import Json, Listener, Server
from tests.make import Statements
from tests.syncapi.phone import SyncedPhone
from zinzino.clock import stored_instant

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_change_by_rest_arrives_within_a_second_as_the_rows_of_a_delta(live: Server, alice: Phone) -> None:
    listener = live.open(alice)
    since = listener.page()["sync_timestamp"]
    committed_at = time.monotonic()
    alice.put("/profile", {"full_name": "Alice A."})
    told = listener.page()
    assert time.monotonic() - committed_at < 1
    assert told["updated_profile"]["full_name"] == "Alice A."

    asked = alice.post("/sync/delta", {"last_sync": since}).data
    assert told | {"sync_timestamp": ""} == asked | {"sync_timestamp": ""}
    assert since < told["sync_timestamp"] <= asked["sync_timestamp"]


def test_a_cup_reaches_the_phone_with_all_that_follows_from_it(live: Server, alice: Phone, kitchen: Unit) -> None:
    listener = live.open(alice)
    listener.page()
    kitchen.cup(True)
    page = listener.page()
    assert page["updated_states"][0]["cup_placed"] is True
    assert page["updated_devices"][0]["total_doses_dispensed"] == 1
    assert len(page["new_activity_logs"]) == 1


def test_a_deletion_reaches_the_phone(live: Server, alice: Phone, kitchen: Unit) -> None:
    listener = live.open(alice)
    listener.page()
    alice.delete(f"/devices/{kitchen.id}")
    assert listener.page()["deleted_items"]["devices"] == [str(kitchen.id)]


def test_nothing_of_another_person_ever_arrives(live: Server, alice: Phone, bob: Phone, kitchen: Unit) -> None:
    hers, his = live.open(alice), live.open(bob)
    hers.page(), his.page()
    balcony = bob.dispenser()
    for number in range(5):
        kitchen.status(battery_level=50 + number)
        balcony.status(battery_level=20 + number)
    bob.put("/profile", {"full_name": "Bobs Secret"})
    alice.put("/profile", {"full_name": "Alices Secret"})
    told = {owner: everything_of(listener, end) for owner, listener, end in (
        ("alice", hers, "Alices Secret"),
        ("bob", his, "Bobs Secret"),
    )}  # fmt: skip
    assert str(kitchen.id) in told["alice"]
    assert str(balcony.id) in told["bob"]
    for foreign in (balcony.id, bob.user.pk, "Bobs Secret"):
        assert str(foreign) not in told["alice"]
    for foreign in (kitchen.id, alice.user.pk, "Alices Secret"):
        assert str(foreign) not in told["bob"]


def everything_of(listener: Listener, end: str) -> str:
    heard = ""
    while end not in heard:
        heard += json.dumps(listener.hear())
    assert listener.silent(for_s=1.5)
    return heard


def test_what_was_missed_comes_first_page_by_page(
    servers: Callable[..., Server], alice: Phone, kitchen: Unit
) -> None:
    server = servers(SYNC_PAGE_ROWS="2")
    phone = SyncedPhone(alice)
    phone.full()
    for level in (5, 50, 5, 50, 5):
        kitchen.status(battery_level=level)
        kitchen.cup(level == 5)
    listener = server.open(alice, str(phone.last_sync))
    pages: list[Json] = []
    while not pages or pages[-1]["has_more"]:
        message = listener.hear()
        # Each page begins where the last one ended.
        assert message["since"] == phone.last_sync
        phone.apply(message["data"])
        pages.append(message["data"])
    assert len(pages) > 2
    assert phone.copy == SyncedPhone(alice).full()


def test_changes_that_follow_each_other_closely_become_few_pages(
    live: Server, alice: Phone, kitchen: Unit
) -> None:
    listener, phone = live.open(alice), SyncedPhone(alice)
    phone.full()
    listener.page()
    for number in range(60):
        alice.put("/profile", {"full_name": f"Alice {number}"})
    pages = [listener.page()]
    while pages[-1]["updated_profile"]["full_name"] != "Alice 59":
        pages.append(listener.page())
    assert len(pages) < 30
    assert listener.silent(for_s=1.2)


def test_reading_by_rest_tells_the_socket_nothing(live: Server, alice: Phone) -> None:
    listener = live.open(alice)
    since = listener.page()["sync_timestamp"]
    for _ in range(3):
        alice.post("/sync/delta", {"last_sync": since})
    assert listener.silent(for_s=1.5)


def test_a_point_that_the_log_does_not_reach_needs_a_full_sync(live: Server, alice: Phone) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE sync_clock SET horizon = ts WHERE user_id = %s", (alice.user.pk,))
    for since in ("2020-01-01T00:00:00.000Z", "2999-01-01T00:00:00.000Z"):
        listener = live.open(alice, since)
        assert listener.hear() == {"type": "full_sync_required"}
        assert listener.end() == (4409, "full_sync_required")


def test_a_restored_backup_needs_a_full_sync(servers: Callable[..., Server], alice: Phone) -> None:
    phone = SyncedPhone(alice)
    phone.full()
    time.sleep(0.002)
    epoch = alice.get("/sync/status").data["server_time"]
    server = servers(SYNC_EPOCH=epoch)
    listener = server.open(alice, str(phone.last_sync))
    assert listener.hear() == {"type": "full_sync_required"}


# ---------------------------------------------------------------------------------------------- hints


def heard() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return [hint.payload for hint in cursor.connection.notifies(timeout=0.2)]


@pytest.fixture
def listening(transactional_db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM live_watch")
        cursor.execute("LISTEN live")


def test_only_of_people_who_listen_a_commit_is_announced(listening: None, alice: Phone, bob: Phone) -> None:
    hints.watch([alice.user.pk])
    alice.put("/profile", {"full_name": "Alice A."})
    bob.put("/profile", {"full_name": "Bob B."})
    assert heard() == [str(alice.user.pk)]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE live_watch SET until = now()")
    alice.put("/profile", {"full_name": "Alice Aydın"})
    assert heard() == []


def test_a_transaction_is_announced_once_however_much_it_changes(listening: None, alice: Phone) -> None:
    unit = alice.dispenser()
    hints.watch([alice.user.pk])
    unit.cup(True)
    assert heard() == [str(alice.user.pk)]


def test_the_watch_list_forgets_who_is_not_renewed(listening: None, alice: Phone, bob: Phone) -> None:
    hints.watch([alice.user.pk, bob.user.pk])
    with connection.cursor() as cursor:
        cursor.execute("UPDATE live_watch SET until = now() WHERE user_id = %s", (bob.user.pk,))
        hints.forget()
        cursor.execute("SELECT user_id FROM live_watch")
        assert cursor.fetchall() == [(alice.user.pk,)]


def test_a_sweep_names_who_has_missed_something_in_one_statement(
    transactional_db: None, alice: Phone, bob: Phone, statements: Statements, settings: Settings
) -> None:
    session = {phone: phone.user.sessions.get().pk for phone in (alice, bob)}
    now = {phone: SyncedPhone(phone) for phone in (alice, bob)}
    for phone in now.values():
        phone.full()
    place = {
        phone: (phone.user.pk, session[phone], stored_instant(str(copy.last_sync))) for phone, copy in now.items()
    }
    with statements(1):
        assert hints.missed(list(place.values())) == []
    alice.put("/profile", {"full_name": "Alice A."})
    assert hints.missed(list(place.values())) == [alice.user.pk]
    bob.post("/auth/logout")
    assert set(hints.missed(list(place.values()))) == {alice.user.pk, bob.user.pk}


def test_a_lost_hint_costs_a_sweep_and_no_data(servers: Callable[..., Server], alice: Phone) -> None:
    listener = servers(LIVE_SWEEP_S="1").open(alice)
    listener.page()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM live_watch")
    alice.put("/profile", {"full_name": "Alice A."})
    assert listener.page()["updated_profile"]["full_name"] == "Alice A."


def test_nonsense_on_the_channel_deafens_nobody(live: Server, alice: Phone) -> None:
    listener = live.open(alice)
    listener.page()
    with connection.cursor() as cursor:
        for payload in ("", "nonsense", "%00", str(alice.user.pk)):
            cursor.execute("SELECT pg_notify('live', %s)", (payload,))
    alice.put("/profile", {"full_name": "Alice A."})
    assert listener.page()["updated_profile"]["full_name"] == "Alice A."


def test_idle_sockets_hold_no_connection(servers: Callable[..., Server], alice: Phone, bob: Phone) -> None:
    def held() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'zinzino-live'")
            return int(cursor.fetchone()[0])

    by_the_shared_server = held()
    live = servers(LIVE_DB_CONNECTIONS="1", LIVE_SOCKETS_PER_USER="4")
    for listener in [live.open(phone) for phone in (alice, bob) for _ in range(4)]:
        listener.page()
    # One thread that tells, two that let in, and the ear.
    assert 2 <= held() - by_the_shared_server <= 4
