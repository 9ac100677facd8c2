"""The ASGI application of the live process: sockets, long polls of dispensers, probes, and the life of the hub."""

from collections.abc import Awaitable, Callable
from typing import Any

from channels.routing import ProtocolTypeRouter

from syncapi.live import polls
from syncapi.live.admission import allowed_origin
from syncapi.live.hub import Hub
from syncapi.live.socket import LiveSocket
from syncapi.live.tickets import PATH

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

PATHS = (PATH, PATH.replace("/v1/", "/api/"))


def application(hub: Hub) -> Any:
    return ProtocolTypeRouter(
        {"websocket": guarded(LiveSocket.as_asgi(hub=hub)), "http": requests(hub), "lifespan": lifespan(hub)}
    )


def guarded(sockets: Application) -> Application:
    """Refuses (403) other paths, and the pages of other sites, before anything else is done for them."""

    async def guard(scope: Message, receive: Receive, send: Send) -> None:
        origin = dict(scope["headers"]).get(b"origin")
        if scope["path"] in PATHS and allowed_origin(origin and origin.decode("latin-1")):
            await sockets(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close"})

    return guard


def requests(hub: Hub) -> Application:
    """What dispensers ask and wait for; and the probes."""
    probe = probes(hub)

    async def request(scope: Message, receive: Receive, send: Send) -> None:
        await (hub.polls if scope["path"] in polls.PATHS else probe)(scope, receive, send)

    return request


def probes(hub: Hub) -> Application:
    """/health/live: the process is there; /health/ready: it hears of commits."""

    async def probe(scope: Message, receive: Receive, send: Send) -> None:
        status = {"/health/live": 200, "/health/ready": 200 if hub.hears else 503}.get(scope["path"], 404)
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"ok":%s}' % (b"true" if status == 200 else b"false")})

    return probe


def lifespan(hub: Hub) -> Application:
    async def live(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        hub.open()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await hub.close()
        await send({"type": "lifespan.shutdown.complete"})

    return live
