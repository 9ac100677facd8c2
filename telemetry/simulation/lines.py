"""What carries the words of a unit, over HTTP or MQTT, and loses, delays and doubles them."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any

import httpx
import orjson
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from telemetry.simulation.faults import Faults
from telemetry.simulation.fleet import Simulated
from telemetry.simulation.unit import ANSWER_WITHIN_S, Json

TIMEOUT = httpx.Timeout(ANSWER_WITHIN_S)
KEEPALIVE_S = 60
MISC_EVERY_S = 5.0
BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
LATE_S = 3.0


class HttpLine:
    """The routes of `/v1/iot`."""

    def __init__(self, made: Simulated, faults: Faults, http: httpx.AsyncClient) -> None:
        self.made, self.faults, self.http = made, faults, http

    async def connect(self, boot: int, conn: int) -> None:
        """Every request connects by itself."""

    async def leave(self) -> None:
        """Nothing to leave."""

    async def hello(self, body: Json) -> Json | None:
        return await self.post("/iot/hello", body)

    async def beat(self, body: Json) -> None:
        await self.post("/iot/heartbeat", body)

    async def ask(self, body: Json) -> Json | None:
        return await self.post("/iot/dispense/request", body)

    async def upload(self, envelope: Json) -> Json | None:
        taken = await self.post("/iot/events", envelope)
        return taken and taken["acked"]

    async def post(self, path: str, body: Json) -> Json | None:
        """The answer's data; None where it was no answer, or did not arrive."""
        if self.faults.happens("lost"):
            await self.silence()
            return None
        if self.faults.happens("late"):
            await asyncio.sleep(self.faults.dice.uniform(0, LATE_S))
        answer = await self.once(path, body)
        if self.faults.happens("twice"):
            answer = await self.once(path, body)
        if self.faults.happens("lost"):
            await self.silence()
            return None
        return answer

    async def once(self, path: str, body: Json) -> Json | None:
        headers = {"Authorization": f"Bearer {self.made.token}", "Content-Type": "application/json"}
        try:
            answer = await self.http.post(path, content=orjson.dumps(body), headers=headers)
        except httpx.HTTPError:
            return None
        if answer.is_success:
            return dict(answer.json()["data"])
        await asyncio.sleep(float(answer.headers.get("Retry-After", 0)))
        await self.silence()
        return None

    async def silence(self) -> None:
        """A unit waits before it tries again."""
        await asyncio.sleep(self.faults.dice.uniform(0.5, 1.5))


