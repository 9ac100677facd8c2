"""Tickets: a browser cannot put a header on a WebSocket, and an access token has no business in an address.

A ticket works once and for half a minute; Valkey keeps its hash, never itself.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings

from zinzino.api.bearer import token_hash
from zinzino.api.errors import Unauthorized
from zinzino.api.renderers import dumps
from zinzino.clock import stored_instant
from zinzino.redis_client import client

LIFETIME_S = 30
PATH = "/v1/live"
PREFIX = "zlt_"  # by which the log knows what to leave out
TOKEN_BYTES = 32


class TicketInvalid(Unauthorized):
    reason = "ticket_invalid"


@dataclass(frozen=True, slots=True)
class Admission:
    """Who may listen, from which point in time, and until when: a socket ends with its access token."""

    user_id: UUID
    session_id: UUID
    since: datetime
    until: datetime


def issue(admission: Admission) -> dict[str, Any]:
    """A new ticket and the address that it opens. Raises RedisError."""
    ticket = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    parts = [admission.user_id, admission.session_id, admission.since.isoformat(), admission.until.isoformat()]
    client().set(_key(ticket), dumps(parts), ex=LIFETIME_S)
    return {
        "ticket": ticket,
        "url": f"{settings.LIVE_URL}{PATH}?ticket={ticket}",
        "expires_in": LIFETIME_S,
    }


def spend(ticket: str) -> Admission:
    """What the ticket was given for, to this call and no other. Raises TicketInvalid, RedisError."""
    found: Any = client().getdel(_key(ticket))
    if found is None:
        raise TicketInvalid
    user_id, session_id, since, until = orjson.loads(found)
    return Admission(UUID(user_id), UUID(session_id), stored_instant(since), stored_instant(until))


def _key(ticket: str) -> str:
    return f"live:ticket:{token_hash(ticket)}"
