"""Who writes while machines die: phones, dispensers over HTTP and MQTT, and somebody who looks at analytics.

Each sends the same again until it is answered, as apps and firmware do, and keeps what it was told.
"""

import threading
import uuid
from pathlib import Path
from typing import Any

import httpx

from deploy.cluster.ledger import Channel
from examples.dispenser import Dispenser, Json
from examples.mqtt_line import MqttLine

PASSWORD = "Trial-of-the-cluster-1"
ANSWERED_WITHIN_S = 10.0
CUP_EVERY = 5
BROKEN = (OSError, httpx.HTTPError, ValueError)


class Api:
    """HTTP with a bearer token; OSError where no answer came, and what was refused goes to the channel."""

    def __init__(self, url: str, channel: Channel) -> None:
        self.http = httpx.Client(base_url=f"{url}/v1", timeout=ANSWERED_WITHIN_S)
        self.channel = channel

    def __call__(self, method: str, path: str, body: Json | None, token: str, **headers: str) -> tuple[int, Json]:
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            answer = self.http.request(method, path, json=body, headers=bearer | headers)
        except httpx.HTTPError as error:
            self.channel.refuse(type(error).__name__)
            raise OSError(str(error)) from error
        if not answer.is_success:
            self.channel.refuse(str(answer.status_code))
        # The proxy's own refusals are pages.
        told = answer.json() if answer.headers.get("Content-Type", "").startswith("application/json") else {}
        return answer.status_code, told


class Client(threading.Thread):
    """Does the same thing again and again until told to stop."""

    PACE_S = 0.2

    def __init__(self, url: str, channel: Channel) -> None:
        super().__init__(daemon=True, name=channel.name)
        self.channel, self.api = channel, Api(url, channel)
        self.stopping = threading.Event()
        self.fault: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.stopping.wait(self.PACE_S):
                self.act()
            self.finish()
        except BaseException as fault:  # noqa: BLE001 - the trial looks at it
            self.fault = fault

    @property
    def did_not_end(self) -> bool:
        return self.fault is not None or self.is_alive()

    def act(self) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        """Bring in what is left."""


class Person:
    """An account, and the dispensers that it has added."""

    def __init__(self, api: Api, name: str) -> None:
        self.api = api
        about = {"email": f"{name}-{uuid.uuid4().hex[:8]}@trial.example", "full_name": "Trial Trial"}
        told = expect(api("POST", "/auth/register", {**about, "password": PASSWORD}, ""))
        self.id, self.token = told["user"]["id"], told["token"]

    def dispenser(self, kind: str) -> tuple[str, str]:
        mac = "02:" + ":".join(uuid.uuid4().hex[at : at + 2].upper() for at in range(0, 10, 2))
        about = {"device_name": "Trial", "device_type": kind, "mac_address": mac}
        made = expect(self.api("POST", "/devices", {**about, "serial_number": uuid.uuid4().hex[:12]}, self.token))
        return made["id"], made["device_token"]


def expect(answer: tuple[int, Json]) -> Any:
    status, told = answer
    if status >= 300:
        raise OSError(f"{status}: {told}")
    return told["data"]


class Phone(Client):
    """Writes notes; each has one key, under which it may be sent again."""

    def __init__(self, url: str, channel: Channel) -> None:
        super().__init__(url, channel)
        self.person = Person(self.api, "phone")

    def act(self) -> None:
        key = str(uuid.uuid4())
        self.channel.attempt(key)
        note = {"action": "note", "metadata": {"trial": key}}
        while True:
            try:
                status, _ = self.api("POST", "/activities", note, self.person.token, **{"Idempotency-Key": key})
            except OSError:
                status = 0
            if status in (200, 201):
                self.channel.acknowledge(key)
                return
            if status not in (0, 429, 502, 503, 504):
                raise TypeError(f"a note was answered with {status}")
            if self.stopping.wait(self.PACE_S):
                return


class Unit(Client):
    """A dispenser with a journal, and somebody who places a cup now and then."""

    PACE_S = 0.3

    def __init__(self, url: str, channel: Channel, flash: Path, *, mqtt: tuple[str, int] | None = None) -> None:
        super().__init__(url, channel)
        self.id, token = Person(self.api, "unit").dispenser("fish_oil")
        Dispenser.set_up(flash, token)
        self.waiting: dict[str, str] = {}
        self.rounds = 0
        self.unit = Dispenser(flash, self.api, lambda dose: float(dose["amount"]))
        self.unit.hello()
        if mqtt:
            self.go_on_mqtt(*mqtt)

    def go_on_mqtt(self, host: str, port: int) -> None:
        # The first use of its own token is what makes it known to the broker.
        self.unit.hello()
        line = MqttLine(self.id, self.api, host, port)
        for _ in range(10):
            try:
                line.connect(self.unit.state["token"], self.unit.state["boot"])
                break
            except OSError:
                self.stopping.wait(1)
        else:
            raise OSError("the broker does not let us in")
        self.unit.send = self.heard(line)

    def heard(self, line: MqttLine) -> Any:
        def send(method: str, path: str, body: Json | None, token: str) -> tuple[int, Json]:
            try:
                return line(method, path, body, token)
            except OSError:
                self.channel.refuse("no answer by MQTT")
                raise

        return send

    def act(self) -> None:
        self.rounds += 1
        key = str(uuid.uuid4())
        self.channel.attempt(key)
        self.waiting[self.unit.note("log", level="info", message=key)["id"]] = key
        if self.rounds % CUP_EVERY == 0:
            self.place_cup()
        self.bring_in()

    def bring_in(self) -> None:
        try:
            self.unit.sync()
        except BROKEN:
            return
        kept = {event["id"] for event in self.unit.state["journal"]}
        safe = [id for id in self.waiting if id not in kept]
        self.channel.acknowledge(*(self.waiting.pop(id) for id in safe))

    def place_cup(self) -> None:
        request = str(uuid.uuid4())
        self.unit.cup = True
        for _ in range(2):
            try:
                self.unit.ask(request, first_sent=self.unit.monotonic())
                break
            except BROKEN:
                continue
        self.unit.remove_cup()

    def finish(self) -> None:
        for _ in range(60):
            self.bring_in()
            if not self.unit.state["journal"]:
                return
            threading.Event().wait(1)

    @property
    def poured(self) -> list[str]:
        """The names of the doses that came out."""
        return list(self.unit.state["poured"])


class Analyst(Client):
    """Looks at the sums of a person, which come from the standby."""

    PACE_S = 0.5

    def __init__(self, url: str, channel: Channel) -> None:
        super().__init__(url, channel)
        self.person = Person(self.api, "analyst")

    def act(self) -> None:
        try:
            if self.api("GET", "/analytics/summary", None, self.person.token)[0] == 200:
                self.channel.acknowledge("read")
        except OSError:
            pass
