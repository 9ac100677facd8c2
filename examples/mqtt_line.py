"""What `examples.dispenser` says, over MQTT: the same unit, another line (docs/device-protocol.md, MQTT).

What has a topic goes by the broker, the rest (a token of its own) by HTTP; without a connection all of it does.
"""

import json
import queue
import time
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from examples.dispenser import Json, Send

# What is said on `up/…`, and on which topic below `down/` it is answered.
TOPICS = {"/iot/hello": ("hello", "hi"), "/iot/events": ("evt", "ack"), "/iot/dispense/request": ("req", "dec")}
ANSWER_WITHIN_S = 10.0
KEEPALIVE_S = 60


class MqttLine:
    """`Send` of a Dispenser. `connect` once the token was used over HTTP; `leave` ends presence without a word."""

    def __init__(self, device_id: str, http: Send, host: str, port: int) -> None:
        self.device_id, self.http, self.address = device_id, http, (host, port)
        self.client: Client | None = None
        self.heard: queue.Queue[tuple[str, Json]] = queue.Queue()
        self.conn = 0
        # Until when what falls under a limit is not said (down/wait).
        self.quiet: dict[str, float] = {}

    def connect(self, token: str, boot: int) -> None:
        """Raises OSError. A unit tries again after 1, 2, 4 … 300 s, each time up to twice that long by chance."""
        self.conn += 1
        said = {"boot": boot, "conn": self.conn}
        client = Client(CallbackAPIVersion.VERSION2, self.device_id, clean_session=True)
        client.username_pw_set(self.device_id, token)
        client.will_set(self.topic("up/presence"), json.dumps({"online": False, **said}), qos=1, retain=True)
        ready: queue.Queue[None] = queue.Queue()
        client.on_connect = self.subscribe
        client.on_subscribe = lambda *_: ready.put(None)
        client.on_message = self.take
        client.connect(*self.address, keepalive=KEEPALIVE_S)
        client.loop_start()
        try:
            ready.get(timeout=ANSWER_WITHIN_S)
        except queue.Empty:
            client.loop_stop()
            raise OSError("the broker does not let us in") from None
        client.publish(self.topic("up/presence"), json.dumps({"online": True, **said}), qos=1, retain=True)
        self.client = client

    def leave(self) -> None:
        if self.client:
            self.client.loop_stop()
            self.client._sock_close()
            self.client = None

    def topic(self, rest: str) -> str:
        return f"znz/v1/{self.device_id}/{rest}"

    def subscribe(self, client: Client, *_: Any) -> None:
        client.subscribe(self.topic("down/#"), qos=1)

    def take(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        self.heard.put((message.topic.rpartition("/")[2], json.loads(message.payload)))

    def __call__(self, method: str, path: str, body: Json | None, token: str) -> tuple[int, Json]:
        if self.client is None or path not in TOPICS or body is None:
            return self.http(method, path, body, token)
        up, down = TOPICS[path]
        limit = "dispense" if up == "req" else "iot"
        if self.quiet.get(limit, 0) > time.monotonic():
            return 429, {}
        self.client.publish(self.topic(f"up/{up}"), json.dumps(body), qos=1)
        try:
            while True:
                topic, told = self.heard.get(timeout=ANSWER_WITHIN_S)
                if topic == "wait":
                    self.quiet[told["limit"]] = time.monotonic() + told["retry_after"]
                    if told["limit"] == limit:
                        return 429, {}
                # An answer to what was given up long ago may still come.
                if topic == down and told.get("request_id") == body.get("request_id"):
                    return 200, {"data": {"acked": told} if down == "ack" else told}
        except queue.Empty:
            raise OSError("no answer came") from None
