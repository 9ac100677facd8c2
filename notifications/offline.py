"""Dispensers that have fallen silent: when their people hear of it (iot.md 4).

After three missed contacts and at least six hours, or a quarter of an hour before a dose is due; once more
after three days, and then no more. The watch begins by a trigger (migration 0006) with the end of the presence,
whoever ends it. One device and transaction at a time: the callers write its log line too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from devices.models import Device
from notifications import schedule
from notifications.models import AlertKind, AlertState, NotificationType
from notifications.reminders import DAY_BEGAN_WITHIN, Doses
from notifications.schedule import Dispenser
from notifications.telling import Telling, tell

MISSED_CONTACTS = 3
# `silent_at` lies this many intervals after the last contact (telemetry.presence).
SILENT_AFTER_INTERVALS = 2.5
LEAST_SILENCE = timedelta(hours=6)
BEFORE_A_DOSE = timedelta(minutes=15)
AGAIN_AFTER = timedelta(days=3)
# A plan may change while its dispenser is silent.
LOOK_AGAIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Change:
    """A device whose people have noticed that it went, or that it is back."""

    device: Device
    is_back: bool


def sweep(*, now: datetime, doses: Doses, noticed: Callable[[Change], None], limit: int = 1000) -> int:
    """Look at the silent ones that are due and at those that are back; `noticed` is called within each
    transaction. How many were looked at."""
    watched = AlertState.objects.filter(kind=AlertKind.OFFLINE)
    back = watched.filter(device__is_connected=True).values_list("pk", flat=True)[:limit]
    due = watched.filter(next_at__lte=now).order_by("next_at").values_list("pk", flat=True)[:limit]
    looked_at = list(dict.fromkeys([*back, *due]))
    for state_id in looked_at:
        look(state_id, now=now, doses=doses, noticed=noticed)
    return len(looked_at)


@transaction.atomic
def look(state_id: int, *, now: datetime, doses: Doses, noticed: Callable[[Change], None]) -> None:
    locked = AlertState.objects.select_for_update(skip_locked=True, of=("self",)).select_related("device")
    state = locked.filter(pk=state_id).first()
    if state is None:
        return
    device, told = state.device, state.episodes > 0
    contact_at = device.contact_at
    if device.is_connected or not device.is_active or contact_at is None or contact_at != state.since:
        # Should it have gone silent anew by now, the end of that presence has begun another watch.
        state.delete()
        if told and device.is_connected:
            noticed(Change(device, is_back=True))
    elif state.next_at is None or state.next_at > now:
        pass  # another worker has looked meanwhile
    elif told or (alarm := alarm_at(device, contact_at, now=now, doses=doses)) <= now:
        tell_silence(device, contact_at, times=state.episodes + 1, now=now)
        state.episodes += 1
        state.next_at = None if told else max(now, contact_at + AGAIN_AFTER)
        state.save(update_fields=("episodes", "next_at"))
        if not told:
            noticed(Change(device, is_back=False))
    else:
        state.next_at = min(alarm, now + LOOK_AGAIN)
        state.save(update_fields=("next_at",))


def alarm_at(device: Device, contact_at: datetime, *, now: datetime, doses: Doses) -> datetime:
    """When the silence is worth telling."""
    interval = ((device.silent_at or contact_at) - contact_at) / SILENT_AFTER_INTERVALS
    regular = contact_at + max(LEAST_SILENCE, MISSED_CONTACTS * interval)
    plan = device.dose_plan
    dispenser = Dispenser(device.pk, device.device_name, device.family, plan)
    if not plan.slots or dispenser.is_paused(now):
        return regular
    taken = doses([device.user_id], now - DAY_BEGAN_WITHIN).get(device.user_id, ())
    missing = (
        slot.at
        for slot in schedule.planned_slots(dispenser, contact_at, regular + BEFORE_A_DOSE)
        if slot.at > contact_at and not schedule.is_served(slot, dispenser, taken)
    )
    return min([regular, *(at - BEFORE_A_DOSE for at in missing)])


def tell_silence(device: Device, contact_at: datetime, *, times: int, now: datetime) -> None:
    telling = Telling(
        device.user_id,
        NotificationType.DEVICE_OFFLINE,
        f"device_offline:{device.pk}:{contact_at:%Y%m%dT%H%M%S%f}:{times}",
        text="" if times == 1 else "device_still_offline",
        facts={"device_name": device.device_name},
        device_id=device.pk,
        metadata={"last_seen": contact_at},
    )
    tell(telling, now=now)
