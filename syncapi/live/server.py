"""The server of the live channel: uvicorn, with the bounds that a socket in public needs.

granian, which serves REST, sends no pings, takes messages of 64 MB and ends without a close code (ADR 0026).
"""

import asyncio
import resource
import socket
from collections.abc import Callable
from typing import Any

import structlog
from django.conf import settings
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from devices.command_serializers import MAX_WAIT_S
from syncapi.live import polls
from syncapi.live.allowance import Allowance
from syncapi.live.socket import Close

# A client has nothing longer to say than a ping.
MOST_BYTES = 4096
BURST_BYTES, BYTES_PER_S = 64 * 1024, 4 * 1024
MOST_HEADER_BYTES = 16 * 1024
PING_EVERY_S, PONG_WITHIN_S = 25.0, 20.0
# A connection has to become a socket, or be answered, within this time.
HANDSHAKE_S = 10.0
# Given to a slow reader to take what was written before it is cut.
FAREWELL_S = 2.0
DRAIN_S = 4
FILES_BESIDE = 200

log = structlog.get_logger(__name__)


class Handshake(H11Protocol):
    """Before it is a socket: nobody may keep us waiting for a request."""

    may_wait = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.deadline = self.loop.call_later(HANDSHAKE_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self.deadline.cancel()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        scope: Any = self.scope
        if not self.may_wait and scope and scope["path"] in polls.PATHS:
            # Its request is there; so long it may wait for the answer, once.
            self.may_wait = True
            self.deadline.cancel()
            self.deadline = self.loop.call_later(HANDSHAKE_S + MAX_WAIT_S, self.transport.abort)

    def handle_websocket_upgrade(self, event: Any) -> None:
        self.deadline.cancel()
        super().handle_websocket_upgrade(event)


class Connection(WebSocketsSansIOProtocol):
    """A client that floods us is cut; one that stops reading costs a full buffer for LIVE_SLOW_S, then nothing."""

    stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.bytes = Allowance(burst=BURST_BYTES, per_s=BYTES_PER_S)

    def data_received(self, data: bytes) -> None:
        # Frames of every kind: pings and fragments never reach the application that counts messages.
        if self.bytes.take(len(data)):
            super().data_received(data)
        else:
            self.give_up(Close.TOO_MANY, "too_many_bytes")

    def pause_writing(self) -> None:
        super().pause_writing()
        self.stuck = self.stuck or self.loop.call_later(
            settings.LIVE_SLOW_S, self.give_up, Close.SLOW_READER, "slow_reader"
        )

    def resume_writing(self) -> None:
        self.cancel_stuck()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self.cancel_stuck()
        super().connection_lost(exc)

    def cancel_stuck(self) -> None:
        if self.stuck:
            self.stuck.cancel()
        self.stuck = None

    def give_up(self, code: Close, reason: str) -> None:
        """The code stands behind all that was written; who begins to read again within FAREWELL_S finds it."""
        self.transport.pause_reading()
        self.loop.call_later(FAREWELL_S, self.transport.abort)
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = self.disconnected = True
        log.info("a client is cut", reason=reason)
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code})
        # Whoever waits to write is told that the client has gone.
        self.writable.set()


def config(application: Any) -> Config:
    return Config(
        application,
        host=settings.HOST,
        port=settings.LIVE_PORT,
        http=Handshake,
        ws=Connection,
        ws_max_size=MOST_BYTES,
        ws_ping_interval=PING_EVERY_S,
        ws_ping_timeout=PONG_WITHIN_S,
        # A compressor for each socket would be most of its memory.
        ws_per_message_deflate=False,
        h11_max_incomplete_event_size=MOST_HEADER_BYTES,
        timeout_graceful_shutdown=DRAIN_S,
        # uvicorn logs addresses whole, and tickets stand in them; our settings have the logs.
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )


class LiveServer(Server):
    def __init__(self, application: Any, *, ending: Callable[[], None]) -> None:
        super().__init__(config(application))
        self.ending = ending

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.ending()
        await super().shutdown(sockets)


def serve(application: Any, *, ending: Callable[[], None]) -> None:
    """Until SIGTERM or SIGINT; then `ending` is called, and every socket is closed with 1012."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.LIVE_MAX_SOCKETS + settings.LIVE_MAX_POLLS + FILES_BESIDE
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if most < 0 else min(wanted, most), most))
    LiveServer(application, ending=ending).run()
