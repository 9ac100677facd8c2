"""Tokens that travel by mail: random, kept as hashes, good once, also when used twice at the same moment."""

import secrets
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy

from accounts.models import OneTimeToken, User
from zinzino.api.bearer import token_hash
from zinzino.api.errors import ApiError

Purpose = OneTimeToken.Purpose

LIFETIMES = {
    Purpose.VERIFY_EMAIL: timedelta(hours=48),
    Purpose.RESET_PASSWORD: timedelta(hours=1),
    Purpose.CHANGE_EMAIL: timedelta(hours=48),
    Purpose.UNDO_EMAIL_CHANGE: timedelta(days=7),
}
# A mail may be slow: the last few links stay good until one of them is used (api.md 1). Ways back to a former
# address are not counted: a thief who moves on again and again must not push the owner's out.
LIVING_AT_MOST = 3
TOKEN_BYTES = 32


class InvalidToken(ApiError):
    code = "INVALID_TOKEN"
    message = gettext_lazy("The link is invalid or has expired.")


def issue(user: User, purpose: Purpose, *, email: str, now: datetime) -> str:
    """A new token for an address; older ones beyond the last three end."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    OneTimeToken.objects.create(
        user=user,
        purpose=purpose,
        token_hash=token_hash(token),
        email=email,
        created_at=now,
        expires_at=now + LIFETIMES[purpose],
    )
    if purpose != Purpose.UNDO_EMAIL_CHANGE:
        living = OneTimeToken.objects.filter(user=user, purpose=purpose, used_at=None)
        keep = living.order_by("-created_at", "-pk").values_list("pk", flat=True)[:LIVING_AT_MOST]
        living.exclude(pk__in=list(keep)).delete()
    return token


@transaction.atomic
def spend(token: str, *purposes: Purpose, now: datetime) -> OneTimeToken:
    """The token's row, spent by this call and no other. Raises InvalidToken.

    The person's row is locked first, as by every change of credentials.
    """
    living = OneTimeToken.objects.filter(
        token_hash=token_hash(token), purpose__in=purposes, used_at=None, expires_at__gt=now
    )
    found = living.first()
    if found is None:
        raise InvalidToken
    user = User.objects.select_for_update(no_key=True).get(pk=found.user_id)
    if not living.update(used_at=now) or not user.is_active:
        raise InvalidToken
    others = OneTimeToken.objects.filter(user=user, purpose=found.purpose, used_at=None)
    # Who goes back to an address ends what came after it; an earlier one keeps its own way back.
    (others.filter(pk__gt=found.pk) if found.purpose == Purpose.UNDO_EMAIL_CHANGE else others).delete()
    found.user = user
    return found


def end_all(user: User) -> None:
    """End all tokens of a person but the ways back to a former address, which are not for the holder to end."""
    OneTimeToken.objects.filter(user=user, used_at=None).exclude(purpose=Purpose.UNDO_EMAIL_CHANGE).delete()


def keeps_back(email: str, *, now: datetime, but: UUID | None = None) -> bool:
    """Whether somebody (`but` oneself) gave the address up just now and may still take it back."""
    ways = OneTimeToken.objects.filter(
        purpose=Purpose.UNDO_EMAIL_CHANGE, email=email, used_at=None, expires_at__gt=now
    )
    return (ways.exclude(user_id=but) if but else ways).exists()


def prune(*, now: datetime, dry_run: bool = False) -> int:
    """Delete what can never be used again."""
    over = OneTimeToken.objects.filter(expires_at__lte=now)
    return over.count() if dry_run else over.delete()[0]
