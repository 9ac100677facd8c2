"""Who claims to send a request: the bearer token, checked as far as that needs no database.

The rate limiter counts by it before any authentication work; `accounts` and `devices` then ask the
database whether the session or the credential is still alive.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from rest_framework_simplejwt.exceptions import TokenBackendError, TokenBackendExpiredToken

from zinzino.api import signing

MAX_TOKEN_CHARS = 4096
DEVICE_PREFIX = "znd_"
_SECRET_BYTES, _TAG_BYTES = 20, 12


class Kind(Enum):
    NONE = "none"
    PERSON = "person"
    DEVICE = "device"
    EXPIRED = "expired"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Bearer:
    kind: Kind
    token: str = ""
    # The user's or the device's id where a signature of ours vouches for it, else empty.
    subject: str = ""
    claims: Mapping[str, Any] = field(default_factory=dict)


def bearer(request: HttpRequest) -> Bearer:
    """The request's bearer token, looked at once."""
    known: Bearer | None = getattr(request, "_bearer", None)
    if known is None:
        known = read(request.META.get("HTTP_AUTHORIZATION", ""))
        request._bearer = known  # type: ignore[attr-defined]
    return known


def read(header: str) -> Bearer:
    scheme, _, token = header.partition(" ")
    token = token.strip()
    if not header:
        return Bearer(Kind.NONE)
    if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN_CHARS:
        return Bearer(Kind.INVALID)
    if token.startswith(DEVICE_PREFIX):
        return Bearer(Kind.DEVICE, token, _device_of(token))
    return read_person(token, token_type="access")


def read_person(token: str, *, token_type: str) -> Bearer:
    """A JSON web token of ours: signature, times, issuer and type, nothing that needs a lookup."""
    try:
        claims = signing.decode(token)
    except TokenBackendExpiredToken:
        return Bearer(Kind.EXPIRED)
    except (TokenBackendError, ValueError, TypeError):
        return Bearer(Kind.INVALID)
    user_id, session_id, token_id = (claims.get(name) for name in ("user_id", "sid", "rid"))
    if (
        "exp" not in claims
        or claims.get("token_type") != token_type
        or not all(map(_is_uuid, (user_id, session_id, token_id)))
    ):
        return Bearer(Kind.INVALID)
    return Bearer(Kind.PERSON, token, str(user_id), claims)


def _is_uuid(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(UUID(value))
    except ValueError:
        return False


def new_device_token(device_id: UUID) -> str:
    """An opaque token. It names its device under our tag, so that limits need no lookup."""
    body = device_id.bytes + secrets.token_bytes(_SECRET_BYTES)
    return DEVICE_PREFIX + base64.urlsafe_b64encode(body + _tag(body)).decode()


def token_hash(token: str) -> str:
    """What the database keeps of a random token."""
    return hashlib.sha256(token.encode()).hexdigest()


def _device_of(token: str) -> str:
    try:
        raw = base64.urlsafe_b64decode(token.removeprefix(DEVICE_PREFIX).encode())
    except (binascii.Error, ValueError):
        return ""
    body, tag = raw[:-_TAG_BYTES], raw[-_TAG_BYTES:]
    genuine = len(raw) == 16 + _SECRET_BYTES + _TAG_BYTES and hmac.compare_digest(tag, _tag(body))
    return str(UUID(bytes=body[:16])) if genuine else ""


def _tag(body: bytes) -> bytes:
    key = hashlib.sha256(b"device-token" + settings.SECRET_KEY.encode()).digest()
    return hmac.digest(key, body, "sha256")[:_TAG_BYTES]
