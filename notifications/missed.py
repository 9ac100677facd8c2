"""Doses whose window has closed without one (api.md 7).

Each dispenser whose plan has times is looked at when a window of it closes; `reminders.replan`, which sees
every change of a plan, begins the watch.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from django.db import transaction

from devices.models import Device
from devices.plans import Plan, Window
from notifications.models import AlertKind, AlertState, NotificationType
from notifications.reminders import DAY_BEGAN_WITHIN, Doses
from notifications.schedule import DATES_MIXED, Dispenser, Dose
from notifications.telling import Telling, tell_all

BATCH = 500
# After an outage, what closed longer ago is no news.
LATE = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Missed:
    device: Device
    window: Window
    local_time: str


@transaction.atomic
def sweep(*, now: datetime, doses: Doses) -> int:
    """Tell of the windows that have closed since the last look; how many devices were looked at."""
    states = list(
        AlertState.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("device")
        .filter(kind=AlertKind.MISSED, next_at__lte=now)
        .order_by("next_at")[:BATCH]
    )
    taken = doses([each.device.user_id for each in states], now - LATE - DAY_BEGAN_WITHIN) if states else {}
    missed: list[Missed] = []
    for state in states:
        device = state.device
        plan = device.dose_plan
        since = max(state.since or now, now - LATE)
        missed += missing(device, plan, taken.get(device.user_id, ()), since=since, now=now)
        state.since, state.next_at = now, next_close(plan, now) if device.is_active else None
    tell_all([telling_of(each) for each in missed], now=now)
    AlertState.objects.bulk_update(states, ("since", "next_at"))
    return len(states)


def missing(device: Device, plan: Plan, doses: Iterable[Dose], *, since: datetime, now: datetime) -> list[Missed]:
    dispenser = Dispenser(device.pk, device.device_name, device.family, plan)
    if not device.is_active or dispenser.is_paused(now):
        return []
    times = {slot.id: f"{slot.local_time:%H:%M}" for slot in plan.slots}
    taken = [dose.at for dose in doses if dose.family == dispenser.family]
    return [
        Missed(device, window, times[window.slot_id])
        for window in closed(plan, since, now)
        if window.due_at > planned_at(device) and not any(window.opens_at <= at < window.closes_at for at in taken)
    ]


def planned_at(device: Device) -> datetime:
    """When the plan was made or changed: a slot may be new that was due earlier today."""
    changed = device.plan.get("updated_at")
    return datetime.fromisoformat(changed) if changed else device.created_at


def closed(plan: Plan, since: datetime, now: datetime) -> list[Window]:
    near = islice(plan.windows_after(since), 2 * DATES_MIXED * max(1, len(plan.slots)))
    return [window for window in near if window.closes_at <= now]


def next_close(plan: Plan, now: datetime) -> datetime | None:
    ahead = islice(plan.windows_after(now), DATES_MIXED * max(1, len(plan.slots)))
    return min((window.closes_at for window in ahead), default=None)


def telling_of(missed: Missed) -> Telling:
    device, window = missed.device, missed.window
    return Telling(
        device.user_id,
        NotificationType.DOSE_MISSED,
        f"dose_missed:{device.pk}:{window.date}:{window.slot_id}",
        facts={"device_name": device.device_name, "time": missed.local_time},
        device_id=device.pk,
        metadata={"date": window.date, "slot_id": window.slot_id, "due_at": window.due_at},
    )
