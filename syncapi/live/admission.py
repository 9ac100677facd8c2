"""Who may open a socket: by a ticket in the address, or by the header that REST takes. Runs on a thread."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.db import close_old_connections
from django.http import HttpRequest
from rest_framework import serializers
from rest_framework.request import Request

from accounts.authentication import SessionTokenAuthentication
from syncapi import sql
from syncapi.live import hints, tickets
from syncapi.live.tickets import Admission
from zinzino.api import ratelimit
from zinzino.api.bearer import bearer
from zinzino.api.errors import ApiError, RateLimitExceeded, Unauthorized
from zinzino.api.fields import Instant

MOST_PARAMETERS = 8


class BadAddress(ApiError):
    """The address of the socket cannot be read."""

    reason = "bad_address"


@dataclass(frozen=True, slots=True)
class Knock:
    """What a client sends before it is let in."""

    headers: Mapping[str, str]
    query: str
    peer: str

    @property
    def request(self) -> HttpRequest:
        """As REST would see it, so that one rule decides for both."""
        request = HttpRequest()
        named = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()}
        request.META = {**named, "REMOTE_ADDR": self.peer}
        return request


def allowed_origin(origin: str | None) -> bool:
    """Only browsers send an Origin; one that is not ours is a foreign site at work in somebody's browser."""
    if origin is None:
        return True
    own = (urlsplit(address) for address in (settings.LIVE_URL, settings.PUBLIC_URL))
    ours = {f"{each.scheme.replace('ws', 'http')}://{each.netloc}" for each in own}
    return origin in ours or origin in settings.CORS_ALLOWED_ORIGINS


def admit(knock: Knock) -> Admission:
    """Raises ApiError, RedisError, OperationalError. From here on, commits of the person are announced."""
    # A connection that has died would cost the client its ticket.
    close_old_connections()
    asked = parameters(knock.query)
    admission = tickets.spend(asked["ticket"]) if "ticket" in asked else by_header(knock.request)
    if "since" in asked:
        admission = replace(admission, since=instant(asked["since"]))
    hints.watch([admission.user_id])
    return admission


def by_header(request: HttpRequest) -> Admission:
    verdict = ratelimit.take("general", ratelimit.by_sender(request))
    if not verdict.passed:
        raise RateLimitExceeded
    found = SessionTokenAuthentication().authenticate(Request(request))
    if found is None:
        raise Unauthorized
    person, _ = found
    until = datetime.fromtimestamp(bearer(request).claims["exp"], UTC)
    return Admission(person.id, person.session_id, sql.clock(person.id), until)


def parameters(query: str) -> dict[str, str]:
    try:
        found = parse_qs(query, keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
    except ValueError as error:
        raise BadAddress from error
    return {name: values[-1] for name, values in found.items()}


def instant(text: str) -> datetime:
    try:
        since: datetime = Instant().run_validation(text)
    except serializers.ValidationError as error:
        raise BadAddress from error
    return since
