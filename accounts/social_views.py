"""Sign-in with Google and Apple, and their links to an account (mission 1.3, 1.4; api.md 1)."""

import dataclasses
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from accounts import provider_sign_in, sessions, social
from accounts import social_serializers as s
from accounts.authentication import caller
from accounts.linking import Identity, Provider
from accounts.social import InvalidProviderToken
from accounts.views import signed_in
from zinzino import clock
from zinzino.api import language
from zinzino.api.renderers import Message
from zinzino.api.schema import operation
from zinzino.api.views import ApiViewSet, OpenViewSet, Request, Response, said

SAME_AGAIN = """\
The same token again from the same installation (`X-Device-Name`, `X-Platform`, `User-Agent`) within five
minutes gives the same session; from another one it is refused. 409 `link_required`: an account has the
address; sign in to it, then link."""
EXAMPLE_USER = {
    "id": "550e8400-e29b-41d4-a716-446655440000",
    "email": "user@gmail.com",
    "full_name": "Ahmet Yılmaz",
    "created_at": "2025-12-05T10:00:00.000Z",
}
EXAMPLE = {
    "user": EXAMPLE_USER,
    "token": "access_token_string_here",
    "refresh_token": "refresh_token_string_here",
    "is_new_user": False,
}


class ProviderSignInViewSet(OpenViewSet):
    validation_status = 400

    @operation(
        "Sign in with Google",
        request=s.GoogleToken,
        response=s.ProviderSignedIn,
        errors=(401, 403, 409),
        auth="none",
        example={"id_token": "google_id_token_here", "access_token": "google_access_token_here"},
        answer=EXAMPLE | {"user": EXAMPLE_USER | {"profile_picture": "https://lh3.googleusercontent.com/a/b"}},
        description=SAME_AGAIN,
    )
    def google(self, request: Request) -> Response:
        form = self.parsed(s.GoogleToken, request)
        now = clock.now()
        return answer(request, form["id_token"], google_identity(form, now=now), now=now)

    @operation(
        "Sign in with Apple",
        request=s.AppleSignIn,
        response=s.ProviderSignedIn,
        errors=(401, 403, 409),
        auth="none",
        example={
            "identity_token": "apple_identity_token_here",
            "user_id": "apple_user_id_here",
            "email": "user@privaterelay.appleid.com",
            "full_name": "Ahmet Yılmaz",
        },
        answer=EXAMPLE,
        description=SAME_AGAIN,
    )
    def apple(self, request: Request) -> Response:
        form = self.parsed(s.AppleSignIn, request)
        now = clock.now()
        identity = apple_identity(form, now=now)
        # Apple's tokens hold no name: the app has it, once, from the person.
        identity = dataclasses.replace(identity, full_name=form.get("full_name") or "")
        code = form.get("authorization_code") or ""
        return answer(request, form["identity_token"], identity, code=code, now=now)


class ProviderLinkViewSet(ApiViewSet):
    @operation(
        "Link your Google account",
        request=s.GoogleToken,
        response=Message,
        errors=(409,),
        example={"id_token": "x"},
    )
    def link_google(self, request: Request) -> Response:
        now = clock.now()
        identity = google_identity(self.parsed(s.GoogleToken, request), now=now)
        return linked(request, identity, now=now)

    @operation(
        "Link your Apple account",
        request=s.AppleToken,
        response=Message,
        errors=(409,),
        example={"identity_token": "x"},
    )
    def link_apple(self, request: Request) -> Response:
        now = clock.now()
        form = self.parsed(s.AppleToken, request)
        code = form.get("authorization_code") or ""
        return linked(request, apple_identity(form, now=now), code=code, now=now)

    @operation("Unlink your Google account", response=Message, errors=(409,))
    def unlink_google(self, request: Request) -> Response:
        return unlinked(request, Provider.GOOGLE)

    @operation("Unlink your Apple account", response=Message, errors=(409,))
    def unlink_apple(self, request: Request) -> Response:
        return unlinked(request, Provider.APPLE)


def google_identity(form: dict[str, Any], *, now: datetime) -> Identity:
    nonce, access_token = form.get("nonce") or "", form.get("access_token") or ""
    return social.verified(Provider.GOOGLE, form["id_token"], nonce=nonce, access_token=access_token, now=now)


def apple_identity(form: dict[str, Any], *, now: datetime) -> Identity:
    """Raises InvalidProviderToken also where the body names another person than the token."""
    token, nonce = form["identity_token"], form.get("nonce") or ""
    identity = social.verified(Provider.APPLE, token, nonce=nonce, now=now)
    if form.get("user_id") not in (None, "", identity.subject):
        raise InvalidProviderToken(Provider.APPLE)
    return identity


def answer(request: Request, token: str, identity: Identity, *, code: str = "", now: datetime) -> Response:
    client = sessions.Client.of(request._request)
    spoken = language.of_request(request._request) or "tr"
    try:
        sign_in = provider_sign_in.sign_in(identity, token, code=code, client=client, language=spoken, now=now)
    except provider_sign_in.TokenSpent as error:
        raise InvalidProviderToken(identity.provider) from error
    shown = signed_in(sign_in, with_picture=identity.provider is Provider.GOOGLE)
    return Response(shown | {"is_new_user": sign_in.is_new_user})


def linked(request: Request, identity: Identity, *, code: str = "", now: datetime) -> Response:
    provider_sign_in.link(caller(request).id, identity, code=code, now=now)
    return said(_("Your %(provider)s account is linked.") % {"provider": identity.provider.label})


def unlinked(request: Request, provider: Provider) -> Response:
    provider_sign_in.unlink(caller(request).id, provider, now=clock.now())
    return said(_("Your %(provider)s account is no longer linked.") % {"provider": provider.label})
