"""Dispensers as firmware engineers would build them, on a line that loses and doubles what it carries.

`Journalled` keeps the duties of iot.md 1: it writes a dose to its flash before the motor runs, never
runs one twice, pours within a minute of its first asking, and reports until it is heard.
`Plain` has no journal: it repeats its last event until it is answered, also after a restart, and pours
on every yes. A restart takes it more than a minute.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, TypeVar

from devices import plans
from devices.credentials import DeviceCaller
from devices.plans import Plan
from telemetry import dispensing, family, ingest, journals, services, settlement
from telemetry.envelopes import Batch
from telemetry.events import JournalEvent, Reading, Sent
from telemetry.outcomes import Outcome, Report
from telemetry.services import Answer
from zinzino.api.errors import ApiError

T = TypeVar("T")
ASKS_FOR = timedelta(seconds=60)


class Fate(Enum):
    """What the line does to one exchange."""

    ARRIVES = "arrives"
    REQUEST_LOST = "request lost"
    ANSWER_LOST = "answer lost"
    TWICE = "twice"


class Course(Enum):
    """What happens to a dispenser that was told to pour."""

    POURS = "pours"
    HALF = "pours half"
    JAMS = "jams before a drop came"
    FAILS = "fails, nobody knows how much came"
    DIES_BEFORE = "restarts before it noted the dose"
    DIES_UPON = "restarts after it noted the dose, before a drop came"
    DIES_AFTER = "restarts after the dose, before it noted how it went"


@dataclass(frozen=True)
class Pour:
    """Something that really came out."""

    device_id: uuid.UUID
    family: str
    authorized_at: datetime
    dispense_id: uuid.UUID
    plan: Plan
    # A dose that the server was not asked for; it counts once the server has heard of it.
    unasked: bool = False
    by_hand: bool = False
    # The unasked doses that the server had heard of when it said yes; a yes that has arrived cannot be recalled.
    known: tuple["Pour", ...] = ()


@dataclass
class World:
    now: datetime
    pours: list[Pour] = field(default_factory=list)
    heard_of: set[uuid.UUID] = field(default_factory=set)

    def heard(self) -> tuple[Pour, ...]:
        return tuple(each for each in self.pours if each.unasked and each.dispense_id in self.heard_of)

    def send(self, call: Callable[[], T], fate: Fate) -> T | None:
        if fate is Fate.REQUEST_LOST:
            return None
        answer = call()
        if fate is Fate.TWICE:
            answer = call()
        return None if fate is Fate.ANSWER_LOST else answer


@dataclass
class Dispenser:
    world: World
    caller: DeviceCaller
    skew: timedelta
    cup: bool = False

    @property
    def clock(self) -> datetime:
        return self.world.now + self.skew

    @property
    def family(self) -> str:
        return plans.family_of(self.caller.device_type)

    def tell_removed(self, fate: Fate) -> None:
        """A removal that is not heard of leaves the server believing that the cup stands: it fails closed."""
        reading = Reading(cup_placed=False, timestamp=self.clock)
        self.world.send(lambda: services.report_state(self.caller, reading, now=self.world.now), fate)

    def pour(self, answer: Answer, *, known: tuple[Pour, ...]) -> None:
        assert answer.dispense_id
        assert answer.expires_at
        at = answer.expires_at - dispensing.VALID_FOR
        pour = Pour(self.caller.id, self.family, at, answer.dispense_id, answer.plan, known=known)
        self.world.pours.append(pour)


@dataclass
class Asking:
    """A request that is not answered yet."""

    request_id: uuid.UUID
    since: datetime
    timestamp: datetime
    first: Answer | None = None


@dataclass
class Journalled(Dispenser):
    flash: set[uuid.UUID] = field(default_factory=set)
    journal: list[JournalEvent] = field(default_factory=list)
    seq: int = 0
    asking: Asking | None = None
    told: Answer | None = None
    known: tuple[Pour, ...] = ()

    def place(self) -> None:
        if not self.cup:
            self.cup = True
            self.asking = Asking(uuid.uuid4(), self.world.now, self.clock)
            self.told = None

    def remove(self, fate: Fate) -> None:
        if self.cup:
            self.cup, self.asking, self.told = False, None, None
            self.tell_removed(fate)

    def remove_unheard(self) -> None:
        """While it is offline: only its journal tells of it."""
        if self.cup:
            self.cup, self.asking, self.told = False, None, None
            self.write("state", {"cup_placed": False})

    def ask(self, fate: Fate, *, carry: bool) -> None:
        asking, now = self.asking, self.world.now
        if asking is None or now - asking.since >= ASKS_FOR:
            return
        reading = Reading(
            cup_placed=True,
            timestamp=asking.timestamp,
            request_id=asking.request_id,
            confirms=True,
            unsynced=list(self.journal) if carry else (),
            sent=Sent(at=self.clock),
        )
        if carry and fate is not Fate.REQUEST_LOST:
            self.world.heard_of |= {event.id for event in self.journal}
        answer = self.world.send(lambda: services.report_state(self.caller, reading, now=now), fate)
        if answer is None:
            return
        self.same_answer(asking, answer)
        if answer.should_dispense:
            self.told, self.known = answer, self.world.heard()

    def same_answer(self, asking: Asking, answer: Answer) -> None:
        """Whoever asks again is told the same, or that it is too late."""
        first = asking.first = asking.first or answer
        assert answer.dispense_id == first.dispense_id, "a request got two doses"
        assert answer.should_dispense <= first.should_dispense

    def obey(self, course: Course) -> None:
        told, asking = self.told, self.asking
        if told is None or asking is None:
            return
        self.told = None
        assert told.dispense_id
        in_time = self.world.now - asking.since < ASKS_FOR
        if not in_time or not self.cup or told.dispense_id in self.flash:
            return
        if course is Course.DIES_BEFORE:
            self.restart()
            return
        self.flash.add(told.dispense_id)
        if course not in {Course.JAMS, Course.DIES_UPON}:
            self.pour(told, known=self.known)
        self.note(told.dispense_id, course)
        if course in {Course.DIES_UPON, Course.DIES_AFTER}:
            self.restart()

    def note(self, dispense_id: uuid.UUID, course: Course) -> None:
        outcome, amount = REPORTED[course]
        self.write("dose", {"outcome": outcome, "amount": amount, "dispense_id": dispense_id})

    def write(self, kind: str, data: dict[str, Any]) -> uuid.UUID:
        self.seq += 1
        event = JournalEvent(id=uuid.uuid4(), kind=kind, data=data, at=self.clock, boot=1, seq=self.seq)
        self.journal.append(event)
        return event.id

    def restart(self) -> None:
        self.asking, self.told = None, None

    def pour_unasked(self) -> None:
        """By a button of its own, while it was offline."""
        event_id = self.write("dose", {"outcome": Outcome.DISPENSED, "amount": None, "dispense_id": None})
        plan = family_plan(self.caller, self.world.now)
        pour = Pour(self.caller.id, self.family, self.world.now, event_id, plan, unasked=True)
        self.world.pours.append(pour)

    def report(self, fate: Fate, *, as_event: bool) -> None:
        """The oldest line of the journal, until it is heard."""
        if not self.journal:
            return
        event = self.journal[0]
        if fate is not Fate.REQUEST_LOST:
            self.world.heard_of.add(event.id)
        by_event = as_event or event.data.get("dispense_id") is None
        if self.world.send(lambda: self.upload(event) if by_event else self.confirm(event), fate):
            self.journal.pop(0)

    def upload(self, event: JournalEvent) -> bool:
        batch = Batch([event], [], Sent(at=self.clock))
        journals.take([journals.Upload(self.caller.id, batch)], now=self.world.now)
        return True

    def confirm(self, event: JournalEvent) -> bool:
        report = Report(event.data["outcome"], event.data["amount"])
        try:
            settlement.confirm(
                self.caller,
                event.data["dispense_id"],
                report,
                unit=None,
                event_id=event.id,
                finished_at=None,
                now=self.world.now,
            )
        except ApiError as refused:
            raise AssertionError(f"a first report was refused: {refused}") from refused
        return True


REPORTED: dict[Course, tuple[Outcome, Decimal | None]] = {
    Course.POURS: (Outcome.DISPENSED, None),
    Course.HALF: (Outcome.PARTIAL, Decimal(2)),
    Course.JAMS: (Outcome.NOT_STARTED, Decimal(0)),
    Course.FAILS: (Outcome.FAILED, None),
    Course.DIES_UPON: (Outcome.UNKNOWN, None),
    Course.DIES_AFTER: (Outcome.UNKNOWN, None),
}


@dataclass
class Plain(Dispenser):
    # The event that it repeats until it is answered.
    event: Reading | None = None
    asleep_until: datetime | None = None

    def place(self) -> None:
        if not self.cup:
            self.cup = True
            self.event = Reading(cup_placed=True, timestamp=self.clock)

    def remove(self, fate: Fate) -> None:
        if self.cup:
            self.cup, self.event = False, None
            self.tell_removed(fate)

    def ask(self, fate: Fate, course: Course, *, boot_s: int) -> None:
        event, now = self.event, self.world.now
        if event is None or (self.asleep_until and now < self.asleep_until):
            return
        answer = self.world.send(lambda: services.report_state(self.caller, event, now=now), fate)
        if answer is None:
            return
        if not answer.should_dispense:
            self.event = None
            return
        if course in {Course.DIES_BEFORE, Course.DIES_UPON, Course.DIES_AFTER}:
            self.asleep_until = now + timedelta(seconds=boot_s)
        else:
            self.event = None
        if course not in {Course.JAMS, Course.DIES_BEFORE, Course.DIES_UPON}:
            self.pour(answer, known=self.world.heard())
        elif course is Course.JAMS:
            self.tell_jam(answer)

    def tell_jam(self, answer: Answer) -> None:
        report = {"dispense_id": answer.dispense_id, "outcome": Outcome.FAILED, "amount": Decimal(0)}
        ingest.last_dispense(self.caller, report, now=self.world.now)


def family_plan(caller: DeviceCaller, now: datetime) -> Plan:
    return family.look(family.lock(caller), keys=[], now=now).plan
