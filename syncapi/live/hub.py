"""The open sockets of this process, the few threads that ask the database, and the ear that listens to it.

A socket holds no connection: thousands of them share LIVE_DB_CONNECTIONS threads with one connection each; two
more let clients in, two look for commands of dispensers that wait (polls), and one hears of commits.
"""

import asyncio
import contextvars
import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import psycopg
import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, close_old_connections, connection

from devices import commands
from syncapi.live import hints
from syncapi.live.polls import Polls
from syncapi.live.tickets import Admission
from zinzino import clock, metrics

T = TypeVar("T")
log = structlog.get_logger(__name__)

# By this name an operator finds its sessions in pg_stat_activity.
APPLICATION_NAME = "zinzino-live"
RENEW_EVERY_S = 60.0
WAIT_S = 1.0
BACK_OFF_S = 2.0
DEAF_AFTER_S = 10.0
ASK_AFTER_S = 10.0
PORTERS = 2
POLLERS = 2
SWEPT_AT_ONCE = 1_000


class Line:
    """One socket: whose it is, how far it has been told, and what it has to be told next."""

    def __init__(self, admission: Admission) -> None:
        self.user_id = admission.user_id
        self.session_id = admission.session_id
        self.since = admission.since
        self.until = admission.until
        self.woken = asyncio.Event()
        self.replaced = False

    @property
    def place(self) -> tuple[UUID, UUID, datetime]:
        return self.user_id, self.session_id, self.since


class Hub:
    def __init__(self) -> None:
        self.lines: dict[Line, None] = {}
        self.by_user: dict[UUID, list[Line]] = {}
        self.sockets = 0
        self.tellers = ThreadPoolExecutor(settings.LIVE_DB_CONNECTIONS, thread_name_prefix="live-tell")
        # A rush at the door, or a Valkey that does not answer, must not keep those inside waiting.
        self.porters = ThreadPoolExecutor(PORTERS, thread_name_prefix="live-admit")
        # Dispensers have threads of their own: a fleet at the door leaves people theirs.
        self.pollers = ThreadPoolExecutor(POLLERS, thread_name_prefix="live-poll")
        self.polls = Polls(self)
        self.ear = Ear(self)
        self.loop: asyncio.AbstractEventLoop

    def open(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.ear.start()

    async def close(self) -> None:
        self.ear.stopping.set()
        for pool in (self.tellers, self.porters, self.pollers):
            pool.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self.ear.join, 2 * WAIT_S)

    @property
    def is_full(self) -> bool:
        return self.sockets > settings.LIVE_MAX_SOCKETS

    @property
    def hears(self) -> bool:
        return time.monotonic() - self.ear.heard_at < DEAF_AFTER_S + settings.LIVE_SWEEP_S

    async def ask(self, pool: ThreadPoolExecutor, work: Callable[..., T], *arguments: Any) -> T:
        """`work` on one of the threads that have a connection."""
        # A context of its own: what a request binds for its log lines must not stay with the thread.
        run = contextvars.copy_context().run
        return await self.loop.run_in_executor(pool, run, settled, work, *arguments)

    def join(self, line: Line) -> None:
        """One more socket of its person; beyond LIVE_SOCKETS_PER_USER the oldest, often a dead one, goes."""
        own = self.by_user.setdefault(line.user_id, [])
        for oldest in own[: max(0, len(own) + 1 - settings.LIVE_SOCKETS_PER_USER)]:
            oldest.replaced = True
            oldest.woken.set()
        own.append(line)
        self.lines[line] = None

    def leave(self, line: Line) -> None:
        if self.lines.pop(line, line) is None:
            own = self.by_user[line.user_id]
            own.remove(line)
            if not own:
                del self.by_user[line.user_id]

    def wake(self, user_ids: Iterable[UUID]) -> None:
        for user_id in user_ids:
            for line in self.by_user.get(user_id, ()):
                line.woken.set()

    def wake_from_thread(self, user_ids: Iterable[UUID], device_ids: Iterable[UUID] = ()) -> None:
        self.loop.call_soon_threadsafe(self.wake, list(user_ids))
        self.loop.call_soon_threadsafe(self.polls.wake, list(device_ids))


class Ear(threading.Thread):
    """Hears hints, and every LIVE_SWEEP_S looks for what it may not have heard."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(name="live-ear", daemon=True)
        self.hub = hub
        self.stopping = threading.Event()
        # When the database was last there, on the monotonic clock.
        self.heard_at = -math.inf
        self.renewed_at = 0.0

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                self.listen()
            except (DatabaseError, psycopg.Error) as error:
                log.warning("hints cannot be heard", error=type(error).__name__)
            except Exception:
                # Whatever it is: without this thread nobody would be told of anything again.
                log.exception("hints cannot be heard")
            connection.close()
            self.stopping.wait(BACK_OFF_S)

    def listen(self) -> None:
        connection.ensure_connection()
        raw: Any = connection.connection
        raw.execute(f"LISTEN {hints.CHANNEL}")
        raw.execute(f"LISTEN {commands.CHANNEL}")
        # After a crash of the database the watch list is empty.
        self.renewed_at = 0.0
        while not self.stopping.is_set():
            self.renew()
            self.sweep()
            until = time.monotonic() + settings.LIVE_SWEEP_S
            while (left := until - time.monotonic()) > 0 and not self.stopping.is_set():
                self.hear(list(raw.notifies(timeout=min(left, WAIT_S), stop_after=1)))

    def hear(self, heard: Sequence[psycopg.Notify]) -> None:
        metrics.LIVE_HINTS.inc(len(heard))
        by_channel: dict[str, list[UUID]] = {hints.CHANNEL: [], commands.CHANNEL: []}
        for hint in heard:
            if named := id_in(hint.payload):
                by_channel[hint.channel].append(named)
        self.hub.wake_from_thread(by_channel[hints.CHANNEL], by_channel[commands.CHANNEL])

    def renew(self) -> None:
        if time.monotonic() - self.renewed_at < RENEW_EVERY_S:
            return
        hints.watch({line.user_id for line in list(self.hub.lines)})
        hints.forget()
        self.renewed_at = time.monotonic()

    def sweep(self) -> None:
        lines, now = list(self.hub.lines), clock.now()
        for start in range(0, len(lines), SWEPT_AT_ONCE):
            some = lines[start : start + SWEPT_AT_ONCE]
            over = {line.user_id for line in some if line.until <= now}
            missed = hints.missed([line.place for line in some])
            metrics.LIVE_SWEPT.inc(len(missed))
            self.hub.wake_from_thread(over.union(missed))
        waiting = list(self.hub.polls.waiters)
        for start in range(0, len(waiting), SWEPT_AT_ONCE):
            self.hub.wake_from_thread((), commands.awaited(waiting[start : start + SWEPT_AT_ONCE], now=now))
        self.heard_at = time.monotonic()


def id_in(payload: str) -> UUID | None:
    """Anybody who may connect to the database may say anything on the channel."""
    try:
        return UUID(payload)
    except ValueError:
        return None


def settled(work: Callable[..., T], *arguments: Any) -> T:
    """As Django does around a request, but a connection that was just in use is not asked whether it lives."""
    if time.monotonic() - getattr(last_use, "at", -math.inf) > ASK_AFTER_S:
        close_old_connections()
    try:
        return work(*arguments)
    except (OperationalError, InterfaceError):
        connection.close()
        raise
    finally:
        last_use.at = time.monotonic()


last_use = threading.local()