class MqttLine:
    """One connection to the broker, on the event loop of all."""

    def __init__(self, made: Simulated, faults: Faults, broker: tuple[str, int]) -> None:
        self.made, self.faults, self.broker = made, faults, broker
        self.loop = asyncio.get_running_loop()
        self.client: Client | None = None
        self.waiting: dict[str, asyncio.Future[Json]] = {}
        self.is_up = asyncio.Event()
        self.ticking: asyncio.Task[None] | None = None
        # Until when, on the monotonic clock, nothing is said under a limit.
        self.quiet_until: dict[str, float] = {}

    # --- the connection -------------------------------------------------------------------------

    async def connect(self, boot: int, conn: int) -> None:
        """Again and again, ever more slowly: the broker may not know us yet, or be away."""
        said = {"boot": boot, "conn": conn}
        for tries in range(1_000):
            self.open(orjson.dumps({"online": False, **said}))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.is_up.wait(), ANSWER_WITHIN_S)
                self.publish("presence", {"online": True, **said}, retain=True)
                self.ticking = asyncio.create_task(self.tick())
                return
            await self.leave()
            pause = BACK_OFF_S[min(tries, len(BACK_OFF_S) - 1)]
            await asyncio.sleep(self.faults.dice.uniform(pause / 2, pause))

    def open(self, will: bytes) -> None:
        self.is_up.clear()
        client = self.client = Client(CallbackAPIVersion.VERSION2, str(self.made.id), clean_session=True)
        client.username_pw_set(str(self.made.id), self.made.token)
        client.will_set(self.topic("up/presence"), will, qos=1, retain=True)
        client.on_connect = self.on_connect
        client.on_subscribe = lambda *_: self.is_up.set()
        client.on_message = self.on_message
        client.on_socket_open = self.on_open
        client.on_socket_close = self.on_close
        client.on_socket_register_write = self.on_more
        client.on_socket_unregister_write = self.on_done
        with contextlib.suppress(OSError):
            client.connect(*self.broker, keepalive=KEEPALIVE_S)

    def on_open(self, client: Client, _userdata: Any, sock: Any) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.loop.add_reader(sock, client.loop_read)

    def on_close(self, _client: Client, _userdata: Any, sock: Any) -> None:
        self.loop.remove_reader(sock)
        self.loop.remove_writer(sock)

    def on_more(self, client: Client, _userdata: Any, sock: Any) -> None:
        self.loop.add_writer(sock, client.loop_write)

    def on_done(self, _client: Client, _userdata: Any, sock: Any) -> None:
        self.loop.remove_writer(sock)

    def on_connect(self, client: Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if not reason.is_failure:
            client.subscribe(self.topic("down/#"), qos=1)

    async def tick(self) -> None:
        """Keepalive; and a connection that broke is made anew, as a unit's own loop would."""
        while (client := self.client) is not None:
            if client.loop_misc() != 0:
                with contextlib.suppress(OSError):
                    client.reconnect()
            await asyncio.sleep(MISC_EVERY_S)

    async def leave(self) -> None:
        """Without a word, as when the network goes: the broker says the will."""
        if self.ticking:
            self.ticking.cancel()
        client, self.client = self.client, None
        if client is not None:
            client._sock_close()  # which takes it off the loop

    # --- what is said ---------------------------------------------------------------------------

    async def hello(self, body: Json) -> Json | None:
        return await self.answered("hello", body, "hi")

    async def beat(self, body: Json) -> None:
        if self.quiet_for_s("hb") == 0:
            self.publish("hb", body, qos=0)

    async def ask(self, body: Json) -> Json | None:
        return await self.answered("req", body, body["request_id"])

    async def upload(self, envelope: Json) -> Json | None:
        return await self.answered("evt", envelope, f"ack {envelope['ev'][0]['boot']}")

    async def answered(self, kind: str, body: Json, name: str) -> Json | None:
        await asyncio.sleep(self.quiet_for_s(kind))
        future = self.waiting.setdefault(name, self.loop.create_future())
        if self.faults.happens("late"):
            await asyncio.sleep(self.faults.dice.uniform(0, LATE_S))
        if not self.faults.happens("lost"):
            self.publish(kind, body)
            if self.faults.happens("twice"):
                self.publish(kind, body)
        try:
            return await asyncio.wait_for(asyncio.shield(future), ANSWER_WITHIN_S)
        except TimeoutError:
            self.waiting.pop(name, None)
            return None

    def publish(self, kind: str, body: Json, *, qos: int = 1, retain: bool = False) -> None:
        if self.client is not None:
            self.client.publish(self.topic(f"up/{kind}"), orjson.dumps(body), qos=qos, retain=retain)

    def quiet_for_s(self, kind: str) -> float:
        limit = "dispense" if kind == "req" else "iot"
        return max(0.0, self.quiet_until.get(limit, 0.0) - time.monotonic())

    def topic(self, rest: str) -> str:
        return f"znz/v1/{self.made.id}/{rest}"

    def on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        kind, body = message.topic.rpartition("/")[2], orjson.loads(message.payload)
        if kind == "wait":
            self.quiet_until[body["limit"]] = time.monotonic() + body["retry_after"]
        if kind in NAMED and not self.faults.happens("lost"):
            future = self.waiting.pop(NAMED[kind](body), None)
            if future and not future.done():
                future.set_result(body)


NAMED: dict[str, Callable[[Json], str]] = {
    "hi": lambda body: "hi",
    "dec": lambda body: str(body["request_id"]),
    "ack": lambda body: f"ack {body['boot']}",
}
