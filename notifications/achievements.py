"""Telling people what they have achieved, once each, also when doses arrive late (notifications.md B4)."""

from datetime import date, datetime
from uuid import UUID

from django.db import transaction

from notifications import sql, streaks, telling
from notifications.models import NotificationType
from notifications.streaks import Achievement, Day
from notifications.telling import Telling

SWEPT_AT_ONCE = 1000


@transaction.atomic
def doses_changed(user_id: UUID, *, now: datetime) -> None:
    """Look at what was taken since the last call; part of the transaction in which a dose becomes taken."""
    added, total, rows, has_own_reminders = sql.new_days(user_id, back=streaks.DAYS_BACK)
    if not added:
        return
    days = [Day(date.fromisoformat(day), taken, taken - new, unknown) for day, taken, new, unknown in rows]
    reached = streaks.reached(days, total=total, added=added)
    telling.tell_all([telling_of(user_id, each) for each in reached], now=now)
    if has_own_reminders:
        telling.tell_of_changes([user_id], now=now)


def telling_of(user_id: UUID, reached: Achievement) -> Telling:
    start = f":{reached.start}" if reached.start else ""
    named = reached.code if reached.code == "first_dose" else f"{reached.code}_{reached.count}"
    return Telling(
        user_id,
        NotificationType.ACHIEVEMENT,
        f"achievement:{named}{start}",
        text=f"achievement_{reached.code}",
        facts={"count": reached.count},
        metadata={"code": named} | ({"streak_start": reached.start} if reached.start else {}),
    )


def sweep(*, now: datetime) -> int:
    """Look at what no call has looked at, one person and transaction at a time; how many people."""
    waiting = sql.people_with_new_doses(limit=SWEPT_AT_ONCE)
    for user_id in waiting:
        doses_changed(user_id, now=now)
    return len(waiting)
