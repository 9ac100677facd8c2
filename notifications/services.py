"""Making and reading notifications; every write of this app starts here."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, Protocol, cast
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Q, QuerySet

from accounts.models import SecurityEvent
from devices.models import Device
from notifications import alerts, forecast, sql
from notifications.models import AlertKind, AlertState, Notification, NotificationType, PushDelivery
from notifications.policy import CRITICAL
from notifications.telling import Telling, tell, tell_all
from zinzino import clock
from zinzino.api.errors import NotFound, NotOwner

TYPES: dict[str, NotificationType] = {
    AlertKind.BATTERY: NotificationType.LOW_BATTERY,
    AlertKind.SUPPLEMENT: NotificationType.LOW_SUPPLEMENT,
}


class Levels(Protocol):
    @property
    def battery_level(self) -> int: ...
    @property
    def supplement_level(self) -> int: ...


PREVIOUS: dict[str, Callable[[Device], int]] = {
    AlertKind.BATTERY: attrgetter("battery_level"),
    AlertKind.SUPPLEMENT: attrgetter("supplement_level"),
}


def matters(samples: Iterable[tuple[int | None, int | None]], *, before: Levels) -> bool:
    """Whether samples of battery and supplement may change an alert of a device that is not `watched`: one is
    low, or they jump."""
    lowest = [before.battery_level, before.supplement_level]
    for sample in samples:
        for place, level in enumerate(sample):
            if level is not None:
                if level <= alerts.LOW or level - lowest[place] >= alerts.JUMP:
                    return True
                lowest[place] = min(lowest[place], level)
    return False


def watched(device_ids: Iterable[UUID], *, now: datetime) -> set[UUID]:
    """The devices of which every sample matters: an alert is open or cools, or the end comes near."""
    return sql.watched_devices(list(device_ids), now=now)


def observe_levels(
    device: Device, levels: dict[AlertKind, int], *, now: datetime, sampled_at: datetime | None = None
) -> list[NotificationType]:
    """Advance the alert episodes of a locked device; answers the types that opened or worsened.

    A type that its owner has switched off is left out, though its episode advances (api.md 3). A late
    sample changes nothing.
    """
    if not levels or (sampled_at and alerts.is_late(sampled_at, newest=device.levels_at, now=now)):
        return []
    known = {state.kind: state for state in sql.alert_states(device.pk, list(levels))}
    told: list[NotificationType] = []
    changed = []
    for kind, level in levels.items():
        state = known.get(kind) or AlertState(device=device, kind=kind)
        before = columns_of(state)
        told += observe_level(device, state, level, now=now)
        if kind == AlertKind.SUPPLEMENT:
            told += observe_use(device, state, level, now=now)
        if columns_of(state) != before or state.pk is None:
            changed.append(state)
    sql.upsert_alert_states(changed)
    return told


def columns_of(state: AlertState) -> tuple[Any, ...]:
    return tuple(getattr(state, name) for name in sql.LEVEL_COLUMNS)


def observe_level(device: Device, state: AlertState, level: int, *, now: datetime) -> list[NotificationType]:
    before = alerts.Episode(
        cast("alerts.Severity | None", state.severity), state.episodes, state.low_told_at, state.critical_told_at
    )
    after, severity = alerts.advanced(before, previous=PREVIOUS[state.kind](device), level=level)
    told = []
    if severity:
        cools = after.cools(severity, now=now)
        kind = TYPES[state.kind]
        if tell_low_level(device, kind, level, severity, after.number, held_back=cools, now=now):
            told = [kind]
            after = after if cools else after.told(severity, now=now)
    state.severity, state.episodes = after.severity, after.number
    state.low_told_at, state.critical_told_at = after.low_told_at, after.critical_told_at
    return told


def observe_use(device: Device, state: AlertState, level: int, *, now: datetime) -> list[NotificationType]:
    """Tell once between two refills that the supplement will soon have run out."""
    if state.full_at is None or state.full_level is None or level - device.supplement_level >= alerts.JUMP:
        state.full_level, state.full_at, state.refill_told_at = level, now, None
    end = forecast.runs_out_at(full_level=state.full_level, full_at=state.full_at, level=level, now=now)
    if end is None or level == 0 or state.refill_told_at or not forecast.is_soon(end, now=now):
        return []
    state.refill_told_at = now
    kind, days = NotificationType.REFILL_DUE, max(1, round((end - now) / timedelta(days=1)))
    telling = Telling(
        device.user_id,
        kind,
        f"{kind}:{device.pk}:{clock.epoch_ms(state.full_at)}",
        facts={"device_name": device.device_name, "count": days},
        device_id=device.pk,
        metadata={"level": level, "runs_out_on": end.astimezone(ZoneInfo(device.timezone)).date()},
    )
    return [kind] if tell(telling, now=now) else []


def tell_low_level(
    device: Device,
    kind: NotificationType,
    level: int,
    severity: str,
    episode: int,
    *,
    held_back: bool,
    now: datetime,
) -> bool:
    telling = Telling(
        device.user_id,
        kind,
        f"{kind}:{device.pk}:{episode}:{severity}",
        facts={"device_name": device.device_name, "level": level},
        device_id=device.pk,
        metadata={"severity": severity, "level": level},
        held_back=PushDelivery.Reason.COOL_DOWN if held_back else None,
    )
    return tell(telling, now=now)


def dose_failed(device_id: UUID, dispense_id: UUID, *, needs_answer: bool, now: datetime) -> None:
    """A dose did not come out. `needs_answer`: the family gets nothing until a person has seen it (api.md 6)."""
    device = Device.objects.get(pk=device_id)
    telling = Telling(
        device.user_id,
        NotificationType.DOSE_FAILED,
        f"dose_failed:{dispense_id}",
        text="dose_failed_again" if needs_answer else "",
        facts={"device_name": device.device_name},
        device_id=device.pk,
        metadata={"dispense_id": dispense_id, "needs_answer": needs_answer},
    )
    tell(telling, now=now)


def dose_warning(device_id: UUID, dispense_id: UUID, exceeded: Sequence[str], *, now: datetime) -> None:
    """A dose that the dispenser gave by itself was more than the plan allows (iot.md 5)."""
    device = Device.objects.get(pk=device_id)
    telling = Telling(
        device.user_id,
        NotificationType.DOSE_WARNING,
        f"dose_warning:{dispense_id}",
        facts={"device_name": device.device_name},
        device_id=device.pk,
        metadata={"dispense_id": dispense_id, "exceeds": list(exceeded), "severity": CRITICAL},
    )
    tell(telling, now=now)


def announce_security_events(*, now: datetime, limit: int = 200) -> int:
    """Tell the owners of security events that nobody has told yet; safe on any number of workers."""
    with transaction.atomic():
        waiting = list(
            SecurityEvent.objects.select_for_update(skip_locked=True)
            .filter(announced_at=None)
            .order_by("user_id", "id")[:limit]
        )
        tell_all(
            [
                Telling(event.user_id, NotificationType.SECURITY, f"security:{event.pk}", text=event.kind)
                for event in waiting
            ],
            now=now,
        )
        SecurityEvent.objects.filter(pk__in=[event.pk for event in waiting]).update(announced_at=now)
    return len(waiting)


def visible(found: tuple[UUID, str] | None, *, to: UUID) -> str:
    """What was found, where it is the caller's own. Raises NotFound, NotOwner."""
    if found is None:
        raise NotFound
    owner, body = found
    if owner != to:
        raise NotOwner
    return body


