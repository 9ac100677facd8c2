"""Sessions: opening, rotation with the lost-answer rule, reuse detection, ending (api.md 1)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.sessions.models import Session as StaffSession
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from accounts import tokens
from accounts.models import EndReason, RefreshToken, SecurityEvent, Session, User
from zinzino import metrics
from zinzino.api import signing
from zinzino.api.bearer import Kind, read_person, token_hash
from zinzino.api.client import known_address, told
from zinzino.api.errors import Unauthorized

# Two requests of one app may refresh at the same moment; both get the same child.
TWIN_WINDOW = timedelta(seconds=10)
# An answer lost in a tunnel may be asked for again, as long as nobody has used what it held.
LOST_ANSWER_WINDOW = timedelta(hours=24)
# Ended sessions stay this long, so that support can see them.
KEPT_AFTER_END = timedelta(days=30)
PRUNED_AT_ONCE = 500


class InvalidRefreshToken(Unauthorized):
    message = gettext_lazy("Invalid or expired refresh token.")


class ExpiredRefreshToken(InvalidRefreshToken):
    reason = "token_expired"


class SessionRevoked(InvalidRefreshToken):
    reason = "session_revoked"


class AccountGone(InvalidRefreshToken):
    reason = "account_deleted"


class TokenReused(InvalidRefreshToken):
    """The token was spent before by somebody else: the whole family has been ended."""

    reason = "token_reused"


@dataclass(frozen=True, slots=True)
class Client:
    """What a request says of the phone that sends it."""

    device_name: str = ""
    platform: str = ""
    app_version: str = ""
    user_agent: str = ""
    address: str | None = None

    @classmethod
    def of(cls, request: HttpRequest) -> "Client":
        return cls(
            device_name=told(request, "X_DEVICE_NAME", most=100),
            platform=told(request, "X_PLATFORM", most=20),
            app_version=told(request, "X_APP_VERSION", most=20),
            user_agent=told(request, "USER_AGENT", most=200),
            address=known_address(request),
        )


@transaction.atomic
def open_session(user: User, client: Client, *, now: datetime) -> tokens.TokenPair:
    session = Session.objects.create(
        user=user,
        created_at=now,
        last_seen_at=now,
        device_name=client.device_name,
        platform=client.platform,
        app_version=client.app_version,
        user_agent=client.user_agent,
        address=client.address,
    )
    return tokens.pair(_issue(session, parent=None, now=now), user.id, now=now)


def rotate(token: str, *, now: datetime) -> tokens.TokenPair:
    """A new pair for a refresh token.

    Raises Unauthorized: `token_invalid`, `token_expired`, `session_revoked`, `token_reused`.
    """
    with transaction.atomic():
        row = _locked(token)
        session = row.session
        if session.user.deleted_at:
            raise AccountGone
        if session.ended_at or not session.user.is_active:
            raise SessionRevoked
        if row.expires_at <= now:
            raise ExpiredRefreshToken
        child = _child(row, now=now)
        if child is None:
            _end_stolen(session, now=now)
    # Raised only now: the end of the family must be committed.
    if child is None:
        metrics.REFRESH_REUSE.inc()
        raise TokenReused
    return tokens.pair(child, session.user_id, now=now)


def end(sessions: QuerySet[Session], reason: EndReason, *, now: datetime) -> int:
    """End the sessions that still live, with immediate effect on their access tokens."""
    return sessions.filter(ended_at=None).update(ended_at=now, end_reason=reason)


def _locked(token: str) -> RefreshToken:
    """The token's row, its session locked: rotation, logout and revocation of a family take turns."""
    found = read_person(token, token_type="refresh")
    if found.kind is Kind.EXPIRED:
        raise ExpiredRefreshToken
    if found.kind is not Kind.PERSON:
        raise InvalidRefreshToken
    session = Session.objects.select_for_update().filter(pk=found.claims["sid"]).first()
    row = (
        RefreshToken.objects.select_related("session__user")
        .filter(token_hash=token_hash(token), session=session)
        .first()
    )
    if session is None or row is None:
        raise InvalidRefreshToken
    return row


def _child(row: RefreshToken, *, now: datetime) -> RefreshToken | None:
    """The successor: a new one for an unspent token, the same again where that is safe, else None."""
    if row.used_at is None:
        RefreshToken.objects.filter(pk=row.pk).update(used_at=now)
        return _issue(row.session, parent=row, now=now)
    child = RefreshToken.objects.get(parent=row)
    unused = child.used_at is None and child.access_used_at is None
    age = now - row.used_at
    return child if age < TWIN_WINDOW or (unused and age < LOST_ANSWER_WINDOW) else None


def _issue(session: Session, *, parent: RefreshToken | None, now: datetime) -> RefreshToken:
    row = RefreshToken(
        session=session,
        parent=parent,
        key_id=signing.current_key_id(),
        created_at=now,
        expires_at=now + tokens.refresh_lifetime(),
    )
    row.token_hash = token_hash(tokens.refresh(row, session.user_id))
    row.save(force_insert=True)
    return row


def _end_stolen(session: Session, *, now: datetime) -> None:
    end(Session.objects.filter(pk=session.pk), EndReason.TOKEN_REUSED, now=now)
    SecurityEvent.objects.create(
        user_id=session.user_id,
        kind=SecurityEvent.Kind.TOKEN_REUSED,
        details={"session_id": str(session.pk), "platform": session.platform},
        occurred_at=now,
    )


def prune(*, now: datetime, dry_run: bool = False) -> int:
    """Delete sessions that ended, or whose last refresh token expired, a month ago: nobody asks any more."""
    long_ago = now - KEPT_AFTER_END
    over = Q(ended_at__lt=long_ago) | ~Q(refresh_tokens__expires_at__gt=long_ago)
    if dry_run:
        return Session.objects.filter(over).count()
    deleted = 0
    while ids := list(Session.objects.filter(over).values_list("pk", flat=True)[:PRUNED_AT_ONCE]):
        Session.objects.filter(pk__in=ids).delete()
        deleted += len(ids)
    return deleted


def prune_of_staff(*, now: datetime, dry_run: bool = False) -> int:
    """Delete sessions of the back office that are over."""
    over = StaffSession.objects.filter(expire_date__lt=now)
    return over.count() if dry_run else over.delete()[0]
