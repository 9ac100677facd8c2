"""What phones and dispensers ask for in a day, and what they write down of it."""

import io
import random
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from PIL import Image

from deploy.cluster.ledger import Channel
from telemetry.simulation.fleet import Simulated
from tests.soak.people import Household
from tests.soak.wire import Ask

# How often each comes, of a hundred. The kinds of `tests.soak.units` are played by units that keep a journal.
HTTP = {
    "GET /devices": 8,
    "GET /devices/:id": 4,
    "GET /states": 7,
    "GET /notifications": 6,
    "GET /activities": 6,
    "GET /analytics/summary": 2,
    "POST /sync/delta": 12,
    "POST /sync/delta, with changes": 6,
    "POST /activities": 8,
    "PUT /devices/:id": 2,
    "PUT /devices/:id/plan": 2,
    "POST /profile/picture": 1,
    "POST /states/:id": 14,
    "PATCH /devices/:id/status": 10,
}
JOURNALS = {"journal, HTTP": 4, "journal, MQTT": 8}
WEIGHTS = HTTP | JOURNALS
PHOTOS = 8
PHOTOGRAPHERS = 200
EVERY_DAY = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


@dataclass
class Register:
    """What was written last, where a later write replaces the one before: values in the order of their sending."""

    sent: dict[str, list[Any]] = field(default_factory=dict)
    acknowledged: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def attempt(self, key: str, value: Any) -> int:
        with self.lock:
            values = self.sent.setdefault(key, [])
            values.append(value)
            return len(values) - 1

    def acknowledge(self, key: str, number: int) -> None:
        with self.lock:
            self.acknowledged[key] = max(number, self.acknowledged.get(key, -1))


@dataclass
class Books:
    """What was acknowledged, by what it is looked up by afterwards."""

    notes: Channel = field(default_factory=lambda: Channel("notes, by Idempotency-Key"))
    changes: Channel = field(default_factory=lambda: Channel("offline changes, by mutation_id"))
    entries: Channel = field(default_factory=lambda: Channel("lines written offline, by id"))
    cups: Channel = field(default_factory=lambda: Channel("cups, by request_id"))
    doses: Channel = field(default_factory=lambda: Channel("doses that were allowed"))
    plans: Channel = field(default_factory=lambda: Channel("edits of plans, by version"))
    names: Register = field(default_factory=Register)
    batteries: Register = field(default_factory=Register)
    slots: Register = field(default_factory=Register)
    pictures: Register = field(default_factory=Register)


