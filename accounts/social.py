"""Tokens of Google and Apple: from what an app sends to an identity that is proven (accounts.md A1).

allauth finds the key, knows the providers and reads their claims. Its check of the claims is replaced by a
stricter one through its own setting `provider_class`: it has no tolerance for clocks, knows one issuer
each, does not ask for an expiry, and remembers ids of tokens, which would refuse a retry.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import requests
import structlog
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter, get_adapter
from allauth.socialaccount.internal import jwtkit
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialLogin
from allauth.socialaccount.providers.apple.provider import AppleProvider as AllauthApple
from allauth.socialaccount.providers.base.provider import Provider as AllauthProvider
from allauth.socialaccount.providers.google.provider import GoogleProvider as AllauthGoogle
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from accounts import provider_keys
from accounts.linking import Identity, Provider
from accounts.models import User, normalized_email
from zinzino.api.errors import ApiError, ServiceUnavailable

log = structlog.get_logger(__name__)

MAX_TOKEN_CHARS = 8192
TOKEN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
SUBJECT = re.compile(r"[!-~]{1,191}")
PICTURE = re.compile(r"https://[!-~]{1,490}")
ISSUERS = {
    Provider.GOOGLE: ("https://accounts.google.com", "accounts.google.com"),
    Provider.APPLE: ("https://appleid.apple.com", "https://account.apple.com"),
}
REQUIRED = ("iss", "aud", "sub", "iat", "exp")
# How far the clocks of a provider and of ours may lie apart.
LEEWAY = timedelta(seconds=10)
# A token that stands in for a password has to be newer than this.
FRESH = timedelta(minutes=5)


class InvalidProviderToken(ApiError):
    code = "INVALID_TOKEN"
    message = gettext_lazy("Invalid %(provider)s token.")

    def __init__(self, provider: Provider) -> None:
        super().__init__(self.message % {"provider": provider.label})


class ProviderNotConfigured(ServiceUnavailable):
    """The operators have set no client id, so that no token can be checked."""

    message = gettext_lazy("Sign-in with %(provider)s is not available.")

    def __init__(self, provider: Provider) -> None:
        super().__init__(self.message % {"provider": provider.label})


class Refused(Exception):
    """Why a token does not verify, in words for the log only."""


# A claim of a wrong type makes allauth stumble, as it may: the token comes from its provider.
STUMBLES = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
UNVERIFIABLE = (Refused, jwt.PyJWTError, OAuth2Error, *STUMBLES)


def verified(
    provider: Provider, token: str, *, nonce: str = "", access_token: str = "", now: datetime
) -> Identity:
    """Who the token speaks of. Raises InvalidProviderToken (400), ServiceUnavailable (503).

    `nonce` is what the app gave the provider or its SHA-256, `access_token` what came along with the token.
    """
    try:
        return _verified(provider, token, nonce, access_token, now)
    except UNVERIFIABLE as error:
        why = str(error) if isinstance(error, Refused) else type(error).__name__
        log.info("a provider's token was refused", provider=provider.value, why=why)
        raise InvalidProviderToken(provider) from error


def confirms(user_id: UUID, provider: str, token: str, *, now: datetime) -> bool:
    """Whether a token of the last five minutes proves that the person is here, in place of a password.

    Raises ServiceUnavailable where that cannot be known.
    """
    try:
        identity = verified(Provider(provider), token, now=now)
    except (InvalidProviderToken, ValueError):
        return False
    links = SocialAccount.objects.filter(user_id=user_id, provider=provider, uid=identity.subject)
    return now - identity.issued_at < FRESH and links.exists()


def _verified(provider: Provider, token: str, nonce: str, access_token: str, now: datetime) -> Identity:
    header, claims = peeked(token)
    client_id = audience(provider, claims)
    if header.get("alg") != "RS256" or not isinstance(header.get("kid"), str):
        raise Refused("algorithm or key id")
    if not provider_keys.document(keys_url(provider)).holds(header["kid"], now=now):
        raise Refused("unknown key")
    # allauth wants a request and looks at nothing in it.
    request = HttpRequest()
    known = get_adapter().get_provider(request, provider.value, client_id=client_id)
    login = known.verify_token(request, {"id_token": token})
    check_nonce(login.account.extra_data, nonce)
    check_access_token(login.account.extra_data, access_token)
    return identity(provider, login)


def peeked(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a token that nobody has verified yet: enough to choose client and key."""
    if len(token) > MAX_TOKEN_CHARS or not TOKEN.fullmatch(token):
        raise Refused("form")
    try:
        header, claims = (json.loads(unpadded(part)) for part in token.split(".")[:2])
    except (ValueError, binascii.Error, RecursionError) as error:
        raise Refused("form") from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise Refused("form")
    return header, claims


