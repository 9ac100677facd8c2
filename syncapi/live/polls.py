"""The long poll of dispensers, `GET /iot/commands?wait=25` (iot.md 2): here waiting costs no thread.

What is answered is REST's own answer, given by REST's own handler on one of a few threads: limits, tokens and
envelopes have one source. Where nothing waits for the dispenser the request sleeps until a commit says that a
command does, and is then asked again, whole: a token that ended meanwhile hears of no command.
"""

import asyncio
import time
from collections.abc import Collection
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from uuid import UUID

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.base import BaseHandler
from django.db import close_old_connections
from django.http import HttpResponse

from devices.command_serializers import MAX_WAIT_S
from zinzino import metrics
from zinzino.api import bearer, errors
from zinzino.api.context import adopt_request_id, current_request_id

if TYPE_CHECKING:
    from syncapi.live.hub import Hub

PATHS = ("/v1/iot/commands", "/api/iot/commands")
NOTHING: dict[str, list[Any]] = {"commands": []}


class Waiter:
    """One request that sleeps."""

    def __init__(self) -> None:
        self.woken = asyncio.Event()
        self._over = False

    def is_over(self) -> bool:
        return self._over

    def end(self) -> None:
        self._over = True
        self.woken.set()


class Polls:
    """An ASGI application for PATHS."""

    def __init__(self, hub: "Hub") -> None:
        self.hub = hub
        self.rest = BaseHandler()
        self.rest.load_middleware()
        self.waiters: dict[UUID, list[Waiter]] = {}
        self.open = 0
        self.ending = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.open >= settings.LIVE_MAX_POLLS or self.ending:
            await write(send, refusal())
            return
        self.open += 1
        metrics.LIVE_POLLS.inc()
        try:
            await write(send, await self.answer(scope, receive))
        finally:
            self.open -= 1
            metrics.LIVE_POLLS.dec()

    async def answer(self, scope: Any, receive: Any) -> HttpResponse:
        device_id, until = device_of(scope), time.monotonic() + wait_of(scope)
        if device_id is None:
            return await self.look(scope)
        waiter, gone = Waiter(), asyncio.create_task(disconnected(receive))
        # Before the first look: what is committed after it must not be missed.
        self.waiters.setdefault(device_id, []).append(waiter)
        gone.add_done_callback(lambda _: waiter.end())
        try:
            return await self.waited(scope, device_id, waiter, until)
        finally:
            gone.cancel()
            self.leave(device_id, waiter)

    async def waited(self, scope: Any, device_id: UUID, waiter: Waiter, until: float) -> HttpResponse:
        while True:
            waiter.woken.clear()
            found = await self.look(scope)
            left = until - time.monotonic()
            if left <= 0 or waiter.is_over() or self.ending or getattr(found, "data", None) != NOTHING:
                return found
            # A dispenser that asks anew has given up what it asked before.
            for other in self.waiters[device_id]:
                if other is not waiter:
                    other.end()
            with suppress(TimeoutError):
                await asyncio.wait_for(waiter.woken.wait(), left)
            if waiter.is_over() or not waiter.woken.is_set():
                return found

    async def look(self, scope: Any) -> HttpResponse:
        return await self.hub.ask(self.hub.pollers, self.asked, scope)

    def asked(self, scope: Any) -> Any:
        """On a thread."""
        close_old_connections()
        return self.rest.get_response(ASGIRequest(scope, BytesIO()))

    def leave(self, device_id: UUID, waiter: Waiter) -> None:
        own = self.waiters[device_id]
        own.remove(waiter)
        if not own:
            del self.waiters[device_id]

    def wake(self, device_ids: Collection[UUID]) -> None:
        for device_id in device_ids:
            for waiter in self.waiters.get(device_id, ()):
                waiter.woken.set()

    def end(self) -> None:
        """Answer all that wait: the process ends."""
        self.ending = True
        for own in self.waiters.values():
            for waiter in own:
                waiter.end()


def device_of(scope: Any) -> UUID | None:
    """The dispenser that our signature vouches for; only GET waits."""
    if scope["method"] != "GET":
        return None
    sender = bearer.read(dict(scope["headers"]).get(b"authorization", b"").decode("latin-1"))
    return UUID(sender.subject) if sender.kind is bearer.Kind.DEVICE and sender.subject else None


def wait_of(scope: Any) -> int:
    """Seconds. What is no such number REST refuses at once."""
    with suppress(ValueError):
        said = parse_qs(scope["query_string"].decode("latin-1")).get("wait", ["0"])
        return min(MAX_WAIT_S, max(0, int(said[-1])))
    return 0


async def disconnected(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def refusal() -> HttpResponse:
    adopt_request_id("")
    answer = errors.http_response(errors.ServiceUnavailable())
    answer["X-Request-ID"] = current_request_id()
    return answer


async def write(send: Any, answer: HttpResponse) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.items()]
    headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": answer.content})
