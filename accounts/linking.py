"""Which account a person from Google or Apple gets: one decision without I/O (accounts.md A1)."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from django.db.models import TextChoices


class Provider(TextChoices):
    GOOGLE = "google", "Google"
    APPLE = "apple", "Apple"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a verified token says of a person; nothing in it comes from the request's body."""

    provider: Provider
    # The provider's own id of the person, which never changes.
    subject: str
    email: str | None
    email_verified: bool
    # The token says nothing at all of an address.
    email_hidden: bool
    # Whether the address belongs to an organisation whose mail Google runs (the claim `hd`).
    hosted: bool
    full_name: str
    picture: str | None
    issued_at: datetime
    # Which of our apps the token was made for.
    client_id: str = ""

    @property
    def is_authoritative(self) -> bool:
        """Whether the provider speaks for the owner of the address today, not only of some day in the past."""
        if not self.email or not self.email_verified:
            return False
        return self.provider is Provider.APPLE or self.hosted or self.email.endswith("@gmail.com")


class Account(Protocol):
    is_active: bool
    is_verified: bool


class Outcome(Enum):
    SIGN_IN = "the identity is linked already"
    LINK = "the address is proven on both sides"
    # Whoever registered the address here never proved it: it may be somebody who waits for its owner.
    LINK_AND_WIPE = "the address is proven by the provider only"
    CREATE = "nobody has this identity or address"
    INACTIVE = "the account is inactive"
    LINK_REQUIRED = "the provider cannot speak for the owner of the address"
    NO_VERIFIED_EMAIL = "an account would need a proven address"


def decide(identity: Identity, *, linked: Account | None, holder: Account | None) -> Outcome:
    """`linked` is the account that has the identity, `holder` the one that has its e-mail address."""
    if linked:
        return Outcome.SIGN_IN if linked.is_active else Outcome.INACTIVE
    if not identity.email_verified:
        # Apple lets people keep their address to themselves.
        hidden = identity.provider is Provider.APPLE and identity.email_hidden
        return Outcome.CREATE if hidden else Outcome.NO_VERIFIED_EMAIL
    if holder is None:
        return Outcome.CREATE
    if not identity.is_authoritative:
        return Outcome.LINK_REQUIRED
    if not holder.is_active:
        return Outcome.INACTIVE
    return Outcome.LINK if holder.is_verified else Outcome.LINK_AND_WIPE
