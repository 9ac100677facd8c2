"""Permissions that people gave us at Apple, given back when the account or its link ends (ADR 0011).

A row is its own queue: with a code it waits to be exchanged, without a person it waits to be revoked. Codes
and tokens are kept encrypted, and for nothing else.
"""

import base64
import hmac
from datetime import datetime, timedelta
from typing import Any

import structlog
from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Greatest

from accounts import apple_api
from accounts.linking import Identity, Provider
from accounts.models import AppleGrant, User
from zinzino.wakeup import wake

log = structlog.get_logger(__name__)

CODE_LIVES = timedelta(minutes=5)
# A worker that dies while it asks leaves the row to the next after this long.
LEASE = timedelta(minutes=2)
FIRST_RETRY, LONGEST_RETRY = timedelta(minutes=1), timedelta(hours=12)
# About six days.
MAX_ATTEMPTS = 20


def keep(user: User, identity: Identity, code: str, *, now: datetime) -> None:
    """Remember the code of a sign-in, in the caller's transaction; nothing where we cannot ask Apple."""
    if not code or identity.provider is not Provider.APPLE or not apple_api.configured():
        return
    row = AppleGrant(
        user=user,
        client_id=identity.client_id,
        subject=identity.subject,
        code=sealed(code),
        code_at=now,
        next_attempt_at=now,
        created_at=now,
    )
    AppleGrant.objects.bulk_create(
        [row],
        update_conflicts=True,
        unique_fields=("user", "client_id", "subject"),
        update_fields=("code", "code_at", "attempts", "next_attempt_at"),
    )
    transaction.on_commit(wake_settler)


def release(user: User, subjects: "QuerySet[Any] | None" = None, *, now: datetime) -> None:
    """Give back what some or all of a person's identities at Apple permitted, in the caller's transaction.

    The rows forget the person; one that is being asked about keeps its lease.
    """
    own = AppleGrant.objects.filter(user_id=user.pk)
    released = (own if subjects is None else own.filter(subject__in=subjects)).update(
        user=None, subject="", attempts=0, next_attempt_at=Greatest("next_attempt_at", Value(now))
    )
    if released:
        transaction.on_commit(wake_settler)


def wake_settler() -> None:
    from accounts.tasks import settle_apple_grants

    wake(settle_apple_grants)


def settle_due(*, now: datetime) -> int:
    """Do all that is due, one row at a time; how many steps. Safe on any number of workers at once.

    Ends where Apple is not available: the rest would wait for the same silence.
    """
    steps = 0
    while apple_api.configured() and (grant := claimed(now=now)):
        try:
            exchange(grant, now=now) if grant.code else revoke(grant, now=now)
        except apple_api.Unavailable as error:
            postpone(grant, str(error), now=now)
            break
        steps += 1
    return steps


@transaction.atomic
def claimed(*, now: datetime) -> AppleGrant | None:
    """A row that nobody else asks about now: it is ours until the lease ends."""
    # A person whose row went by another way than ours has left theirs without a time.
    due = Q(next_attempt_at__lte=now) | Q(user=None, next_attempt_at=None)
    rows = AppleGrant.objects.filter(due).select_for_update(skip_locked=True)
    grant = rows.order_by("next_attempt_at").first()
    if grant:
        grant.attempts += 1
        grant.next_attempt_at = now + LEASE
        grant.save(update_fields=("attempts", "next_attempt_at"))
    return grant


def exchange(grant: AppleGrant, *, now: datetime) -> None:
    code = opened(grant.code)
    if code is None or grant.code_at is None or now - grant.code_at >= CODE_LIVES:
        return learn(grant, "", now=now)
    try:
        permission = apple_api.exchange(code, grant.client_id, now=now)
    except apple_api.Refused as error:
        log.info("a code of Apple's was refused", grant=grant.pk, why=str(error))
        return learn(grant, "", now=now)
    # A code of somebody else's, from an app that lies; released rows no longer know their person.
    foreign = bool(grant.subject) and permission.subject != grant.subject
    return learn(grant, "" if foreign else permission.refresh_token, now=now)


@transaction.atomic
def learn(grant: AppleGrant, token: str, *, now: datetime) -> None:
    """Write down what a code brought, nothing for "". The person may have gone or come again meanwhile."""
    row = AppleGrant.objects.select_for_update().filter(pk=grant.pk).first()
    if row is None:  # our lease had ended, and another has settled it
        return
    row.token = sealed(token) if token else row.token
    row.code = "" if row.code == grant.code else row.code
    if not row.token and not row.code:
        row.delete()
        return
    row.attempts = 0
    row.next_attempt_at = now if row.code or row.user_id is None else None
    row.save(update_fields=("token", "code", "attempts", "next_attempt_at"))


def revoke(grant: AppleGrant, *, now: datetime) -> None:
    token = opened(grant.token)
    if token is None:
        log.warning("a token of Apple's cannot be read any more", grant=grant.pk)
    else:
        try:
            apple_api.revoke(token, grant.client_id, now=now)
        except apple_api.Refused as error:
            log.warning("a token of Apple's was not revoked", grant=grant.pk, why=str(error))
    grant.delete()


def postpone(grant: AppleGrant, why: str, *, now: datetime) -> None:
    over = grant.attempts >= MAX_ATTEMPTS
    log.warning("Apple is not available", grant=grant.pk, why=why, given_up=over)
    if over:
        grant.delete()  # what can be of no use any more must not lie here either
        return
    later = min(FIRST_RETRY * 2 ** (grant.attempts - 1), LONGEST_RETRY)
    AppleGrant.objects.filter(pk=grant.pk).update(next_attempt_at=now + later)


def sealed(secret: str) -> str:
    return _box().encrypt(secret.encode()).decode()


def opened(secret: str) -> str | None:
    """None where it was sealed under another SECRET_KEY."""
    try:
        return _box().decrypt(secret).decode()
    except InvalidToken:
        return None


def _box() -> Fernet:
    key = hmac.digest(settings.SECRET_KEY.encode(), b"apple-grants", "sha256")
    return Fernet(base64.urlsafe_b64encode(key))
