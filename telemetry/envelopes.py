"""The envelope in which a dispenser sends its journal, over HTTP and MQTT alike (iot.md 2). Pure.

Decoded by msgspec: a serializer would cost more than all the rest of taking an event.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, NotRequired, TypedDict, Union
from uuid import UUID

import msgspec
from msgspec import Meta

from telemetry.events import DeviceClock, JournalEvent, Sent
from telemetry.outcomes import Outcome
from zinzino import clock
from zinzino.api import parsers
from zinzino.api.parsers import UNSTORABLE, unstorable

MAX_EVENTS = 500
MAX_MESSAGE = 300
MAX_BIGINT = 2**63 - 1
# 1970 to 9000; an unset clock is dealt with where times are judged.
MAX_EPOCH_MS = 221_845_392_000_000

Count = Annotated[int, Meta(ge=0, le=MAX_BIGINT)]
EpochMs = Annotated[int, Meta(ge=0, le=MAX_EPOCH_MS)]
Percent = Annotated[int, Meta(ge=0, le=100)]
Amount = Annotated[float, Meta(ge=0, le=100_000)]
Unit = Literal["ml", "IU", "capsule", "drop"]
Name = Annotated[str, Meta(max_length=50)]


class State(TypedDict):
    cup_placed: bool
    sensor_reading: NotRequired[Annotated[float, Meta(ge=0, le=999.99)] | None]


class Dose(TypedDict):
    outcome: Outcome
    dispense_id: NotRequired[UUID | None]
    slot: NotRequired[Name | None]
    amount: NotRequired[Amount | None]
    unit: NotRequired[Unit | None]


class Sample(TypedDict):
    battery_level: NotRequired[Percent | None]
    supplement_level: NotRequired[Percent | None]
    rssi: NotRequired[Annotated[int, Meta(ge=-200, le=0)] | None]


class Alarm(TypedDict):
    code: Name
    severity: Literal["info", "warning", "error", "critical"]


class Log(TypedDict):
    level: Literal["debug", "info", "warning", "error"]
    code: NotRequired[Name | None]
    message: Annotated[str, Meta(max_length=1000)]


class Refill(TypedDict):
    level: NotRequired[Percent | None]
    amount: NotRequired[Amount | None]
    unit: NotRequired[Unit | None]
    lot: NotRequired[Name | None]


class Purge(TypedDict):
    """Stock that left without being a dose: the tube was rinsed, a bottle emptied."""

    amount: Amount
    unit: Unit


KINDS: dict[str, Any] = {
    "state": State,
    "dose": Dose,
    "sample": Sample,
    "alarm": Alarm,
    "log": Log,
    "refill": Refill,
    "purge": Purge,
}


class Envelope(msgspec.Struct):
    """What stands around the events; they are read one by one, so that a bad one is rejected alone."""

    ev: Annotated[list[Any], Meta(max_length=MAX_EVENTS)]
    v: Literal[1] = 1
    boot: Count | None = None
    first: Count | None = None
    sent: EpochMs | None = None
    up: EpochMs | None = None
    clk: DeviceClock = DeviceClock.OK

    @property
    def origin(self) -> Sent:
        at = None if self.sent is None else clock.from_epoch_ms(self.sent)
        return Sent(at=at, boot=self.boot, up=self.up, clock=self.clk)


class Line(msgspec.Struct):
    id: UUID
    boot: Count
    seq: Count
    k: str
    ts: EpochMs | None = None
    up: EpochMs | None = None
    d: dict[str, Any] = {}


class ExactLine(msgspec.Struct, tag_field="k", forbid_unknown_fields=True, kw_only=True):
    """A line of one kind, which says what `d` is."""

    id: UUID
    boot: Count
    seq: Count
    d: Any
    ts: EpochMs | None = None
    up: EpochMs | None = None

    @property
    def event(self) -> JournalEvent:
        """Raises ValueError for what only `read_event` can explain."""
        kind = str(self.__struct_config__.tag)
        if kind in CHECKED and CHECKED[kind](self.d):
            raise ValueError(kind)
        at = None if self.ts is None else clock.from_epoch_ms(self.ts)
        return JournalEvent(id=self.id, kind=kind, data=self.d, at=at, boot=self.boot, seq=self.seq, up=self.up)


def exact_line(kind: str, form: Any) -> Any:
    return msgspec.defstruct(kind, [("d", form)], bases=(ExactLine,), tag=kind, kw_only=True)


# An envelope without a fault, decoded in one step.
_LINES: Any = Union[tuple(exact_line(kind, form) for kind, form in KINDS.items())]  # noqa: UP007 - of what is made here
EXACT: Any = msgspec.json.Decoder(
    msgspec.defstruct(
        "ExactEnvelope",
        [("ev", Annotated[list[_LINES], Meta(max_length=MAX_EVENTS)])],
        bases=(Envelope,),
        forbid_unknown_fields=True,
        kw_only=True,
    )
)


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that no retry will make readable; it is kept as a dead letter."""

    raw: Any
    code: str
    message: str
    id: UUID | None = None
    boot: int | None = None
    seq: int | None = None


