"""Reminders from the database to the outbox: on time, once, and only where they are of use (api.md 7)."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection, transaction

from accounts.models import User
from devices.models import Device
from notifications import reminders
from notifications.models import Notification, NotificationSettings, PushDelivery
from notifications.schedule import Dose
from telemetry.intake import doses_since
from tests import make
from tests.clients import Phone, Unit
from tests.notifications.conftest import reachable
from tests.threads import together
from zinzino.clock import iso

NIGHT = datetime(2026, 3, 8, 22, 0, tzinfo=UTC)  # Monday the 9th, 01:00 in Istanbul
EIGHT = datetime(2026, 3, 9, 5, 0, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture(autouse=True)
def night() -> Iterator[None]:
    with time_machine.travel(NIGHT, tick=False):
        yield


def run(at: datetime) -> int:
    return reminders.run(now=lambda: at, doses=doses_since)


def told() -> list[str]:
    """Local date and time of each reminder, in the order in which they were made."""
    rows = Notification.objects.filter(type="reminder").order_by("created_at")
    return [row.dedupe_key.removeprefix("reminder:") for row in rows]


def ledger() -> list[tuple[str, str]]:
    rows = PushDelivery.objects.filter(kind="reminder").order_by("created_at", "id")
    return list(rows.values_list("status", "reason"))


def settings_of(phone: Phone) -> Any:
    return phone.get("/notifications/settings").data


def plan(phone: Phone, unit: Unit, *times: str, **more: Any) -> None:
    slots = [{"local_time": at, "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]} for at in times]
    body = {"target_per_day": len(times) or 1, "max_per_day": max(2, len(times)), "slots": slots, **more}
    answer = phone.put(f"/devices/{unit.id}/plan", body)
    assert answer.status_code == 200, answer.error


# ---------------------------------------------------------------------------------------- on time and once


def test_everybody_is_reminded_at_eight_local_time(alice: Phone, bob: Phone, kitchen: Unit) -> None:
    bob.put("/profile", {"timezone": "America/New_York"})
    reachable(alice)
    run(NIGHT)
    for minutes in (-1, 0, 1, 60):
        run(EIGHT + minutes * MINUTE)
    assert told() == ["2026-03-09:08:00"]
    row = Notification.objects.get(type="reminder")
    assert (row.user_id, row.created_at, row.device_id) == (alice.user.pk, EIGHT, kitchen.id)
    assert (row.title, row.message) == (
        "Takviye Zamanı",
        "Mutfak Dispenseri dozunuz için hazır.",
    )
    assert row.metadata == {
        "device_ids": [str(kitchen.id)],
        "scheduled_for": "2026-03-09T05:00:00.000Z",
        "link": "zinzino://doses",
    }
    delivery = PushDelivery.objects.get(kind="reminder", user=alice.user)
    assert delivery.status == "queued"
    assert EIGHT <= delivery.next_attempt_at < EIGHT + 4 * MINUTE
    assert delivery.expires_at == delivery.next_attempt_at + 2 * HOUR

    run(EIGHT + 7 * HOUR)  # New York has had its summer time since the day before
    assert [each.user_id for each in Notification.objects.order_by("created_at")] == [alice.user.pk, bob.user.pk]


def test_day_after_day(alice: Phone) -> None:
    run(NIGHT)
    for day in range(4):
        run(EIGHT + day * DAY + MINUTE)
    assert told() == [f"2026-03-{day:02}:08:00" for day in (9, 10, 11, 12)]


def test_several_times_a_day(alice: Phone) -> None:
    alice.put("/notifications/settings", {"reminder_times": ["08:00", "13:30", "20:00"]})
    for hours in range(24):
        run(EIGHT - HOUR + hours * HOUR)
    assert told() == ["2026-03-09:08:00", "2026-03-09:13:30", "2026-03-09:20:00"]


def test_the_settings_tell_the_next_one(alice: Phone, statements: make.Statements) -> None:
    assert settings_of(alice)["next_reminder_at"] == "2026-03-09T05:00:00.000Z"
    changed = alice.put("/notifications/settings", {"reminder_time": "07:30"})
    assert changed.data["next_reminder_at"] == "2026-03-09T04:30:00.000Z"
    alice.put("/profile", {"timezone": "Europe/Berlin"})
    assert settings_of(alice)["next_reminder_at"] == "2026-03-09T06:30:00.000Z"
    with statements(2):
        alice.get("/notifications/settings")
    off = alice.put("/notifications/settings", {"reminder_enabled": False})
    assert off.data["next_reminder_at"] is None
    run(EIGHT + DAY)
    assert told() == []


def test_a_time_that_has_just_been_chosen_and_is_past_waits_for_tomorrow(alice: Phone) -> None:
    run(NIGHT)
    with time_machine.travel(EIGHT - HOUR, tick=False):
        alice.put("/notifications/settings", {"reminder_time": "06:55"})
        run(EIGHT - HOUR)
        assert settings_of(alice)["next_reminder_at"] == "2026-03-10T03:55:00.000Z"
    assert told() == []


def test_after_an_outage_the_latest_comes_if_it_is_still_of_use(alice: Phone, bob: Phone) -> None:
    alice.put("/notifications/settings", {"reminder_times": ["06:30", "07:30"]})
    run(NIGHT)
    run(EIGHT + HOUR)  # 09:00: down since the night
    assert sorted(told()) == ["2026-03-09:07:30", "2026-03-09:08:00"]
    run(EIGHT + DAY + 3 * HOUR)
    assert len(told()) == 2
    assert settings_of(bob)["next_reminder_at"] == "2026-03-11T05:00:00.000Z"


def test_late_reminders_raise_an_alarm(alice: Phone, caplog: pytest.LogCaptureFixture) -> None:
    run(NIGHT)
    run(EIGHT + 4 * MINUTE)
    assert "late" not in caplog.text
    run(EIGHT + DAY + 6 * MINUTE)
    assert "reminders are late" in caplog.text


# ------------------------------------------------------------------------------------------------- two nights


@pytest.mark.parametrize(
    ("night", "expected"),
    [
        (datetime(2027, 3, 27, 22, tzinfo=UTC), datetime(2027, 3, 28, 1, 30, tzinfo=UTC)),
        (datetime(2027, 10, 30, 22, tzinfo=UTC), datetime(2027, 10, 31, 0, 30, tzinfo=UTC)),
    ],
)
def test_half_past_two_in_both_nights_of_berlin(db: None, night: datetime, expected: datetime) -> None:
    with time_machine.travel(night, tick=False):
        phone = Phone(make.person(timezone="Europe/Berlin"))
        phone.put("/notifications/settings", {"reminder_time": "02:30"})
    for quarter in range(26 * 4):
        run(night + quarter * 15 * MINUTE)
    [row] = Notification.objects.all()
    assert (row.created_at, row.dedupe_key) == (expected, f"reminder:{expected.date()}:02:30")


def test_flying_west_it_does_not_come_again(alice: Phone) -> None:
    run(NIGHT)
    run(EIGHT)
    with time_machine.travel(EIGHT + HOUR, tick=False):
        alice.put("/profile", {"timezone": "America/New_York"})
    for hours in range(1, 48):
        run(EIGHT + hours * HOUR)
    assert told() == ["2026-03-09:08:00", "2026-03-10:08:00"]


def test_flying_east_what_was_just_skipped_is_made_up_for(alice: Phone) -> None:
    run(NIGHT)
    with time_machine.travel(EIGHT - HOUR, tick=False):  # 07:00; in Almaty it is 09:00
        alice.put("/profile", {"timezone": "Asia/Almaty"})
    for hours in range(-1, 24):
        run(EIGHT + hours * HOUR)
    assert told() == ["2026-03-09:08:00", "2026-03-10:08:00"]
    assert Notification.objects.earliest("created_at").created_at == EIGHT - HOUR


def test_flying_far_east_nothing_comes_at_a_wrong_hour(alice: Phone) -> None:
    run(NIGHT)
    with time_machine.travel(EIGHT - HOUR, tick=False):  # in Tokyo it is 13:00
        alice.put("/profile", {"timezone": "Asia/Tokyo"})
    for hours in range(-1, 24):
        run(EIGHT + hours * HOUR)
    assert told() == ["2026-03-10:08:00"]


# ----------------------------------------------------------------------------------------- only where needed


def cup(unit: Unit, at: datetime) -> None:
    with time_machine.travel(at, tick=False):
        assert unit.cup(True).data["should_dispense"]


def test_who_has_taken_the_dose_is_not_reminded(alice: Phone, bob: Phone, kitchen: Unit) -> None:
    bobs = bob.dispenser()
    bob.put("/notifications/settings", {"reminder_skip_if_taken": False})
    run(NIGHT)
    cup(kitchen, EIGHT - HOUR)
    cup(bobs, EIGHT - HOUR)
    run(EIGHT)
    assert Notification.objects.get(type="reminder").user_id == bob.user.pk
    assert PushDelivery.objects.get(user=alice.user, kind="reminder").reason == "dose_taken"
    run(EIGHT + DAY)
    assert Notification.objects.filter(user=alice.user, type="reminder").count() == 1


def test_without_a_dispenser_a_dose_by_hand_counts_for_its_day(alice: Phone, bob: Phone) -> None:
    run(NIGHT)
    for person, at in ((alice, EIGHT - HOUR), (bob, EIGHT - 10 * HOUR)):  # today at 7, yesterday at 22
        with time_machine.travel(EIGHT - HOUR, tick=False):
            dose = {"action": "dose_taken_manual", "supplement": "fish_oil", "timestamp": iso(at)}
            assert person.post("/activities", dose).status_code == 201
    run(EIGHT)
    assert Notification.objects.get(type="reminder").user_id == bob.user.pk
    assert PushDelivery.objects.get(user=alice.user, kind="reminder").reason == "dose_taken"


def test_only_what_is_missing_is_named(alice: Phone, kitchen: Unit) -> None:
    bedroom = alice.dispenser(device_type="vitamin_d", device_name="Yatak Odası")
    run(NIGHT)
    cup(kitchen, EIGHT - HOUR)
    run(EIGHT)
    assert Notification.objects.get(type="reminder").device_id == bedroom.id
    run(EIGHT + DAY)
    newest = Notification.objects.filter(type="reminder").latest("created_at")
    assert (newest.device_id, newest.message) == (None, "2 dispenser dozlarınız için hazır.")


def test_a_paused_plan_reminds_of_nothing(alice: Phone, kitchen: Unit) -> None:
    plan(alice, kitchen, paused_until="2026-03-10T00:00:00Z")
    run(NIGHT)
    run(EIGHT)
    assert (told(), ledger()) == ([], [("suppressed", "plan_paused")])
    run(EIGHT + DAY)
    assert told() == ["2026-03-10:08:00"]


def test_reminders_follow_the_plan(alice: Phone, kitchen: Unit) -> None:
    run(NIGHT)
    plan(alice, kitchen, "06:45", "21:15")
    assert settings_of(alice)["next_reminder_at"] == "2026-03-09T03:45:00.000Z"
    for quarter in range(24 * 4):
        run(NIGHT + quarter * 15 * MINUTE)
    assert told() == ["2026-03-09:06:45", "2026-03-09:21:15"]


def test_a_slot_that_was_served_is_not_reminded_of(alice: Phone, kitchen: Unit) -> None:
    plan(alice, kitchen, "08:00", "20:00")
    run(NIGHT)
    cup(kitchen, EIGHT - 10 * MINUTE)
    run(EIGHT)
    run(EIGHT + 12 * HOUR)
    assert (told(), ledger()[0]) == (["2026-03-09:20:00"], ("suppressed", "dose_taken"))


@pytest.mark.parametrize("change", ["add", "remove", "deactivate"])
def test_dispensers_that_come_and_go_change_the_next_reminder(alice: Phone, kitchen: Unit, change: str) -> None:
    plan(alice, kitchen, "06:45")
    run(NIGHT)
    if change == "add":
        alice.dispenser()
        assert NotificationSettings.objects.get(user=alice.user).replan_from == NIGHT
    elif change == "remove":
        alice.delete(f"/devices/{kitchen.id}")
    else:
        alice.put(f"/devices/{kitchen.id}", {"is_active": False})
    expected = "2026-03-09T03:45:00.000Z" if change == "add" else "2026-03-09T05:00:00.000Z"
    assert settings_of(alice)["next_reminder_at"] == expected


def test_who_has_gone_is_not_reminded(charlie: Phone, alice: Phone) -> None:
    run(NIGHT)
    User.objects.filter(pk=alice.user.pk).update(is_active=False, updated_at=NIGHT)
    run(EIGHT)
    assert told() == []
    User.objects.filter(pk=alice.user.pk).update(is_active=True, updated_at=EIGHT)
    run(EIGHT + DAY)
    assert told() == ["2026-03-10:08:00"]


def test_a_phone_that_reminds_by_itself_is_told_of_changes_silently(alice: Phone, kitchen: Unit) -> None:
    phone = reachable(alice, "itself", local_reminders=True)
    reachable(alice, "other")
    run(NIGHT)
    PushDelivery.objects.all().delete()
    plan(alice, kitchen, "06:45")
    run(NIGHT)
    plan(alice, kitchen, "07:45")
    run(NIGHT)
    [silent] = PushDelivery.objects.filter(kind="changes")
    assert (silent.phone_id, silent.notification_id) == (phone.pk, None)
    run(EIGHT)
    assert sorted(ledger()) == [("queued", ""), ("suppressed", "local_reminder")]


# ------------------------------------------------------------------------------------------- on many workers


def test_a_batch_takes_the_same_statements_for_one_and_for_many(
    db: None, statements: make.Statements, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(20):
        person = make.person()
        make.dispenser(person.user)
    run(NIGHT)
    with statements(6):
        assert reminders.fire(now=EIGHT, doses=doses_since) == 20
    with statements(1):
        assert reminders.fire(now=EIGHT, doses=doses_since) == 0


@pytest.mark.django_db(transaction=True)
def test_four_workers_and_a_second_beat_remind_each_person_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reminders, "BATCH", 7)
    for _ in range(40):
        make.person()
    run(NIGHT)
    together(run, [EIGHT] * 4)
    run(EIGHT)
    assert Notification.objects.count() == 40
    assert len(set(Notification.objects.values_list("user_id", flat=True))) == 40
    assert not NotificationSettings.objects.filter(next_reminder_at__lte=EIGHT).exists()


@pytest.mark.django_db(transaction=True)
def test_four_workers_write_once_why_somebody_is_not_reminded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reminders, "BATCH", 40)
    users = [make.person().user for _ in range(40)]
    run(NIGHT)
    taken = {user.pk: [Dose("omega", EIGHT - HOUR)] for user in users}
    together(lambda _: reminders.run(now=lambda: EIGHT, doses=lambda *_: taken), range(4))
    assert Counter(ledger()) == {("suppressed", "dose_taken"): 40}


@pytest.mark.django_db(transaction=True)
def test_an_account_that_is_being_deleted_holds_nobody_up() -> None:
    going, staying = make.person().user, make.person().user
    run(NIGHT)

    def remind(_: Any) -> int:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '5s'")
        return run(EIGHT)

    with transaction.atomic():
        User.objects.select_for_update().get(pk=going.pk)
        [done] = together(remind, [None])
        User.objects.filter(pk=going.pk).delete()
    assert (done, run(EIGHT)) == (1, 0)
    assert Notification.objects.get().user_id == staying.pk


@pytest.mark.django_db(transaction=True)
def test_plans_that_change_while_people_are_reminded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock of the settings and that of the dispensers are never waited for in a circle."""
    monkeypatch.setattr(reminders, "BATCH", 5)
    units = [make.dispenser(make.person().user) for _ in range(20)]
    run(NIGHT)

    def change(number: int) -> None:
        for unit in units[number::2]:
            Device.objects.filter(pk=unit.id).update(timezone="Europe/Berlin", updated_at=NIGHT)

    together(lambda work: work(), [lambda: run(EIGHT), lambda: run(EIGHT), lambda: change(0), lambda: change(1)])
    run(EIGHT)
    assert Notification.objects.count() == 20
