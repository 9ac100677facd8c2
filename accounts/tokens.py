"""The two JSON web tokens of a session, made from the refresh token's row and nothing else.

Both are a pure function of the row: the server stores only a hash and can still give the identical
pair again to a phone that lost our answer.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from rest_framework_simplejwt.settings import api_settings

from accounts.models import RefreshToken
from zinzino.api import signing


@dataclass(frozen=True, slots=True)
class TokenPair:
    access: str
    refresh: str
    # Seconds until the access token expires.
    expires_in: int


def pair(row: RefreshToken, user_id: UUID, *, now: datetime) -> TokenPair:
    expires_at = row.created_at + access_lifetime()
    return TokenPair(
        access=_encoded("access", row, user_id, expires_at),
        refresh=refresh(row, user_id),
        expires_in=max(0, int((expires_at - now).total_seconds())),
    )


def refresh(row: RefreshToken, user_id: UUID) -> str:
    return _encoded("refresh", row, user_id, row.expires_at)


def access_lifetime() -> timedelta:
    lifetime: timedelta = api_settings.ACCESS_TOKEN_LIFETIME
    return lifetime


def refresh_lifetime() -> timedelta:
    lifetime: timedelta = api_settings.REFRESH_TOKEN_LIFETIME
    return lifetime


def _encoded(kind: str, row: RefreshToken, user_id: UUID, expires_at: datetime) -> str:
    claims = {
        "token_type": kind,
        "user_id": str(user_id),
        "sid": str(row.session_id),
        "rid": str(row.id),
        "jti": f"{kind[0]}{row.id.hex}",
        "iat": int(row.created_at.timestamp()),
        "exp": int(expires_at.timestamp()),
    }
    return signing.encode(claims, key_name=row.key_id)