class Batch(msgspec.Struct, frozen=True):
    """One envelope, as far as it could be read."""

    events: list[JournalEvent]
    rejected: list[Rejected]
    sent: Sent
    first: int | None = None

    @property
    def boot(self) -> int | None:
        """The boot that is acknowledged: that of its events; the oldest, should a dispenser mix them."""
        return min(self.numbers, default=self.sent.boot)

    @property
    def numbers(self) -> dict[int, list[int]]:
        """The sequence numbers of all its events by boot, also of those that were rejected."""
        found: dict[int, list[int]] = {}
        lines: list[JournalEvent | Rejected] = [*self.events, *self.rejected]
        for each in lines:
            if each.boot is not None and each.seq is not None:
                found.setdefault(each.boot, []).append(each.seq)
        return found


class UnreadableEnvelope(Exception):
    """No event can be found in what came; `field` is where the reading ended."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.message, self.field = message, field


def read_bytes(payload: bytes) -> Batch:
    """The same as `read` of the JSON in `payload`; in one step where all of it is as it should be.

    Raises UnreadableEnvelope, UnreadableBody.
    """
    # A text that cannot be stored comes escaped.
    if b"\\u" not in payload:
        with suppress(msgspec.MsgspecError, ValueError, RecursionError):
            envelope = EXACT.decode(payload)
            return Batch([line.event for line in envelope.ev], [], envelope.origin, envelope.first)
    return read(parsers.loads(payload, storable=False))


def read(body: Mapping[str, Any]) -> Batch:
    """Raises UnreadableEnvelope."""
    try:
        envelope = converted(body, Envelope)
    except msgspec.ValidationError as error:
        raise UnreadableEnvelope(*located(error)) from error
    events: list[JournalEvent] = []
    rejected: list[Rejected] = []
    for raw in envelope.ev:
        event = read_event(raw)
        if isinstance(event, Rejected):
            rejected.append(event)
        else:
            events.append(event)
    return Batch(events, rejected, envelope.origin, envelope.first)


def read_event(raw: Any) -> JournalEvent | Rejected:
    try:
        line = converted(raw, Line)
    except msgspec.ValidationError as error:
        return refused(raw, "VALIDATION_ERROR", str(error))
    if bad := next(unstorable(line.d), None):
        return refused(raw, "VALIDATION_ERROR", f"characters that cannot be stored, in d.{bad}")
    if line.k not in KINDS:
        return refused(raw, "UNKNOWN_KIND", "no such kind of event")
    try:
        data: dict[str, Any] = converted(line.d, KINDS[line.k])
    except msgspec.ValidationError as error:
        return refused(raw, "VALIDATION_ERROR", str(error).replace("$", "$.d"))
    if line.k in CHECKED and (fault := CHECKED[line.k](data)):
        return refused(raw, "VALIDATION_ERROR", fault)
    at = None if line.ts is None else clock.from_epoch_ms(line.ts)
    return JournalEvent(id=line.id, kind=line.k, data=data, at=at, boot=line.boot, seq=line.seq, up=line.up)


def converted(value: Any, kind: Any) -> Any:
    """Raises msgspec.ValidationError, also for half a character, which it cannot quote."""
    try:
        return msgspec.convert(value, kind)
    except UnicodeEncodeError as error:
        raise msgspec.ValidationError("Expected text that can be stored") from error


def checked_dose(data: dict[str, Any]) -> str | None:
    """Amounts are exact from here on; a dose that came out had one."""
    if data.get("amount") is None:
        return None
    data["amount"] = Decimal(str(data["amount"])).quantize(Decimal("0.001"))
    if data["amount"] == 0 and data["outcome"] in {Outcome.DISPENSED, Outcome.PARTIAL}:
        return "must be above 0 for this outcome - at `$.d.amount`"
    return None


CHECKED: dict[str, Callable[[dict[str, Any]], str | None]] = {"dose": checked_dose}


def refused(raw: Any, code: str, message: str) -> Rejected:
    """Whatever of it can be read still names it, so that it is acknowledged."""
    known = raw if isinstance(raw, dict) else {}
    boot, seq = (whole(known.get(name)) for name in ("boot", "seq"))
    return Rejected(raw, code, sayable(message), uuid_of(known.get("id")), boot, seq)


def sayable(message: str) -> str:
    """The message quotes what was sent, which may be nothing that can be stored or sent back."""
    return UNSTORABLE.sub("?", message)[:MAX_MESSAGE]


def uuid_of(value: Any) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def whole(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= MAX_BIGINT else None


def located(error: msgspec.ValidationError) -> tuple[str, str]:
    """msgspec's message, and the field that it speaks of."""
    message, _, place = str(error).partition(" - at `$.")
    if missing := re.search(r"missing required field `(\w+)`", message):
        return message, missing[1]
    return message, place.rstrip("`").partition("[")[0] or "ev"
