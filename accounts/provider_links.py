"""The links of an account to people at Google and Apple. They end here only, so that nothing of one is left."""

from datetime import datetime, timedelta

from allauth.socialaccount.models import SocialAccount
from django.db.models import QuerySet

from accounts import apple_grants
from accounts.linking import Identity, Provider
from accounts.models import User

# Whoever held a phone for a moment may have added a sign-in of their own: a reset ends links this young.
DOUBTFUL = timedelta(days=7)


def make(user: User, identity: Identity) -> None:
    SocialAccount.objects.create(
        user=user, provider=identity.provider, uid=identity.subject, extra_data={"email": identity.email}
    )


def of(user: User) -> "QuerySet[SocialAccount]":
    return SocialAccount.objects.filter(user_id=user.pk)


def end(links: "QuerySet[SocialAccount]", user: User, *, now: datetime) -> None:
    """End some links of a person whose row is locked, and keep the documented columns true."""
    apple_grants.release(user, links.filter(provider=Provider.APPLE).values("uid"), now=now)
    links.delete()
    left = list(of(user).order_by("-last_login").values_list("provider", "uid"))
    if (user.oauth_provider, user.oauth_provider_id) not in left:
        mirror(user, *(left[0] if left else ("", "")))


def end_doubtful(user: User, *, now: datetime) -> None:
    """At a reset: those of the last week; all where nobody had proven the address before."""
    doubtful = of(user)
    if user.is_verified:
        doubtful = doubtful.filter(date_joined__gt=now - DOUBTFUL)
    end(doubtful, user, now=now)


def drop_all(user: User, *, now: datetime) -> None:
    """End all links of a person, and all that Apple permitted."""
    apple_grants.release(user, now=now)
    of(user).delete()


def mirror(user: User, provider: str, subject: str) -> None:
    """Keep the documented columns on the provider used last."""
    if (user.oauth_provider, user.oauth_provider_id) != (provider, subject):
        user.oauth_provider, user.oauth_provider_id = provider, subject
        user.save(update_fields=("oauth_provider", "oauth_provider_id"))
