"""Achievements from doses as they are reported, corrected and taken back (api.md 6, notifications.md B4)."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from notifications import achievements
from notifications.models import IntakeDay, Notification, PushDelivery
from telemetry import settlement
from telemetry.models import ActivityLog
from tests import make
from tests.clients import Phone, Unit
from tests.notifications.conftest import reachable
from zinzino.ids import uuid7

MORNING = datetime(2026, 3, 9, 5, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def logged(user_id: Any, day: date, **fields: Any) -> ActivityLog:
    at = datetime(day.year, day.month, day.day, 9, tzinfo=UTC)
    described: dict[str, Any] = {"action": "dose_dispensed", "confirmation": "device", "metadata": {}} | fields
    return ActivityLog.objects.create(
        id=uuid7(at), user_id=user_id, device_id=uuid4(), local_date=day, timestamp=at, **described
    )


def codes(user_id: Any) -> list[str]:
    rows = Notification.objects.filter(user_id=user_id, type="achievement").order_by("created_at", "id")
    return sorted(row.metadata["code"] for row in rows)


def taken(user_id: Any) -> dict[date, tuple[int, int]]:
    rows = IntakeDay.objects.filter(user_id=user_id)
    return {row.local_date: (row.taken, row.unknown) for row in rows if row.taken or row.unknown}


def a_dose(unit: Unit, day: int) -> None:
    """A cup, and its minute passes."""
    moment = MORNING + day * DAY
    with time_machine.travel(moment, tick=False):
        assert unit.cup(True).data["should_dispense"]
    settlement.sweep(now=moment + timedelta(minutes=2))
    with time_machine.travel(moment + timedelta(minutes=3), tick=False):
        unit.cup(False)


def test_the_first_dose_and_a_week(alice: Phone, kitchen: Unit) -> None:
    with time_machine.travel(MORNING, tick=False):
        kitchen.cup(True)
    assert codes(alice.user.pk) == []  # nobody knows yet whether it came
    settlement.sweep(now=MORNING + timedelta(minutes=2))
    assert codes(alice.user.pk) == ["first_dose"]
    with time_machine.travel(MORNING + timedelta(minutes=3), tick=False):
        kitchen.cup(False)
    for day in range(1, 9):
        a_dose(kitchen, day)
    assert codes(alice.user.pk) == ["first_dose", "streak_7"]
    streak = Notification.objects.get(metadata__code="streak_7")
    assert (streak.title, streak.metadata["streak_start"]) == ("7 Günlük Seri!", "2026-03-09")
    assert streak.message == "Harika! 7 gün üst üste takviye aldınız."
    assert streak.metadata["link"] == "zinzino://achievements"


def test_a_gap_begins_anew_and_is_rewarded_anew(alice: Phone, kitchen: Unit) -> None:
    for day in [*range(7), *range(8, 15)]:
        a_dose(kitchen, day)
    assert codes(alice.user.pk) == ["first_dose", "streak_7", "streak_7"]


def test_doses_that_arrive_late_fill_the_gap(alice: Phone) -> None:
    user = alice.user.pk
    for day in (9, 10, 11, 13, 14, 15):
        logged(user, date(2026, 3, day))
    achievements.doses_changed(user, now=MORNING)
    assert codes(user) == ["first_dose"]
    logged(user, date(2026, 3, 12))
    achievements.doses_changed(user, now=MORNING)
    achievements.doses_changed(user, now=MORNING)
    assert codes(user) == ["first_dose", "streak_7"]


def test_a_hundred_doses(alice: Phone) -> None:
    user = alice.user.pk
    for number in range(99):
        logged(user, date(2026, 3, 1 + number % 5))
    achievements.doses_changed(user, now=MORNING)
    assert codes(user) == ["first_dose"]
    logged(user, date(2026, 3, 1))
    achievements.doses_changed(user, now=MORNING)
    assert codes(user) == ["doses_100", "first_dose"]
    assert Notification.objects.get(metadata__code="doses_100").title == "100 doz"


def test_what_was_deleted_is_not_given_again(alice: Phone) -> None:
    user = alice.user.pk
    for day in range(9, 18):
        logged(user, date(2026, 3, day))
        achievements.doses_changed(user, now=MORNING)
        Notification.objects.filter(type="achievement").delete()
    assert codes(user) == []


def test_who_does_not_want_them_gets_none(alice: Phone, kitchen: Unit) -> None:
    alice.put("/notifications/settings", {"achievement_enabled": False})
    a_dose(kitchen, 0)
    assert codes(alice.user.pk) == []


def test_what_no_call_has_looked_at_is_swept_up(alice: Phone, bob: Phone) -> None:
    for person in (alice, bob):
        logged(person.user.pk, date(2026, 3, 9))
    assert achievements.sweep(now=MORNING) == 2
    assert achievements.sweep(now=MORNING) == 0
    assert codes(alice.user.pk) == codes(bob.user.pk) == ["first_dose"]


def test_nothing_new_costs_one_statement(alice: Phone, statements: make.Statements) -> None:
    with statements(1):
        achievements.doses_changed(alice.user.pk, now=MORNING)
    logged(alice.user.pk, date(2026, 3, 9))
    achievements.doses_changed(alice.user.pk, now=MORNING)
    logged(alice.user.pk, date(2026, 3, 9))
    with statements(1):
        achievements.doses_changed(alice.user.pk, now=MORNING)


def test_a_dose_wakes_the_phones_that_remind_by_themselves(alice: Phone) -> None:
    phone = reachable(alice, "itself", local_reminders=True)
    reachable(alice, "other")
    logged(alice.user.pk, date(2026, 3, 9))
    achievements.doses_changed(alice.user.pk, now=MORNING)
    assert [row.phone_id for row in PushDelivery.objects.filter(kind="changes")] == [phone.pk]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"confirmation": "pending"}, None),
        ({"confirmation": "device"}, (1, 0)),
        ({"confirmation": "assumed"}, (1, 0)),
        ({"confirmation": "none"}, (0, 1)),
        ({"confirmation": "user", "metadata": {"resolved_as": "taken"}}, (1, 0)),
        ({"confirmation": "user", "metadata": {"resolved_as": "not_taken"}}, None),
        ({"action": "dose_failed"}, None),
        ({"action": "dose_taken_manual", "confirmation": "user", "metadata": {"dispense_id": "x"}}, (1, 0)),
        # With neither dispenser nor supplement: in the totals of the log only.
        ({"action": "dose_taken_manual", "confirmation": "user"}, None),
        ({"action": "refill", "confirmation": None}, None),
    ],
)
def test_what_counts(alice: Phone, fields: dict[str, Any], expected: tuple[int, int] | None) -> None:
    logged(alice.user.pk, date(2026, 3, 9), **fields)
    assert taken(alice.user.pk) == ({date(2026, 3, 9): expected} if expected else {})


class TestIntake(TestCase):
    """However the log is changed, the days are those that a count of it gives."""

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["write", "change", "move", "delete"]),
                st.integers(0, 3),
                st.sampled_from(["pending", "device", "assumed", "none", "user"]),
                st.sampled_from(["dose_dispensed", "dose_failed", "dose_taken_manual", "note"]),
                st.booleans(),
            ),
            max_size=25,
        )
    )
    @settings(max_examples=60)
    def test_the_days_are_what_the_log_says(self, steps: list[tuple[str, int, str, str, bool]]) -> None:
        user = make.person().user.pk
        for step, number, confirmation, action, by_hand in steps:
            day = date(2026, 3, 9 + number)
            metadata = {"dispense_id": "x", "resolved_as": "taken"} if by_hand else {}
            rows = ActivityLog.objects.filter(user_id=user).order_by("id")
            row = rows[number : number + 1].first()
            if step == "write" or row is None:
                logged(user, day, confirmation=confirmation, action=action, metadata=metadata)
            elif step == "change":
                rows.filter(pk=row.pk).update(confirmation=confirmation, action=action, metadata=metadata)
            elif step == "move":
                rows.filter(pk=row.pk).update(local_date=day)
            else:
                rows.filter(pk=row.pk).delete()
        assert taken(user) == counted(user)
        assert not IntakeDay.objects.filter(unseen__lt=0).exists()


def counted(user_id: Any) -> dict[date, tuple[int, int]]:
    found: dict[date, tuple[int, int]] = {}
    for row in ActivityLog.objects.filter(user_id=user_id):
        by_hand = row.action == "dose_taken_manual" and "dispense_id" in row.metadata
        answered = row.confirmation == "user" and row.metadata.get("resolved_as") == "taken"
        poured = row.action == "dose_dispensed"
        is_taken = by_hand or (poured and (row.confirmation in ("device", "assumed") or answered))
        is_unknown = poured and row.confirmation == "none"
        one, other = found.get(row.local_date, (0, 0))
        found[row.local_date] = one + is_taken, other + is_unknown
    return {day: counts for day, counts in found.items() if any(counts)}
