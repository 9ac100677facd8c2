"""One dispenser as docs/device-protocol.md wants it, on a line that fails.

`Flash` outlives a power cut, the rest does not. What it really did stands in `Diary`, which no fault touches.
"""

import asyncio
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from telemetry.simulation.faults import Faults
from telemetry.simulation.fleet import Simulated

Json = dict[str, Any]
POUR_WITHIN_S = 60.0
START_WITHIN_S = 20.0
ANSWER_WITHIN_S = 10.0
MOST_EVENTS = 100
CARRIED = 20
MOST_SKEW_MS = 20 * 60_000


class Line(Protocol):
    """How a unit speaks with the server. Each call gives the answer, or None where none came."""

    async def connect(self, boot: int, conn: int) -> None: ...
    async def leave(self) -> None: ...
    async def hello(self, body: Json) -> Json | None: ...
    async def beat(self, body: Json) -> None: ...
    async def ask(self, body: Json) -> Json | None: ...
    async def upload(self, envelope: Json) -> Json | None: ...


class PowerCut(Exception):
    """Somebody pulled the plug."""


@dataclass
class Flash:
    boot: int = 0
    journal: dict[str, Json] = field(default_factory=dict)
    poured: set[str] = field(default_factory=set)
    running: str = ""


@dataclass
class Diary:
    """What really happened, for the verdict."""

    noted: list[str] = field(default_factory=list)
    states: set[str] = field(default_factory=set)
    # The names of the doses that came out, in order.
    poured: list[str] = field(default_factory=list)
    allowed: set[str] = field(default_factory=set)
    asked: int = 0
    unanswered: int = 0
    reboots: int = 0
    decisions_ms: list[float] = field(default_factory=list)
    acks_ms: list[float] = field(default_factory=list)


