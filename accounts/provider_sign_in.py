"""What people do with their accounts at Google and Apple: sign in, link, unlink."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from allauth.socialaccount.models import SocialAccount
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import apple_grants, mails, one_time, provider_links, services, sessions, tokens
from accounts.authentication import AccountInactive
from accounts.deletion import lock_living
from accounts.linking import Identity, Outcome, Provider, decide
from accounts.models import EndReason, OneTimeToken, RefreshToken, SecurityEvent, User
from zinzino.api.bearer import token_hash
from zinzino.api.errors import DuplicateEntry, ServiceUnavailable, Unauthorized
from zinzino.models import RememberedOutcome

# A sign-in whose answer was lost may be sent again with the same token.
LOST_ANSWER_WINDOW = timedelta(minutes=5)
# First sign-ins at the same moment: the ones that lose look again.
ATTEMPTS = 4
SCOPE = "provider_token"


class NoVerifiedEmail(Unauthorized):
    reason = "credentials"
    message = gettext_lazy("Your %(provider)s account has no verified e-mail address.")


class PasswordNeededFirst(DuplicateEntry):
    """An account has the address, and the provider cannot say that it is this person's."""

    reason = "link_required"
    message = gettext_lazy(
        "An account uses this e-mail address. Sign in to it, then link your %(provider)s account."
    )


class LinkedElsewhere(DuplicateEntry):
    message = gettext_lazy("This %(provider)s account belongs to another user.")


class OnlyWayIn(DuplicateEntry):
    reason = "link_required"
    message = gettext_lazy("This is your only way to sign in. Please set a password first.")


class TokenSpent(Exception):
    """Another installation has signed in with this token."""


@dataclass(frozen=True, slots=True)
class ProviderSignIn(services.SignIn):
    is_new_user: bool


@transaction.atomic
def sign_in(
    identity: Identity, token: str, *, code: str = "", client: sessions.Client, language: str, now: datetime
) -> ProviderSignIn:
    """Open a session for the person whom a verified `token` speaks of, making or linking an account.

    The same token from the same installation gives the same session again for five minutes. `code` is Apple's
    authorization code, where the app sent it.
    Raises NoVerifiedEmail, PasswordNeededFirst, AccountInactive, TokenSpent.
    """
    use = claimed(token, client, now=now)
    if again := repeated(use, now=now):
        return again
    user, is_new = placed(identity, language, now=now)
    provider_links.mirror(user, identity.provider, identity.subject)
    apple_grants.keep(user, identity, code, now=now)
    pair = sessions.open_session(user, client, now=now)
    use.status, use.created_at = 200, now
    use.data = {"session": token_hash(pair.refresh), "is_new_user": is_new}
    use.save(update_fields=("status", "created_at", "data"))
    return ProviderSignIn(user, pair, is_new)


def claimed(token: str, client: sessions.Client, *, now: datetime) -> RememberedOutcome:
    """What was done with this token before; a concurrent twin waits here for our commit."""
    key = UUID(bytes=hashlib.sha256(token.encode()).digest()[:16])
    phone = token_hash("\n".join((client.device_name, client.platform, client.user_agent)))
    fresh = RememberedOutcome(scope=SCOPE, key=key, request_hash=phone, created_at=now)
    RememberedOutcome.objects.bulk_create([fresh], ignore_conflicts=True)
    use = RememberedOutcome.objects.select_for_update().get(scope=SCOPE, key=key)
    if use.request_hash != phone:
        raise TokenSpent
    return use


def repeated(use: RememberedOutcome, *, now: datetime) -> ProviderSignIn | None:
    """The session that this token opened just now, as long as it lives and nobody has refreshed it."""
    if not use.data or now - use.created_at >= LOST_ANSWER_WINDOW:
        return None
    row = (
        RefreshToken.objects.select_related("session__user")
        .filter(
            token_hash=use.data["session"], used_at=None, session__ended_at=None, session__user__is_active=True
        )
        .first()
    )
    if row is None:
        return None
    user = row.session.user
    return ProviderSignIn(user, tokens.pair(row, user.pk, now=now), use.data["is_new_user"])


def placed(identity: Identity, language: str, *, now: datetime) -> tuple[User, bool]:
    """The person's account and whether it is new; of several first sign-ins at once one makes it."""
    for _attempt in range(ATTEMPTS):
        try:
            with transaction.atomic():
                return place(identity, language, now=now)
        except IntegrityError:
            continue
    raise ServiceUnavailable


