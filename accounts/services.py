"""What people do with their accounts. Every write of this app starts here."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy

from accounts import sessions
from accounts.authentication import AccountInactive
from accounts.models import EndReason, Session, User, normalized_email
from accounts.tokens import TokenPair
from zinzino.api.errors import DuplicateEntry, Unauthorized


class EmailTaken(DuplicateEntry):
    message = gettext_lazy("This email address is already registered.")


class WrongCredentials(Unauthorized):
    reason = "credentials"
    message = gettext_lazy("Invalid email or password.")


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
    try:
        with transaction.atomic():
            user = User.objects.create_user(
                email, password, full_name=full_name, created_at=now, updated_at=now, **preferences
            )
    except IntegrityError as error:
        raise EmailTaken from error
    return SignIn(user, sessions.open_session(user, client, now=now))


def login(*, email: str, password: str, client: sessions.Client, now: datetime) -> SignIn:
    """Raises WrongCredentials, AccountInactive (only to who knows the password)."""
    user = User.objects.filter(email=normalized_email(email)).first()
    if not verified(user, password) or user is None:
        raise WrongCredentials
    if not user.is_active:
        raise AccountInactive
    return SignIn(user, sessions.open_session(user, client, now=now))


def verified(user: User | None, password: str) -> bool:
    """Whether the password is right. An unknown person costs one hash too, so that time tells nothing."""
    if user is None or not user.has_usable_password():
        User().set_password(password)
        return False
    return user.check_password(password)


def sign_in_again(user_id: UUID, password: str, *, client: sessions.Client, now: datetime) -> SignIn:
    """A new session for the retry of a registration whose answer was lost.

    Raises WrongCredentials.
    """
    user = User.objects.filter(pk=user_id).first()
    if not verified(user, password) or user is None:
        raise WrongCredentials
    return SignIn(user, sessions.open_session(user, client, now=now))


def logout(session_id: UUID, *, now: datetime) -> None:
    sessions.end(Session.objects.filter(pk=session_id), EndReason.LOGOUT, now=now)


def update_profile(user_id: UUID, fields: dict[str, Any], *, now: datetime) -> None:
    """Write the given fields only: `PUT` is partial (api.md 0)."""
    if fields:
        User.objects.filter(pk=user_id).update(**fields, updated_at=now)
