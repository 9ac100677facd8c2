"""One socket: admitted, told what it missed, then told of every commit until either side ends it."""

import asyncio
import random
import time
from contextlib import suppress
from datetime import datetime
from enum import IntEnum
from typing import Any
from uuid import UUID

import orjson
import structlog
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import InterfaceError, OperationalError
from redis.exceptions import RedisError
from rest_framework import status

from accounts.authentication import TokenExpired, check_session
from syncapi import feed
from syncapi.live.admission import BadAddress, Knock, admit
from syncapi.live.allowance import Allowance
from syncapi.live.hub import Hub, Line
from syncapi.push import Entries
from zinzino import clock, metrics
from zinzino.api.errors import ApiError

log = structlog.get_logger(__name__)

# Of one socket: changes that follow each other closely become one page, and a long history is no load.
LEAST_BETWEEN_PAGES_S = 0.2
BACK_OFF_S = (0.1, 1.0, 2.0, 5.0)
# What a client may send: a burst, and then so many messages a second.
BURST, MESSAGES_PER_S = 10, 2


class Close(IntEnum):
    """Why the server ended a socket; docs/errors.md says what an app does then."""

    INTERNAL_ERROR = 1011
    TRY_AGAIN = 1013
    BAD_MESSAGE = 4400
    SESSION_OVER = 4401
    SLOW_READER = 4408
    FULL_SYNC_REQUIRED = 4409
    REPLACED = 4410
    TOO_MANY = 4429


class LiveSocket(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    def __init__(self, hub: Hub) -> None:
        super().__init__()
        self.hub = hub
        self.line: Line | None = None
        self.teller: asyncio.Task[None] | None = None
        self.over = False
        self.ended = "client"
        self.messages = Allowance(burst=BURST, per_s=MESSAGES_PER_S)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.hub.sockets += 1
        metrics.LIVE_SOCKETS.inc()
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.hub.sockets -= 1
            metrics.LIVE_SOCKETS.dec()
            metrics.LIVE_ENDS.labels(self.ended).inc()
            if self.line and self.teller:
                self.hub.leave(self.line)
                self.teller.cancel()

    async def connect(self) -> None:
        # First of all: a refusal during the handshake is nothing that a browser's script could read.
        await self.accept()
        if self.hub.is_full:
            await self.end(Close.TRY_AGAIN, "server_full")
            return
        try:
            admission = await self.hub.ask(self.hub.porters, admit, knock_of(self.scope))
        except (ApiError, OperationalError, InterfaceError, RedisError) as error:
            await self.end(*said_of(error))
            return
        self.line = Line(admission)
        self.hub.join(self.line)
        self.teller = asyncio.create_task(self.tell(self.line))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Clients have one thing to say: whether anybody is there."""
        if not self.messages.take():
            await self.end(Close.TOO_MANY, "too_many_messages")
        elif not is_ping(text_data):
            await self.end(Close.BAD_MESSAGE, "bad_message")
        elif not self.over:
            await self.send(f'{{"type":"pong","server_time":"{clock.iso(clock.now())}"}}')

    async def end(self, code: Close, reason: str = "") -> None:
        """Close the socket, once."""
        if self.over:
            return
        self.over, self.ended = True, code.name.lower()
        if self.teller and self.teller is not asyncio.current_task():
            self.teller.cancel()
        with suppress(OSError):
            await self.close(code, reason)

    async def tell(self, line: Line) -> None:
        try:
            await self.keep_telling(line)
        except feed.FullSyncRequired:
            with suppress(OSError):
                await self.send('{"type":"full_sync_required"}')
            await self.end(Close.FULL_SYNC_REQUIRED, "full_sync_required")
        except ApiError as error:
            await self.end(*said_of(error))
        except OSError:
            log.debug("a client has gone")
        except Exception:
            log.exception("a socket ended")
            await self.end(Close.INTERNAL_ERROR)

    async def keep_telling(self, line: Line) -> None:
        """Page after page; the next one is asked for when the client has taken the last."""
        greeted = False
        while not line.replaced:
            line.woken.clear()
            began = time.monotonic()
            page, asked_at = await self.next_page(line), time.monotonic()
            if not (greeted and page.is_empty):
                await self.send(f'{{"type":"delta","since":"{clock.iso(line.since)}","data":{page.text}}}')
                metrics.LIVE_PAGE.observe(time.monotonic() - began)
            greeted, line.since = True, page.until
            if not page.has_more:
                await line.woken.wait()
            await asyncio.sleep(asked_at + LEAST_BETWEEN_PAGES_S - time.monotonic())
        await self.end(Close.REPLACED, "too_many_sockets")

    async def next_page(self, line: Line) -> feed.Page:
        """While the database is away, the client waits with us."""
        tries = 0
        while True:
            if line.until <= clock.now():
                raise TokenExpired
            try:
                return await self.hub.ask(self.hub.tellers, page_for, line.user_id, line.session_id, line.since)
            except (OperationalError, InterfaceError):
                pause = BACK_OFF_S[min(tries, len(BACK_OFF_S) - 1)]
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  (not a secret)
                tries += 1


def page_for(user_id: UUID, session_id: UUID, since: datetime) -> feed.Page:
    """On a thread: what POST /sync/delta would answer. Raises Unauthorized, AccountInactive, FullSyncRequired."""
    check_session(session_id, user_id)
    return feed.page(user_id, since, Entries())


def knock_of(scope: dict[str, Any]) -> Knock:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    peer = scope["client"][0] if scope.get("client") else ""
    return Knock(headers, scope["query_string"].decode("latin-1"), peer)


def said_of(error: Exception) -> tuple[Close, str]:
    """The code and the reason of a refusal."""
    match error:
        case BadAddress():
            return Close.BAD_MESSAGE, BadAddress.reason
        case ApiError(status_code=status.HTTP_429_TOO_MANY_REQUESTS):
            return Close.TOO_MANY, "too_many_requests"
        case ApiError():
            return Close.SESSION_OVER, error.reason or "token_invalid"
    return Close.TRY_AGAIN, "unavailable"


def is_ping(text: str | None) -> bool:
    try:
        message = orjson.loads(text or "")
    except ValueError:
        return False
    return isinstance(message, dict) and message.get("type") == "ping"