def unpadded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def client_ids(provider: Provider) -> list[str]:
    found: list[str] = getattr(settings, f"{provider.name}_CLIENT_IDS")
    return found


def keys_url(provider: Provider) -> str:
    return str(getattr(settings, f"{provider.name}_KEYS_URL"))


def audience(provider: Provider, claims: Mapping[str, Any]) -> str:
    """Which of our apps the token was made for; a token made for anybody else's is refused unseen."""
    ours = client_ids(provider)
    if not ours:
        raise ProviderNotConfigured(provider)
    if claims.get("aud") not in ours:
        raise Refused("audience")
    return str(claims["aud"])


def check_nonce(claims: Mapping[str, Any], nonce: str) -> None:
    if nonce and claims.get("nonce") not in (nonce, hashlib.sha256(nonce.encode()).hexdigest()):
        raise Refused("nonce")


def check_access_token(claims: Mapping[str, Any], access_token: str) -> None:
    """An access token proves nothing by itself; one that came with another person's token is refused."""
    if not access_token or "at_hash" not in claims:
        return
    half = hashlib.sha256(access_token.encode()).digest()[:16]
    expected = base64.urlsafe_b64encode(half).rstrip(b"=")
    if not hmac.compare_digest(str(claims["at_hash"]).encode(), expected):
        raise Refused("at_hash")


def identity(provider: Provider, login: SocialLogin) -> Identity:
    claims = login.account.extra_data
    # allauth leaves out what is no address.
    email = normalized_email(login.email_addresses[0].email) if login.email_addresses else None
    proven, picture = claims.get("email_verified"), claims.get("picture")
    return Identity(
        provider=provider,
        subject=login.account.uid,
        email=email,
        # Apple writes it as a text.
        email_verified=bool(email) and (proven is True or proven == "true"),
        email_hidden=not claims.get("email"),
        hosted=isinstance(claims.get("hd"), str) and bool(claims["hd"]),
        full_name=plain_name(claims.get("name")),
        picture=picture if isinstance(picture, str) and PICTURE.fullmatch(picture) else None,
        issued_at=datetime.fromtimestamp(int(claims["iat"]), UTC),
        client_id=claims["aud"],
    )


def plain_name(given: object) -> str:
    """A name as one line of at most 100 characters, empty where there is none."""
    text = unicodedata.normalize("NFC", given) if isinstance(given, str) else ""
    kept = "".join(char for char in text if unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp"))
    longest = User._meta.get_field("full_name").max_length
    return kept.strip()[:longest].strip()


class ProviderAdapter(DefaultSocialAccountAdapter):
    """allauth's window to the world: client ids from our settings, keys from our copies."""

    def get_app(self, request: HttpRequest, provider: str, client_id: str | None = None) -> SocialApp:
        return SocialApp(provider=provider, client_id=client_id or "")

    def get_requests_session(self) -> requests.Session:
        return provider_keys.KeptKeys()


class GoogleProvider(AllauthGoogle):
    def verify_token(self, request: HttpRequest, token: Mapping[str, str]) -> SocialLogin:
        return login_of(self, request, Provider.GOOGLE, token["id_token"])


class AppleProvider(AllauthApple):
    def verify_token(self, request: HttpRequest, token: Mapping[str, str]) -> SocialLogin:
        return login_of(self, request, Provider.APPLE, token["id_token"])


def login_of(known: AllauthProvider, request: HttpRequest, provider: Provider, token: str) -> SocialLogin:
    """allauth's picture of who signs in, after signature and claims have been checked."""
    _, key = jwtkit.fetch_key(token, keys_url(provider), public_key)
    claims = jwt.decode(
        token,
        key,
        # Never what the token itself asks for.
        algorithms=["RS256"],
        audience=known.app.client_id,
        issuer=ISSUERS[provider],
        leeway=LEEWAY,
        options={"require": list(REQUIRED), "strict_aud": True},
    )
    if not SUBJECT.fullmatch(claims["sub"]):
        raise Refused("subject")
    login: SocialLogin = known.sociallogin_from_response(request, claims)
    return login


def public_key(keys: dict[str, Any], key_id: str) -> Any:
    """Google answers certificates by default and a JWKS at another address; both are read."""
    if isinstance(keys.get("keys"), list):
        return jwtkit.lookup_kid_jwk(keys, key_id)
    return jwtkit.lookup_kid_pem_x509_certificate(keys, key_id)
