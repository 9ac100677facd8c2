"""What people do with their accounts. Every write of this app starts here."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy

from accounts import lock, mails, one_time, sessions
from accounts.authentication import AccountInactive
from accounts.models import EndReason, OneTimeToken, Session, User, normalized_email
from accounts.tokens import TokenPair
from zinzino.api.client import network_of
from zinzino.api.errors import DuplicateEntry, NotFound, NotOwner, Unauthorized


class EmailTaken(DuplicateEntry):
    message = gettext_lazy("This email address is already registered.")


class WrongCredentials(Unauthorized):
    reason = "credentials"
    message = gettext_lazy("Invalid email or password.")


class NoPassword(WrongCredentials):
    message = gettext_lazy("This account has no password yet. Please set one with the link of a reset mail.")


@dataclass(frozen=True, slots=True)
class SignIn:
    user: User
    tokens: TokenPair


@transaction.atomic
def register(
    *, email: str, password: str, full_name: str, client: sessions.Client, now: datetime, **preferences: str
) -> SignIn:
    """Make an account and its first session.

    Raises EmailTaken, also for the loser of two registrations at the same moment.
    """
    email = normalized_email(email)
    # In this order: an address that moves away between the two is found by the second.
    if User.objects.filter(email=email).exists() or one_time.keeps_back(email, now=now):
        raise EmailTaken
    try:
        with transaction.atomic():
            user = User.objects.create_user(
                email, password, full_name=full_name, created_at=now, updated_at=now, **preferences
            )
    except IntegrityError as error:
        raise EmailTaken from error
    send_verification(user, now=now)
    return SignIn(user, sessions.open_session(user, client, now=now))


def send_verification(user: User, *, now: datetime) -> None:
    if user.email:
        token = one_time.issue(user, OneTimeToken.Purpose.VERIFY_EMAIL, email=user.email, now=now)
        mails.queue(user, mails.verification, token, now=now)


def login(*, email: str, password: str, client: sessions.Client, now: datetime) -> SignIn:
    """Raises AccountLocked, WrongCredentials, AccountInactive (only to who knows the password)."""
    email = normalized_email(email)
    gate = lock.Gate(email, network_of(client.address or "unknown"))
    gate.check()
    user = User.objects.filter(email=email).first()
    if not verified(user, password) or user is None:
        gate.failed()
        raise WrongCredentials
    gate.passed()
    if not user.is_active:
        raise AccountInactive
    return enter(user, client, now=now)


@transaction.atomic
def enter(user: User, client: sessions.Client, *, now: datetime) -> SignIn:
    """Open a session, unless the password was changed or voided while it was being checked."""
    same = User.objects.select_for_update().filter(pk=user.pk, password=user.password, is_active=True)
    if not same.exists():
        raise WrongCredentials
    return SignIn(user, sessions.open_session(user, client, now=now))


def confirm(user: User, password: str, *, session_id: UUID) -> bool:
    """Whether a signed-in person knows their password. Raises NoPassword, and AccountLocked: a stolen phone
    guesses no longer than a stranger at the login."""
    if not user.has_usable_password():
        raise NoPassword
    gate = lock.Gate(user.email or str(user.pk), f"session:{session_id}")
    gate.check()
    if user.check_password(password):
        gate.passed()
        return True
    gate.failed()
    return False


def verified(user: User | None, password: str) -> bool:
    """Whether the password is right. An unknown person costs one hash too, so that time tells nothing."""
    if user is None or not user.has_usable_password():
        User().set_password(password)
        return False
    return user.check_password(password)


def sign_in_again(user_id: UUID, password: str, *, client: sessions.Client, now: datetime) -> SignIn:
    """A new session for the retry of a registration whose answer was lost.

    Raises WrongCredentials, AccountInactive.
    """
    user = User.objects.filter(pk=user_id).first()
    if not verified(user, password) or user is None:
        raise WrongCredentials
    if not user.is_active:
        raise AccountInactive
    return enter(user, client, now=now)


def logout(user_id: UUID, session_id: UUID, *, everywhere: bool, now: datetime) -> None:
    own = Session.objects.filter(user_id=user_id)
    sessions.end(own if everywhere else own.filter(pk=session_id), EndReason.LOGOUT, now=now)


def living_sessions(user_id: UUID) -> QuerySet[Session]:
    return Session.objects.filter(user_id=user_id, ended_at=None).order_by("-last_seen_at", "pk")


@transaction.atomic
def end_session(session_id: UUID, user_id: UUID, *, now: datetime) -> None:
    """End one session of the caller's. Raises NotFound, NotOwner."""
    session = Session.objects.select_for_update().filter(pk=session_id).first()
    if session is None:
        raise NotFound
    if session.user_id != user_id:
        raise NotOwner
    sessions.end(Session.objects.filter(pk=session_id), EndReason.REVOKED, now=now)


def end_other_sessions(user_id: UUID, current: UUID, *, now: datetime) -> int:
    others = Session.objects.filter(user_id=user_id).exclude(pk=current)
    return sessions.end(others, EndReason.REVOKED, now=now)


def update_profile(user_id: UUID, fields: dict[str, Any], *, now: datetime) -> None:
    """Write the given fields only: `PUT` is partial (api.md 0)."""
    if fields:
        User.objects.filter(pk=user_id, deleted_at=None).update(**fields, updated_at=now)
