"""The phones that a person can be reached on.

Locks, always in this order: the person's notification settings, their session, the token; a token that
moves is locked across people only by itself.
"""

import hashlib
import re
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy
from rest_framework.exceptions import ValidationError

from accounts.authentication import SessionEnded
from accounts.models import Session
from notifications.models import NotificationSettings, Platform, Provider, PushToken
from zinzino.api.errors import NotFound, NotOwner
from zinzino.ids import uuid7

MAX_PHONES = 10
# Google forgets a phone after 270 days (firebase.google.com/docs/cloud-messaging/manage-tokens).
STALE_AFTER = timedelta(days=270)
KEPT_AFTER_END = timedelta(days=30)
# Apple calls the length variable; the tokens of today are 64 digits.
APNS_TOKEN = re.compile(r"[0-9A-Fa-f]{32,400}")

NOT_APPLES = gettext_lazy("This is not a push token of Apple.")
NOT_ANDROID = gettext_lazy("Apple does not reach Android phones.")


def of(user_id: UUID) -> QuerySet[PushToken]:
    """The living ones, the newest first."""
    return PushToken.objects.filter(user_id=user_id, ended_at=None).order_by("-registered_at", "-pk")


@transaction.atomic
def register(user_id: UUID, session_id: UUID, *, now: datetime, **described: Any) -> tuple[PushToken, bool]:
    """Make a phone known, or known anew; whether it is new for this person.

    A phone belongs to whoever registers it last. Raises SessionEnded, ValidationError.
    """
    described["provider"] = provider_of(**described)
    digest = hashlib.sha256(described["token"].encode()).hexdigest()
    lock(user_id, session_id, digest)
    same = PushToken.objects.filter(provider=described["provider"], token_hash=digest)
    end(same.filter(ended_at=None).exclude(user_id=user_id), PushToken.EndReason.MOVED, now=now)
    phone = same.filter(user_id=user_id).order_by("-registered_at").first()
    is_new = phone is None
    phone = phone or PushToken(id=uuid7(now), user_id=user_id, token_hash=digest, created_at=now)
    living = {"session_id": session_id, "registered_at": now, "ended_at": None, "end_reason": ""}
    for name, value in (described | living).items():
        setattr(phone, name, value)
    phone.save(force_insert=is_new, force_update=not is_new)
    leave_oldest(user_id, now=now)
    return phone, is_new


def provider_of(*, token: str, platform: str, provider: str | None = None, **_described: Any) -> str:
    """Raises ValidationError where the token cannot be one of that provider's."""
    looks_like_apples = APNS_TOKEN.fullmatch(token) is not None
    if provider is None:
        provider = Provider.APNS if platform == Platform.IOS and looks_like_apples else Provider.FCM
    if provider == Provider.APNS and platform == Platform.ANDROID:
        raise ValidationError({"provider": [NOT_ANDROID]})
    if provider == Provider.APNS and not looks_like_apples:
        raise ValidationError({"token": [NOT_APPLES]})
    return provider


def lock(user_id: UUID, session_id: UUID, digest: str) -> None:
    """Raises SessionEnded: a logout at the same moment must not leave the phone bound."""
    NotificationSettings.objects.select_for_update().get(user_id=user_id)
    session = Session.objects.select_for_update(no_key=True).filter(pk=session_id, ended_at=None)
    if not session.values_list("pk"):
        raise SessionEnded
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (digest,))


def leave_oldest(user_id: UUID, *, now: datetime) -> None:
    # What another person takes over at this moment is locked, and leaves anyway.
    surplus = list(of(user_id).select_for_update(skip_locked=True).values_list("pk", flat=True)[MAX_PHONES:])
    if surplus:
        end(PushToken.objects.filter(pk__in=surplus), PushToken.EndReason.TOO_MANY, now=now)


def register_own(user_id: UUID, session_id: UUID, token: str, platform: str | None, *, now: datetime) -> None:
    """The calling phone's token, as its settings carry it: it takes the place of the former one."""
    known = of(user_id).filter(session_id=session_id)
    platform = platform or known.values_list("platform", flat=True).first() or platform_of(session_id)
    phone, _ = register(user_id, session_id, now=now, token=token, platform=platform)
    end(known.exclude(pk=phone.pk), PushToken.EndReason.REMOVED, now=now)


def platform_of(session_id: UUID) -> str:
    said: str = Session.objects.values_list("platform", flat=True).get(pk=session_id)
    return Platform.IOS if said.lower() == Platform.IOS else Platform.ANDROID


def let_go(user_id: UUID, session_id: UUID, *, now: datetime) -> None:
    end(of(user_id).filter(session_id=session_id), PushToken.EndReason.REMOVED, now=now)


@transaction.atomic
def remove(phone_id: UUID, user_id: UUID, *, now: datetime) -> None:
    """Raises NotFound, NotOwner."""
    phone = PushToken.objects.select_for_update().filter(pk=phone_id, ended_at=None).first()
    if phone is None:
        raise NotFound
    if phone.user_id != user_id:
        raise NotOwner
    end(PushToken.objects.filter(pk=phone_id), PushToken.EndReason.REMOVED, now=now)


def end(phones: QuerySet[PushToken], reason: PushToken.EndReason, *, now: datetime) -> int:
    return phones.order_by().filter(ended_at=None).update(ended_at=now, end_reason=reason)


def end_stale(*, now: datetime, dry_run: bool = False) -> int:
    """End phones that have not registered for so long that their provider has forgotten them too."""
    stale = PushToken.objects.filter(registered_at__lt=now - STALE_AFTER, ended_at=None)
    return stale.count() if dry_run else end(stale, PushToken.EndReason.STALE, now=now)


def prune(*, now: datetime, dry_run: bool = False) -> int:
    """Delete phones that ended long ago, with what was sent to them; how many phones."""
    over = PushToken.objects.filter(ended_at__lt=now - KEPT_AFTER_END)
    return over.count() if dry_run else over.delete()[1].get(PushToken._meta.label, 0)
