"""The keys of our JSON web tokens: one signs, the former ones still verify until their tokens are gone.

Every token names its key (`kid`), so that a new key logs nobody out (RFC 7515, 4.1.4).
"""

import functools
import hashlib
import math
from typing import Any

import jwt
from django.conf import settings
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError, TokenBackendExpiredToken
from rest_framework_simplejwt.settings import api_settings

from zinzino import clock

# Tokens whose signature was found to be good, in each process; the least recently seen is forgotten.
VERIFIED_KEPT = 4096


class NamedKey(TokenBackend):
    """SimpleJWT's codec with one key that its tokens name."""

    def __init__(self, key: str) -> None:
        super().__init__(api_settings.ALGORITHM, key, issuer=api_settings.ISSUER)
        self.name = key_id(key)

    def encode(self, payload: dict[str, Any]) -> str:
        return jwt.encode(
            {**payload, "iss": self.issuer},
            self.prepared_signing_key,
            algorithm=self.algorithm,
            headers={"kid": self.name},
        )


def key_id(key: str) -> str:
    """A public name for a secret key."""
    return hashlib.sha256(b"kid" + key.encode()).hexdigest()[:16]


def current_key_id() -> str:
    return key_id(settings.JWT_SIGNING_KEY)


def encode(claims: dict[str, Any], *, key_name: str) -> str:
    """The token of these claims under a key of ours; under the current one if that key is gone."""
    known = _keys()
    return known.get(key_name, known[current_key_id()]).encode(claims)


def decode(token: str) -> dict[str, Any]:
    """The claims of a token whose signature, times and issuer are good. Raises TokenBackendError."""
    claims = _verified(token, (settings.JWT_SIGNING_KEY, *settings.JWT_OLD_KEYS))
    # All else that was looked at stays as it is; what has no end is judged by whoever asked.
    if claims.get("exp", math.inf) <= clock.now().timestamp():
        raise TokenBackendExpiredToken("expired")
    return dict(claims)


@functools.lru_cache(maxsize=VERIFIED_KEPT)
def _verified(token: str, keys: tuple[str, ...]) -> dict[str, Any]:
    """A phone brings the same token for a day; to take it apart costs a quarter of a small request."""
    try:
        name = _named_in(token.partition(".")[0])
    except jwt.InvalidTokenError as error:
        raise TokenBackendError("malformed") from error
    key = _named(keys).get(name) if isinstance(name, str) else None
    if key is None:
        raise TokenBackendError("signed by no key of ours")
    claims: dict[str, Any] = key.decode(token)  # type: ignore[arg-type]  # it takes text, whatever its types say
    return claims


@functools.lru_cache(maxsize=64)
def _named_in(header: str) -> Any:
    """The key that a header names: the same header stands in front of all tokens of one key."""
    return jwt.get_unverified_header(f"{header}..").get("kid")


def _keys() -> dict[str, NamedKey]:
    return _named((settings.JWT_SIGNING_KEY, *settings.JWT_OLD_KEYS))


@functools.lru_cache(maxsize=4)
def _named(keys: tuple[str, ...]) -> dict[str, NamedKey]:
    return {backend.name: backend for backend in map(NamedKey, keys)}
