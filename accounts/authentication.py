"""From an access token to a living session, at one query (api.md 1)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from django.utils.translation import gettext_lazy
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from structlog.contextvars import bind_contextvars

from accounts import sql
from accounts.models import RefreshToken, Session
from accounts.sessions import Client
from zinzino import clock
from zinzino.api.bearer import Bearer, Kind, bearer
from zinzino.api.errors import Forbidden, Unauthorized, WrongCredentialKind

SEEN_EVERY = timedelta(minutes=5)


class TokenExpired(Unauthorized):
    reason = "token_expired"


class SessionEnded(Unauthorized):
    reason = "session_revoked"
    message = gettext_lazy("This session has ended. Please sign in again.")


class AccountDeleted(Unauthorized):
    reason = "account_deleted"
    message = gettext_lazy("This account no longer exists.")


class AccountInactive(Forbidden):
    reason = "account_inactive"
    message = gettext_lazy("This account is inactive.")


@dataclass(frozen=True, slots=True)
class Caller:
    """The person behind a request: what views need of user and session, without the rows."""

    id: UUID
    session_id: UUID
    language: str
    timezone: str
    is_authenticated: bool = True


def caller(request: Request) -> Caller:
    """The person behind a request of a view that asks for one."""
    return cast("Caller", request.user)


class SessionTokenAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        found = bearer(request._request)
        match found.kind:
            case Kind.NONE:
                return None
            case Kind.PERSON:
                return live_caller(found, request), None
            case Kind.DEVICE:
                raise WrongCredentialKind
            case Kind.EXPIRED:
                raise TokenExpired
        raise Unauthorized

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def live_caller(found: Bearer, request: Request) -> Caller:
    claims = found.claims
    row = sql.live_session(claims["rid"], claims["sid"], found.subject)
    if row is None:
        raise AccountDeleted
    session_id, ended_at, last_seen_at, access_used_at, is_active, deleted_at, language, timezone = row
    check_alive(ended_at, is_active, deleted_at)
    note_use(claims["rid"], session_id, last_seen_at, access_used_at, request)
    bind_contextvars(user=found.subject)
    return Caller(UUID(found.subject), session_id, language, timezone)


def check_session(session_id: UUID, user_id: UUID) -> None:
    """Raises AccountDeleted, AccountInactive, SessionEnded."""
    row = sql.session_state(session_id, user_id)
    if row is None:
        raise AccountDeleted
    check_alive(*row)


def check_alive(ended_at: datetime | None, is_active: bool, deleted_at: datetime | None) -> None:
    if deleted_at:
        raise AccountDeleted
    if not is_active:
        raise AccountInactive
    if ended_at:
        raise SessionEnded


def note_use(
    token_id: str,
    session_id: UUID,
    last_seen_at: datetime,
    access_used_at: datetime | None,
    request: Request,
) -> None:
    """Write down the first use of an access token, and now and then that the phone was seen."""
    now = clock.now()
    if access_used_at is None:
        RefreshToken.objects.filter(pk=token_id, access_used_at=None).update(access_used_at=now)
    elif now - last_seen_at < SEEN_EVERY:
        return
    client = Client.of(request._request)
    said = {"platform": client.platform, "app_version": client.app_version}
    seen = {name: value for name, value in said.items() if value}
    Session.objects.filter(pk=session_id).update(last_seen_at=now, **seen)