def owned(notification_id: UUID, user_id: UUID) -> Notification:
    """The caller's notification, locked. Raises NotFound, NotOwner."""
    row = Notification.objects.select_for_update().filter(pk=notification_id).first()
    if row is None:
        raise NotFound
    if row.user_id != user_id:
        raise NotOwner
    return row


@transaction.atomic
def mark_read(notification_id: UUID, user_id: UUID, *, now: datetime) -> None:
    """Idempotent: the first reading keeps its time."""
    row = owned(notification_id, user_id)
    Notification.objects.filter(pk=row.pk, is_read=False).update(is_read=True, read_at=now)


@transaction.atomic
def mark_all_read(user_id: UUID, *, now: datetime, before: datetime | None = None, type: str | None = None) -> int:
    chosen = Q(user_id=user_id, is_read=False)
    if before:
        chosen &= Q(created_at__lt=before)
    if type:
        chosen &= Q(type=type)
    return Notification.objects.filter(pk__in=in_order(chosen)).update(is_read=True, read_at=now)


@transaction.atomic
def delete(notification_id: UUID, user_id: UUID) -> None:
    owned(notification_id, user_id).delete()


@transaction.atomic
def delete_read(user_id: UUID) -> int:
    # Straight to the database: nothing hangs on these rows, and there may be many.
    chosen = in_order(Q(user_id=user_id, is_read=True))
    return Notification.objects.filter(pk__in=chosen)._raw_delete("default")


def lock(user_id: UUID, ids: Iterable[UUID]) -> None:
    """For who changes several notifications in one transaction, in an order of their own."""
    list(in_order(Q(user_id=user_id, pk__in=ids)).values_list("pk"))


def in_order(chosen: Q) -> QuerySet[Notification]:
    """Notifications, locked by ascending id, so that two who want the same ones never wait for each other."""
    return Notification.objects.filter(chosen).select_for_update().order_by("pk")
