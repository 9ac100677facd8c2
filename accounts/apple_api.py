"""Apple's server (Sign in with Apple REST API): a refresh token for an app's code, and the end of it."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import jwt
import requests
from django.conf import settings

# Whatever address we ask at, the secret is for Apple.
AUDIENCE = "https://appleid.apple.com"
SECRET_LIVES = timedelta(minutes=5)
CONNECT_S, READ_S = 3.0, 7.0
READ_AT_ONCE, MOST_READS = 4096, 16
# Apple's refusals that are about the code or token; all others are about us, or pass.
ABOUT_THE_GRANT = {"invalid_grant", "invalid_request"}


class Refused(Exception):
    """The code or token is no good, and never will be."""


class Unavailable(Exception):
    """Apple does not answer, or does not accept our key: the same may succeed later. Says why in a word."""


@dataclass(frozen=True, slots=True)
class Permission:
    refresh_token: str
    # Apple's id of the person who gave it.
    subject: str


def configured() -> bool:
    return bool(settings.APPLE_PRIVATE_KEY)


def exchange(code: str, client_id: str, *, now: datetime) -> Permission:
    """The refresh token behind an authorization code, which works once and for five minutes.

    Raises Refused, Unavailable.
    """
    answer = asked("token", client_id, now=now, grant_type="authorization_code", code=code)
    try:
        # It comes from Apple itself by TLS, so that its signature says nothing new (OpenID Connect Core 3.1.3.7).
        claims = jwt.decode(answer["id_token"], options={"verify_signature": False})
        token, subject = answer["refresh_token"], claims["sub"]
    except (KeyError, TypeError, jwt.PyJWTError) as error:
        raise Unavailable("unreadable") from error
    if not (isinstance(token, str) and token and isinstance(subject, str)):
        raise Unavailable("unreadable")
    return Permission(token, subject)


def revoke(refresh_token: str, client_id: str, *, now: datetime) -> None:
    """End the person's permission for our app. Apple accepts a token that has ended before, too.

    Raises Refused, Unavailable.
    """
    asked("revoke", client_id, now=now, token=refresh_token, token_type_hint="refresh_token")


def asked(what: str, client_id: str, *, now: datetime, **fields: str) -> Any:
    form = {"client_id": client_id, "client_secret": client_secret(client_id, now=now), **fields}
    try:
        with requests.post(
            f"{settings.APPLE_AUTH_URL}/{what}",
            data=form,
            timeout=(CONNECT_S, READ_S),
            allow_redirects=False,
            stream=True,
        ) as response:
            status, text = response.status_code, b"".join(islice(response.iter_content(READ_AT_ONCE), MOST_READS))
    except requests.RequestException as error:
        raise Unavailable(type(error).__name__) from error
    body = parsed(text)
    if status == 200:
        return body
    if status == 400 and isinstance(body, dict) and body.get("error") in ABOUT_THE_GRANT:
        raise Refused(body["error"])
    said = body.get("error") if isinstance(body, dict) else None
    raise Unavailable("invalid_client" if said == "invalid_client" else str(status))


def parsed(text: bytes) -> Any:
    """None for what is no JSON: a revocation is answered without a body."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def client_secret(client_id: str, *, now: datetime) -> str:
    """How we prove who asks: signed with the key that Apple gave our team, for one of our apps."""
    claims = {
        "iss": settings.APPLE_TEAM_ID,
        "iat": int(now.timestamp()),
        "exp": int((now + SECRET_LIVES).timestamp()),
        "aud": AUDIENCE,
        "sub": client_id,
    }
    return jwt.encode(
        claims, settings.APPLE_PRIVATE_KEY, algorithm="ES256", headers={"kid": settings.APPLE_KEY_ID}
    )
