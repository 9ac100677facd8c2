"""The end of an account, as far as this app knows of it: who may ask, and what must not outlive the request.

`syncapi.erasure` is the whole of it (ADR 0009).
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import make_password
from django.utils.translation import gettext_lazy

from accounts import provider_links, services, sessions, social
from accounts.authentication import AccountDeleted
from accounts.models import EndReason, OneTimeToken, User
from accounts.services import WrongCredentials


class PasswordIncorrect(WrongCredentials):
    message = gettext_lazy("Invalid password.")


class ProofRefused(WrongCredentials):
    message = gettext_lazy("Please sign in again with Google or Apple to delete your account.")


@dataclass(frozen=True, slots=True)
class Proof:
    """What shows that the person, and not only their phone, asks."""

    password: str | None = None
    provider: str | None = None
    id_token: str | None = None


def proven(user_id: UUID, session_id: UUID, proof: Proof, *, now: datetime) -> str:
    """Raises PasswordIncorrect, AccountLocked, or ProofRefused where the account has no password.

    Answers the stored form of the password that was asked for: the deletion is for the same one only.
    """
    user = User.objects.filter(pk=user_id, deleted_at=None).first()
    if user is None:
        raise AccountDeleted
    if user.has_usable_password():
        if proof.password is None or not services.confirm(user, proof.password, session_id=session_id):
            raise PasswordIncorrect
    elif not confirmed(user_id, proof, now=now):
        raise ProofRefused
    return user.password


def confirmed(user_id: UUID, proof: Proof, *, now: datetime) -> bool:
    if not proof.provider or not proof.id_token:
        return False
    return social.confirms(user_id, proof.provider, proof.id_token, now=now)


def lock_living(user_id: UUID) -> User:
    """The person's row, locked before anything else of theirs. Raises AccountDeleted."""
    user = User.objects.select_for_update(no_key=True).filter(pk=user_id, deleted_at=None).first()
    if user is None:
        raise AccountDeleted
    return user


def make_nobody(user: User, *, now: datetime) -> None:
    """End the sessions, free the address and the provider links, and leave a row without a person."""
    sessions.end(user.sessions.all(), EndReason.ACCOUNT_DELETED, now=now)
    OneTimeToken.objects.filter(user=user).delete()
    provider_links.drop_all(user, now=now)
    EmailAddress.objects.filter(user_id=user.pk).delete()
    User.objects.filter(pk=user.pk).update(
        email=None,
        full_name="",
        phone=None,
        profile_picture=None,
        profile_thumbnail="",
        oauth_provider="",
        oauth_provider_id="",
        password=make_password(None),
        is_active=False,
        is_verified=False,
        is_staff=False,
        is_superuser=False,
        notification_enabled=False,
        updated_at=now,
        deleted_at=now,
    )
