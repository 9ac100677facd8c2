"""A dispenser of the simple protocol: it reports cups and levels, and pours on a fresh yes."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from zinzino import clock
from zinzino.demo.wire import Answer, Wire

MOST_TRIES = 5
LEVELS = ("battery_level", "supplement_level")
# What one dose of each type looks like in an answer: `dispense_amount`, `dose.volume_ul`.
DOSES = {
    "fish_oil": ("5ml", 5000),
    "krill_oil": ("3ml", 3000),
    "vegan": ("5ml", 5000),
    "vitamin_d": ("1000IU", None),
}


@dataclass
class Dispenser:
    wire: Wire
    described: dict[str, Any]
    id: str = ""
    token: str = ""
    # Its own record: what it poured, by the server's name of the dose.
    poured: dict[str, str] = field(default_factory=dict)
    # Doses that the server allowed, but whose yes never arrived while it was good.
    missed: set[str] = field(default_factory=set)
    # The last cup and the levels that it reported, and when.
    placed: bool | None = None
    reported: dict[str, int] = field(default_factory=dict)
    # What the server's clock shows less what ours shows.
    offset: timedelta = timedelta()
    last_sent: datetime = clock.EPOCH

    @property
    def path(self) -> str:
        return f"/devices/{self.id}"

    @property
    def dose(self) -> str:
        return DOSES[self.described["device_type"]][0]

    def now(self) -> datetime:
        """By the server's clock as far as it is known, and never the same twice."""
        by_server = clock.floor_ms(datetime.now(UTC) + self.offset)
        self.last_sent = max(by_server, self.last_sent + clock.ONE_MS)
        return self.last_sent

    def send(self, method: str, path: str, body: Any) -> Answer:
        answer = self.wire.send(method, path, body, token=self.token)
        if (server_ms := answer.field("server_ms")) is not None:
            self.offset = clock.from_epoch_ms(server_ms) - datetime.now(UTC)
        return answer

    def status(self, **levels: Any) -> Answer:
        self.reported |= {name: value for name, value in levels.items() if name in LEVELS}
        return self.send("PATCH", f"{self.path}/status", levels)

    def place(self, **more: Any) -> Answer:
        """A cup is put under the spout."""
        self.placed = True
        return self.event(self.reading(cup_placed=True, **more))

    def remove(self, **more: Any) -> Answer:
        self.placed = False
        return self.event(self.reading(cup_placed=False, **more))

    def reading(self, *, cup_placed: bool, at: datetime | None = None, **more: Any) -> dict[str, Any]:
        weight = round(self.wire.dice.uniform(80, 120) if cup_placed else 0.0, 2)
        timestamp = clock.iso(at or self.now())
        return {"cup_placed": cup_placed, "timestamp": timestamp, "sensor_reading": weight} | more

    def event(self, reading: dict[str, Any]) -> Answer:
        """Report a reading, or the same one again, and do what the answer says."""
        answer = self.send("POST", f"/states/{self.id}", reading)
        dispense_id = answer.field("dispense_id")
        if dispense_id and dispense_id not in self.poured:
            if is_fresh(answer):
                self.poured[dispense_id] = answer.field("dispense_amount")
                self.missed.discard(dispense_id)
            else:
                self.missed.add(dispense_id)
        return answer

    def fill(self) -> tuple[dict[str, Any], Answer]:
        """The reading that got the cup filled, and the answer. When an outage has made the reading too
        old, a person lifts the cup and puts it back, a few times."""
        for tries_left in reversed(range(MOST_TRIES)):
            self.placed = True
            reading = self.reading(cup_placed=True)
            answer = self.event(reading)
            if not (tries_left and answer.retries and answer.field("reason") == "event_too_old"):
                break
            self.remove()
        return reading, answer


def is_fresh(answer: Answer) -> bool:
    """A yes that has not expired on its way to us."""
    if answer.field("should_dispense") is not True or not answer.field("expires_at"):
        return False
    left = datetime.fromisoformat(answer.field("expires_at")) - clock.from_epoch_ms(answer.field("server_ms"))
    return left.total_seconds() > answer.elapsed_s