class Unit:
    def __init__(self, made: Simulated, line: Line, faults: Faults, *, pace_s: float) -> None:
        self.made, self.line, self.faults, self.pace_s = made, line, faults, pace_s
        self.flash, self.diary = Flash(), Diary()
        self.clock_off_ms = 0
        if faults.happens("skew"):
            self.clock_off_ms = faults.dice.randint(-MOST_SKEW_MS, MOST_SKEW_MS)
        self.seq, self.conn, self.cup, self.booted_at = 0, 0, False, 0.0

    async def start(self) -> None:
        await asyncio.sleep(self.faults.dice.uniform(0, min(self.pace_s, START_WITHIN_S)))
        await self.boot()

    async def live(self, until: float) -> None:
        """Until that moment of the monotonic clock."""
        while time.monotonic() < until:
            await asyncio.sleep(min(self.faults.dice.expovariate(1 / self.pace_s), until - time.monotonic()))
            try:
                await self.something()
            except PowerCut:
                self.diary.reboots += 1
                await self.line.leave()
                await self.boot()

    async def finish(self, until: float) -> None:
        """Bring in all of the journal, as often as it takes."""
        while self.flash.journal and time.monotonic() < until:
            await self.sync()

    async def boot(self) -> None:
        self.flash.boot += 1
        self.seq, self.conn, self.cup, self.booted_at = 0, 0, False, time.monotonic()
        if self.flash.running:
            self.note("dose", dispense_id=self.flash.running, outcome="unknown")
            self.flash.running = ""
        await self.connect()

    async def connect(self) -> None:
        self.conn += 1
        await self.line.connect(self.flash.boot, self.conn)
        said = {"boot": self.flash.boot, "conn": self.conn, "unsynced": len(self.flash.journal)}
        await self.line.hello(said | {"firmware_version": "1.0.0", "battery_level": 80, "supplement_level": 70})

    async def something(self) -> None:
        dice = self.faults.dice.random()
        if self.faults.happens("offline"):
            await self.line.leave()
            await self.cup_away()
            await asyncio.sleep(self.faults.dice.uniform(1, 10))
            await self.connect()
        elif dice < 0.5:
            await self.serve_cup()
        elif dice < 0.8:
            self.note("sample", battery_level=80, supplement_level=70, rssi=-60)
            await self.sync()
        else:
            await self.line.beat({"battery_level": 80, "boot": self.flash.boot, "conn": self.conn})
        if self.faults.happens("reboot"):
            raise PowerCut

    # --- a cup ----------------------------------------------------------------------------------

    async def serve_cup(self) -> None:
        self.cup = True
        told = await self.ask(str(uuid.uuid4()))
        if told and told["should_dispense"]:
            await self.pour(told)
        await self.cup_away()
        await self.sync()

    async def cup_away(self) -> None:
        self.cup = False
        event = self.note("state", cup_placed=False)
        self.diary.states.add(event["id"])

    async def ask(self, request_id: str) -> Json | None:
        """The same request again for at most a minute."""
        self.first_sent = time.monotonic()
        self.diary.asked += 1
        while (waited := time.monotonic() - self.first_sent) < POUR_WITHIN_S:
            body = {
                "request_id": request_id,
                "cup_placed": True,
                "ts": self.now_ms() - int(waited * 1000),
                "clk": "none" if self.clock_off_ms else "ok",
                "boot": self.flash.boot,
                "up": self.up_ms(),
                "unsynced": self.batch()[:CARRIED],
            }
            times = 2 if self.faults.happens("parallel") else 1
            started = time.monotonic()
            for told in await asyncio.gather(*(self.line.ask(body) for _ in range(times))):
                if told is not None:
                    self.diary.decisions_ms.append((time.monotonic() - started) * 1000)
                    return dict(told)
        self.diary.unanswered += 1
        return None

    async def pour(self, told: Json) -> None:
        name = told["dispense_id"]
        self.diary.allowed.add(name)
        too_late = time.monotonic() - self.first_sent >= POUR_WITHIN_S
        if name in self.flash.poured or too_late or not self.cup:
            return
        if self.faults.happens("reboot"):
            raise PowerCut
        self.flash.poured.add(name)
        self.flash.running = name
        if self.faults.happens("reboot"):
            raise PowerCut
        self.diary.poured.append(name)
        if self.faults.happens("reboot"):
            raise PowerCut
        dose = told["dose"]
        self.note("dose", dispense_id=name, outcome="dispensed", amount=dose["amount"], unit=dose["unit"])
        self.flash.running = ""

    # --- the journal ----------------------------------------------------------------------------

    def note(self, kind: str, **data: Any) -> Json:
        self.seq += 1
        event: Json = {
            "id": str(uuid.uuid4()),
            "boot": self.flash.boot,
            "seq": self.seq,
            "ts": self.now_ms(),
            "up": self.up_ms(),
            "k": kind,
            "d": data,
        }
        self.flash.journal[event["id"]] = event
        self.diary.noted.append(event["id"])
        return event

    def batch(self) -> list[Json]:
        """Of the oldest boot."""
        events = list(self.flash.journal.values())
        return [event for event in events if event["boot"] == events[0]["boot"]][:MOST_EVENTS]

    async def sync(self) -> None:
        events = self.batch()
        if not events:
            return
        envelope = {
            "v": 1,
            "boot": self.flash.boot,
            "first": events[0]["seq"],
            "sent": self.now_ms(),
            "up": self.up_ms(),
            "clk": "ok",
            "ev": events,
        }
        started = time.monotonic()
        acked = await self.line.upload(envelope)
        if acked and acked["boot"] == events[0]["boot"]:
            self.diary.acks_ms.append((time.monotonic() - started) * 1000)
            self.forget(acked)

    def forget(self, acked: Json) -> None:
        """What `down/ack` names has left the flash for ever."""
        safe = list(self.acknowledged(acked))
        for name in safe:
            del self.flash.journal[name]

    def acknowledged(self, acked: Json) -> Iterator[str]:
        for name, event in self.flash.journal.items():
            if event["boot"] == acked["boot"] and event["seq"] <= acked["seq"]:
                yield name

    def now_ms(self) -> int:
        return int(time.time() * 1000) + self.clock_off_ms

    def up_ms(self) -> int:
        return int((time.monotonic() - self.booted_at) * 1000)


async def ended(*units: Unit) -> None:
    for unit in units:
        with suppress(OSError):
            await unit.line.leave()