class Day:
    """Requests of each kind, of one household after the other. Any thread may ask."""

    def __init__(self, homes: Sequence[Household], *, seed: int) -> None:
        self.homes, self.books = homes, Books()
        self.dice = random.Random(seed)  # noqa: S311
        self.lock = threading.Lock()
        self.people = cycle(homes)
        self.photographers = cycle(homes[:PHOTOGRAPHERS])
        units = [(home, unit) for home in homes for unit in home.devices]
        self.cups, self.levels, self.named = cycle(units), cycle(units), cycle(units)
        # Of those who are not reminded: a plan's slots move reminders.
        self.planned = cycle([(home, unit) for home, unit in units if home.reminded_at is None])
        self.counts: dict[str, int] = {}
        self.photos = [photo(number) for number in range(PHOTOS)]
        self.makers: dict[str, Callable[[str], Ask]] = {
            "POST /sync/delta": self.delta,
            "POST /sync/delta, with changes": self.change,
            "POST /activities": self.note,
            "PUT /devices/:id": self.name,
            "PUT /devices/:id/plan": self.plan,
            "POST /profile/picture": self.picture,
            "POST /states/:id": self.cup,
            "PATCH /devices/:id/status": self.level,
        }

    def ask(self, kind: str) -> Ask:
        with self.lock:
            return self.makers.get(kind, self.look)(kind)

    def times(self, key: str) -> int:
        self.counts[key] = self.counts.get(key, 0) + 1
        return self.counts[key]

    # --- phones ---------------------------------------------------------------------------------

    def look(self, kind: str) -> Ask:
        home = next(self.people)
        device = str(self.dice.choice(home.devices).id)
        return Ask(kind, "GET", kind.removeprefix("GET ").replace(":id", device), home.token)

    def delta(self, kind: str) -> Ask:
        home = next(self.people)
        body = {"last_sync": home.last_sync, "client_id": home.client_id}
        return Ask(kind, "POST", "/sync/delta", home.token, body, ok=lambda data: moved_on(home, data))

    def change(self, kind: str) -> Ask:
        """An entry of the log and a place of a dispenser, made while the phone was away."""
        home, entry = next(self.people), str(uuid.uuid4())
        mutations = [str(uuid.uuid4()), str(uuid.uuid4())]
        changes = [
            {"mutation_id": mutations[0], "entity": "activity_log", "op": "create", "id": entry}
            | {"fields": {"action": "note", "metadata": {"offline": entry}}},
            {"mutation_id": mutations[1], "entity": "device", "op": "update", "id": str(home.devices[0].id)}
            | {"fields": {"location": f"Mutfak {self.times('place')}"}},
        ]
        for mutation in mutations:
            self.books.changes.attempt(mutation)
        self.books.entries.attempt(entry)

        def heard(data: Any) -> None:
            ended = {each["mutation_id"] for name in ("applied", "conflicts", "rejected") for each in data[name]}
            self.books.changes.acknowledge(*(mutation for mutation in mutations if mutation in ended))
            if mutations[0] in {each["mutation_id"] for each in data["applied"]}:
                self.books.entries.acknowledge(entry)

        body = {"last_sync": home.last_sync, "client_id": home.client_id, "changes": changes}
        return Ask(kind, "POST", "/sync/delta", home.token, body, ok=heard, again=True)

    def note(self, kind: str) -> Ask:
        key = str(uuid.uuid4())
        self.books.notes.attempt(key)
        body = {"action": "note", "metadata": {"soak": key}}
        return Ask(
            kind,
            "POST",
            "/activities",
            next(self.people).token,
            body,
            headers={"Idempotency-Key": key},
            ok=lambda _data: self.books.notes.acknowledge(key),
            again=True,
        )

    def name(self, kind: str) -> Ask:
        home, unit = next(self.named)
        value = f"Dispenser {self.times('name')}"
        heard = written(self.books.names, str(unit.id), value)
        return Ask(kind, "PUT", f"/devices/{unit.id}", home.token, {"device_name": value}, ok=heard, again=True)

    def plan(self, kind: str) -> Ask:
        home, unit = next(self.planned)
        number = self.times(f"plan {unit.id}")
        key, at = f"{unit.id} {number}", f"{number % 24:02}:{self.dice.randrange(60):02}"
        self.books.plans.attempt(key)
        heard = written(self.books.slots, str(unit.id), at)

        def taken(data: Any) -> None:
            self.books.plans.acknowledge(key)
            heard(data)

        body = {"slots": [{"local_time": at, "days": EVERY_DAY, "before_min": 30, "after_min": 240}]}
        return Ask(kind, "PUT", f"/devices/{unit.id}/plan", home.token, body, ok=taken, again=True)

    def picture(self, kind: str) -> Ask:
        home = next(self.photographers)
        heard = written(self.books.pictures, home.user_id, "")
        photo = self.dice.choice(self.photos)
        return Ask(kind, "POST", "/profile/picture", home.token, file=photo, ok=heard, again=True)

    # --- dispensers -----------------------------------------------------------------------------

    def cup(self, kind: str) -> Ask:
        _, unit = next(self.cups)
        key, placed = str(uuid.uuid4()), self.times(f"cup {unit.id}") % 2 == 1
        self.books.cups.attempt(key)

        def heard(data: Any) -> None:
            self.books.cups.acknowledge(key)
            if data["should_dispense"]:
                self.books.doses.attempt(data["dispense_id"])
                self.books.doses.acknowledge(data["dispense_id"])

        body = {"cup_placed": placed, "request_id": key, "sensor_reading": 0.85}
        return Ask(kind, "POST", f"/states/{unit.id}", unit.token, body, ok=heard, again=True)

    def level(self, kind: str) -> Ask:
        _, unit = next(self.levels)
        value = battery(self.times(f"level {unit.id}"), unit)
        heard = written(self.books.batteries, str(unit.id), value)
        body = {"battery_level": value, "firmware_version": "1.4.2"}
        return Ask(kind, "PATCH", f"/devices/{unit.id}/status", unit.token, body, ok=heard, again=True)


def moved_on(home: Household, data: Any) -> None:
    home.last_sync = max(home.last_sync, data["sync_timestamp"])


def written(register: Register, key: str, value: Any) -> Callable[[Any], None]:
    number = register.attempt(key, value)
    return lambda _data: register.acknowledge(key, number)


def battery(times: int, unit: Simulated) -> int:
    """Never the same twice in a row, and now and then low enough to be told."""
    return 15 if (unit.id.int + times) % 20 == 0 else 30 + times * 7 % 60


def photo(number: int) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((400, 300), 40 + number).convert("RGB").save(out, "JPEG")
    return out.getvalue()


def entries(books: Books) -> Iterator[Channel]:
    yield from (books.notes, books.changes, books.entries, books.cups, books.doses, books.plans)