def place(identity: Identity, language: str, *, now: datetime) -> tuple[User, bool]:
    linked = owner(identity)
    holder = None if linked else holder_of(identity.email)
    outcome = decide(identity, linked=linked, holder=holder)
    named = {"provider": identity.provider.label}
    match outcome:
        case Outcome.NO_VERIFIED_EMAIL:
            raise NoVerifiedEmail(NoVerifiedEmail.message % named)
        case Outcome.LINK_REQUIRED:
            raise PasswordNeededFirst(PasswordNeededFirst.message % named)
        case Outcome.INACTIVE:
            raise AccountInactive
        case Outcome.SIGN_IN if linked:
            return linked, False
        case Outcome.LINK | Outcome.LINK_AND_WIPE if holder:
            attach(holder, identity, now=now, wiped=outcome is Outcome.LINK_AND_WIPE)
            return holder, False
    if identity.email and one_time.keeps_back(identity.email, now=now):
        raise PasswordNeededFirst(PasswordNeededFirst.message % named)
    return create(identity, language, now=now), True


def owner(identity: Identity) -> User | None:
    """Whom the identity belongs to. The person's row is locked, and the link looked at again after that:
    whoever ends links and sessions meanwhile ends ours too."""
    link = Q(provider=identity.provider, uid=identity.subject)
    found = User.objects.select_for_update(no_key=True, of=("self",)).filter(
        pk__in=SocialAccount.objects.filter(link).values("user_id")
    )
    user = found.first()
    return user if user and provider_links.of(user).filter(link).exists() else None


def holder_of(email: str | None) -> User | None:
    """Who has the address, locked first, as by every change of credentials."""
    return User.objects.select_for_update().filter(email=email).first() if email else None


def create(identity: Identity, language: str, *, now: datetime) -> User:
    user = User(
        email=identity.email,
        full_name=identity.full_name,
        profile_picture=identity.picture,
        # Where the provider does not speak for the address of today, its owner has to confirm it.
        is_verified=identity.is_authoritative,
        language=language,
        created_at=now,
        updated_at=now,
    )
    user.set_unusable_password()
    user.save(force_insert=True)
    provider_links.make(user, identity)
    if not user.is_verified:
        services.send_verification(user, now=now)
    return user


def wipe(user: User, *, now: datetime) -> None:
    """Nothing that was set up before the address was proven stays usable."""
    user.set_unusable_password()
    user.is_verified, user.updated_at = True, now
    user.save(update_fields=("password", "is_verified", "updated_at"))
    sessions.end(user.sessions.all(), EndReason.WIPED, now=now)
    provider_links.drop_all(user, now=now)
    OneTimeToken.objects.filter(user=user).delete()


def attach(user: User, identity: Identity, *, now: datetime, wiped: bool = False) -> None:
    """Link an identity to an account that is there already, `wiped` before, and tell its owner."""
    if wiped:
        wipe(user, now=now)
    provider_links.make(user, identity)
    SecurityEvent.objects.create(
        user=user,
        kind=SecurityEvent.Kind.PROVIDER_LINKED,
        details={"provider": identity.provider.value, "wiped": wiped},
        occurred_at=now,
    )
    mails.queue(user, linked_letter, identity.provider.label, now=now)


def linked_letter(provider: str) -> mails.Letter:
    return mails.Letter(
        "provider_linked",
        _("A sign-in was added to your account"),
        (
            _("Your Zinzino account can now be opened with %(provider)s.") % {"provider": provider},
            _("If this was not you, reset your password within seven days: that removes it again."),
        ),
    )


@transaction.atomic
def link(user_id: UUID, identity: Identity, *, code: str = "", now: datetime) -> None:
    """Link an identity to the caller's account; nothing happens where it is linked.

    Raises LinkedElsewhere, AccountDeleted.
    """
    user = lock_living(user_id)
    refusal = LinkedElsewhere(LinkedElsewhere.message % {"provider": identity.provider.label})
    known = SocialAccount.objects.filter(provider=identity.provider, uid=identity.subject).first()
    if known and known.user_id != user_id:
        raise refusal
    if not known:
        try:
            with transaction.atomic():
                attach(user, identity, now=now)
        except IntegrityError as error:
            raise refusal from error
        provider_links.mirror(user, identity.provider, identity.subject)
    apple_grants.keep(user, identity, code, now=now)


@transaction.atomic
def unlink(user_id: UUID, provider: Provider, *, now: datetime) -> None:
    """End the caller's sign-in with a provider. Raises OnlyWayIn, AccountDeleted."""
    user = lock_living(user_id)
    links = provider_links.of(user)
    if not user.has_usable_password() and not links.exclude(provider=provider).exists():
        raise OnlyWayIn
    provider_links.end(links.filter(provider=provider), user, now=now)
