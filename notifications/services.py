"""Making and reading notifications; every write of this app starts here."""

from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Any, cast
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from accounts.models import SecurityEvent, User
from devices.models import Device
from notifications import alerts, texts
from notifications.models import AlertKind, AlertState, Notification, NotificationSettings, NotificationType
from zinzino.api.errors import NotFound, NotOwner
from zinzino.ids import uuid7

TYPES: dict[str, NotificationType] = {
    AlertKind.BATTERY: NotificationType.LOW_BATTERY,
    AlertKind.SUPPLEMENT: NotificationType.LOW_SUPPLEMENT,
}
PREVIOUS: dict[str, Callable[[Device], int]] = {
    AlertKind.BATTERY: attrgetter("battery_level"),
    AlertKind.SUPPLEMENT: attrgetter("supplement_level"),
}
SWITCHES = {
    NotificationType.LOW_BATTERY: "low_battery_enabled",
    NotificationType.LOW_SUPPLEMENT: "low_supplement_enabled",
}


def observe_levels(device: Device, levels: dict[AlertKind, int], *, now: datetime) -> list[NotificationType]:
    """Advance the alert episodes of a locked device; answers the types that opened or worsened.

    A type that its owner has switched off is left out, though its episode advances (api.md 3).
    """
    if not levels:
        return []
    known = {state.kind: state for state in AlertState.objects.filter(device=device)}
    told = []
    for kind, level in levels.items():
        state = known.get(kind)
        before = (
            alerts.Episode(cast("alerts.Severity | None", state.severity), state.episodes)
            if state
            else alerts.Episode()
        )
        after, severity = alerts.advanced(before, previous=PREVIOUS[kind](device), level=level)
        if after != before:
            values = {"severity": after.severity, "episodes": after.number}
            AlertState.objects.update_or_create(device=device, kind=kind, defaults=values)
        if severity and tell_low_level(device, TYPES[kind], level, severity, after.number, now=now):
            told.append(TYPES[kind])
    return told


def tell_low_level(
    device: Device, kind: NotificationType, level: int, severity: str, episode: int, *, now: datetime
) -> bool:
    wants: bool = NotificationSettings.objects.values_list(SWITCHES[kind], flat=True).get(user_id=device.user_id)
    if not wants:
        return False
    facts = {"device_name": device.device_name, "level": level}
    return tell(
        device.user_id,
        kind,
        f"{kind}:{device.pk}:{episode}:{severity}",
        facts,
        device_id=device.pk,
        metadata={"severity": severity, "level": level},
        now=now,
    )


def tell(
    user_id: UUID,
    kind: NotificationType,
    dedupe_key: str,
    facts: dict[str, Any],
    *,
    now: datetime,
    text: str | None = None,
    device_id: UUID | None = None,
    metadata: dict[str, Any] | None = None,
) -> bool:
    """Make one notification, in its owner's language; False where this cause was told before."""
    language = User.objects.values_list("language", flat=True).get(pk=user_id)
    title, message = texts.rendered(text or kind, language, **facts)
    row = Notification(
        id=uuid7(now),
        user_id=user_id,
        device_id=device_id,
        type=kind,
        title=title,
        message=message,
        metadata=metadata or {},
        dedupe_key=dedupe_key,
        created_at=now,
    )
    Notification.objects.bulk_create([row], ignore_conflicts=True)
    return Notification.objects.filter(pk=row.pk).exists()


def announce_security_events(*, now: datetime, limit: int = 200) -> int:
    """Tell the owners of security events that nobody has told yet; safe on any number of workers."""
    with transaction.atomic():
        waiting = list(
            SecurityEvent.objects.select_for_update(skip_locked=True)
            .filter(announced_at=None)
            .order_by("user_id", "id")[:limit]
        )
        for event in waiting:
            tell(event.user_id, NotificationType.SECURITY, f"security:{event.pk}", {}, text=event.kind, now=now)
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
