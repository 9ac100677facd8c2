"""Reminding everybody at their hour, on any number of workers (notifications.md B3).

The next reminder of each person is a column with an index. Two steps, each in batches that lock their rows
and skip those of other workers: people whose times, zone or plans have changed are planned anew; people
whose reminder is due are told, and planned on.
"""

import time as stopwatch
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
import structlog
from django.db import transaction

from devices.plans import Plan, family_of, plan_of
from notifications import policy, sql, telling
from notifications.models import NotificationType, PushDelivery
from notifications.schedule import CATCH_UP, Dispenser, Dose, Schedule, Slot, waiting
from notifications.telling import Telling

log = structlog.get_logger(__name__)

BATCH = 1000
# A worker that finds more than it can tell in this time is called again.
DRAIN_S = 40.0
LATE = timedelta(minutes=5)
# No local day that holds `now` began longer ago.
DAY_BEGAN_WITHIN = timedelta(hours=50)

Reason = PushDelivery.Reason
# The doses of people since a moment; they are in the tables of an app above.
Doses = Callable[[Collection[UUID], datetime], Mapping[UUID, Sequence[Dose]]]


@dataclass(frozen=True, slots=True)
class Person:
    """One whose reminder is due, or who has to be planned anew."""

    user_id: UUID
    schedule: Schedule
    wants_any: bool
    skip_if_taken: bool
    next_at: datetime | None
    replan_from: datetime | None

    def next_after(self, moment: datetime) -> datetime | None:
        return self.schedule.next_after(moment) if self.wants_any else None


def run(*, now: Callable[[], datetime], doses: Doses, for_s: float = DRAIN_S) -> int:
    """Plan and tell until nobody is due, or for about that long; how many were told or skipped."""
    until, done = stopwatch.monotonic() + for_s, 0
    while stopwatch.monotonic() < until:
        planned = replan(now=now())
        fired = fire(now=now(), doses=doses)
        done += fired
        if planned < BATCH and fired < BATCH:
            break
    return done


@transaction.atomic
def replan(*, now: datetime, user_ids: Collection[UUID] | None = None) -> int:
    """Find the next reminder of people whose times have changed; of all, or of these."""
    people = [person_of(row) for row in sql.lock_unplanned(user_ids, limit=BATCH)]
    sql.write_next_reminders({each.user_id: each.next_after(each.replan_from or now) for each in people})
    sql.watch_windows([unit.id for each in people for unit in each.schedule.planned], now=now)
    telling.tell_of_changes({each.user_id for each in people}, now=now)
    return len(people)


@transaction.atomic
def fire(*, now: datetime, doses: Doses) -> int:
    """Tell the people of one batch whose reminder is due."""
    locked = sql.lock_due(now=now, limit=BATCH)
    if not locked:
        return 0
    people = [person_of(row) for row, _ in locked]
    complain_if_late(people, now=now)
    taken = doses([each.user_id for each in people], now - DAY_BEGAN_WITHIN)
    said = {
        each.user_id: reminder(each, slots, taken.get(each.user_id, ()), now=now)
        for each in people
        if (slots := due_slots(each, now=now))
    }
    sql.write_next_reminders({each.user_id: each.next_after(now) for each in people})
    audiences = {audience.user_id: audience for _, audience in locked}
    tellings = [each for each in said.values() if isinstance(each, Telling)]
    made = telling.tell_all(tellings, audiences=audiences, now=now)
    telling.deliver([skipped_row(who, why, now=now) for who, why in said.items() if not isinstance(why, Telling)])
    sql.stamp_notifications(made)
    return len(people)


def complain_if_late(people: Iterable[Person], *, now: datetime) -> None:
    oldest = min(each.next_at for each in people if each.next_at)
    if now - oldest > LATE:
        log.error("reminders are late", seconds=round((now - oldest).total_seconds()))


def due_slots(person: Person, *, now: datetime) -> list[Slot]:
    """After an outage only the latest, and only if it is not long past."""
    if not person.wants_any or person.next_at is None:
        return []
    since = max(person.next_at - timedelta(milliseconds=1), now - CATCH_UP)
    return person.schedule.latest(after=since, until=now)


def reminder(person: Person, slots: Sequence[Slot], doses: Sequence[Dose], *, now: datetime) -> Telling | Reason:
    """What to say, or why nothing needs to be said."""
    schedule = person.schedule
    about = waiting(slots, schedule, doses if person.skip_if_taken else (), now=now)
    if schedule.dispensers and not about:
        paused = all(each.is_paused(now) for each in schedule.dispensers)
        return Reason.PLAN_PAUSED if paused else Reason.DOSE_TAKEN
    if not schedule.dispensers and person.skip_if_taken and taken_by_hand(schedule, slots, doses):
        return Reason.DOSE_TAKEN
    one = about[0] if len(about) == 1 else None
    return Telling(
        person.user_id,
        NotificationType.REMINDER,
        slots[0].cause,
        text="reminder_of_one" if one else "reminder_of_many" if about else "reminder",
        facts={"device_name": one.name} if one else {"count": len(about)},
        device_id=one.id if one else None,
        metadata={"device_ids": [each.id for each in about], "scheduled_for": slots[0].at},
    )


def taken_by_hand(schedule: Schedule, slots: Sequence[Slot], doses: Sequence[Dose]) -> bool:
    """Without a dispenser, whether anything was taken on the day of the reminder."""
    zone = ZoneInfo(schedule.timezone)
    return any(dose.at.astimezone(zone).date() == slots[0].date for dose in doses)


def skipped_row(user_id: UUID, why: PushDelivery.Reason, *, now: datetime) -> dict[str, Any]:
    decision = policy.Decision(PushDelivery.Status.SUPPRESSED, why, now, now)
    return telling.delivery(user_id, NotificationType.REMINDER, decision, phone_id=None, now=now)


def person_of(row: sql.ReminderRow) -> Person:
    dispensers = [
        Dispenser(UUID(device_id), name, family_of(kind), parsed_plan(plan, version, zone))
        for device_id, name, kind, plan, version, zone in orjson.loads(row.dispensers or "[]")
    ]
    return Person(
        user_id=row.user_id,
        schedule=Schedule(sorted(row.times), row.timezone, dispensers),
        wants_any=row.is_active and row.enabled,
        skip_if_taken=row.skip_if_taken,
        next_at=row.next_at,
        replan_from=row.replan_from,
    )


# Most dispensers pour by the plan that they came with.
@lru_cache(maxsize=10_000)
def parsed_plan(stored: str, version: int, timezone: str) -> Plan:
    return plan_of(orjson.loads(stored), version=version, timezone=timezone)
