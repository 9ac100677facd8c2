"""Making and reading notifications; every write of this app starts here."""

from collections.abc import Callable, Iterable
from datetime import datetime
from operator import attrgetter
from typing import cast
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from accounts.models import SecurityEvent
from devices.models import Device
from notifications import alerts
from notifications.models import AlertKind, AlertState, Notification, NotificationType, PushDelivery
from notifications.telling import Telling, tell, tell_all
from zinzino.api.errors import NotFound, NotOwner

TYPES: dict[str, NotificationType] = {
    AlertKind.BATTERY: NotificationType.LOW_BATTERY,
    AlertKind.SUPPLEMENT: NotificationType.LOW_SUPPLEMENT,
}
PREVIOUS: dict[str, Callable[[Device], int]] = {
    AlertKind.BATTERY: attrgetter("battery_level"),
    AlertKind.SUPPLEMENT: attrgetter("supplement_level"),
}


def is_low(*levels: int | None) -> bool:
    """Whether one of the levels may open an episode."""
    return any(level is not None and level <= alerts.LOW for level in levels)


def watched(device_ids: Iterable[UUID]) -> set[UUID]:
    """The devices that ever had an alert: of others only a low level can change anything."""
    return set(AlertState.objects.filter(device_id__in=list(device_ids)).values_list("device_id", flat=True))


def observe_levels(
    device: Device, levels: dict[AlertKind, int], *, now: datetime, sampled_at: datetime | None = None
) -> list[NotificationType]:
    """Advance the alert episodes of a locked device; answers the types that opened or worsened.

    A type that its owner has switched off is left out, though its episode advances (api.md 3). A late
    sample changes nothing.
    """
    if not levels or (sampled_at and alerts.is_late(sampled_at, newest=device.levels_at, now=now)):
        return []
    known = {state.kind: state for state in AlertState.objects.filter(device=device)}
    told = [observe_level(device, known.get(kind), kind, level, now=now) for kind, level in levels.items()]
    return [kind for kind in told if kind]


def observe_level(
    device: Device, state: AlertState | None, kind: AlertKind, level: int, *, now: datetime
) -> NotificationType | None:
    before = episode_of(state)
    after, severity = alerts.advanced(before, previous=PREVIOUS[kind](device), level=level)
    told = None
    if severity:
        cools = after.cools(severity, now=now)
        if tell_low_level(device, TYPES[kind], level, severity, after.number, held_back=cools, now=now):
            told = TYPES[kind]
            after = after if cools else after.told(severity, now=now)
    if after != before:
        values = {
            "severity": after.severity,
            "episodes": after.number,
            "low_told_at": after.low_told_at,
            "critical_told_at": after.critical_told_at,
        }
        AlertState.objects.update_or_create(device=device, kind=kind, defaults=values)
    return told


def episode_of(state: AlertState | None) -> alerts.Episode:
    if state is None:
        return alerts.Episode()
    severity = cast("alerts.Severity | None", state.severity)
    return alerts.Episode(severity, state.episodes, state.low_told_at, state.critical_told_at)


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
    if not row.is_read:
        Notification.objects.filter(pk=row.pk).update(is_read=True, read_at=now)


def mark_all_read(user_id: UUID, *, now: datetime, before: datetime | None = None, type: str | None = None) -> int:
    chosen = Q(user_id=user_id, is_read=False)
    if before:
        chosen &= Q(created_at__lt=before)
    if type:
        chosen &= Q(type=type)
    return Notification.objects.filter(chosen).update(is_read=True, read_at=now)


@transaction.atomic
def delete(notification_id: UUID, user_id: UUID) -> None:
    owned(notification_id, user_id).delete()


def delete_read(user_id: UUID) -> int:
    # Straight to the database: nothing hangs on these rows, and there may be many.
    return Notification.objects.filter(user_id=user_id, is_read=True)._raw_delete("default")
