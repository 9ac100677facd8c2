"""What an event's own time is worth (api.md 4). Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum, StrEnum
from typing import Any
from uuid import UUID

import msgspec

from telemetry.models import TimeQuality
from zinzino.clock import ONE_MS, epoch_ms

AHEAD_TOLERATED = timedelta(minutes=5)
LIVE_FOR = timedelta(seconds=60)
# No dispenser is older than this; an earlier time is an unset clock.
EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)
# A unit may have been tried out before its owner added it.
BEFORE_REGISTRATION = timedelta(days=1)


class Timing(Enum):
    LIVE = "live"
    LATE = "late"
    UNTRUSTED = "untrusted"


class Trigger(StrEnum):
    """What made the dispenser ask."""

    CUP = "cup"
    BUTTON = "button"
    COMMAND = "command"


class DeviceClock(StrEnum):
    """What a dispenser says of its own clock."""

    OK = "ok"
    ESTIMATED = "est"
    NONE = "none"


# Structs, as all that is made of every event: a frozen dataclass takes ten times as long to make.
class Sent(msgspec.Struct, frozen=True):
    """When and by which boot something was sent, by the dispenser's own clock and uptime (milliseconds)."""

    at: datetime | None = None
    boot: int | None = None
    up: int | None = None
    clock: DeviceClock = DeviceClock.OK


class JournalEvent(msgspec.Struct, frozen=True):
    """One line of a dispenser's journal (iot.md 2); `data` is valid for its kind. Made in great numbers."""

    id: UUID
    kind: str
    data: Mapping[str, Any]
    at: datetime | None = None
    boot: int | None = None
    seq: int = 0
    up: int | None = None

    @property
    def key(self) -> str:
        return event_key(self.id)


def event_key(event_id: UUID) -> str:
    """Confirmations and events of the journal share one space of ids (iot.md 2)."""
    return f"event:{event_id}"


def corrected(
    event: JournalEvent, sent: Sent, *, received: datetime, registered: datetime
) -> tuple[datetime, TimeQuality]:
    """When an event really happened (iot.md 2): by uptime within one boot, else by the dispenser's
    clock and how far that is off, else when we heard of it; never before the dispenser was ours."""
    try:
        at, quality = _claimed(event, sent, received)
    except OverflowError:  # clocks thousands of years apart: neither is worth anything
        return received, TimeQuality.UNKNOWN
    earliest = registered - BEFORE_REGISTRATION
    if not earliest <= at <= received:
        return min(max(at, earliest), received), TimeQuality.CLAMPED
    return at, quality


def _claimed(event: JournalEvent, sent: Sent, received: datetime) -> tuple[datetime, TimeQuality]:
    own = event.at if sent.clock is not DeviceClock.NONE else None
    if sent.boot is not None and event.boot == sent.boot and sent.up is not None and event.up is not None:
        at = received - timedelta(milliseconds=sent.up - event.up)
    elif own is not None and sent.at is not None:
        at = own + (received - sent.at)
    else:
        return received, TimeQuality.UNKNOWN
    right = own is not None and abs(at - own) <= LIVE_FOR
    return at, TimeQuality.OK if right else TimeQuality.CORRECTED


class Reading(msgspec.Struct, frozen=True):
    """One report of a cup, as the dispenser sent it."""

    cup_placed: bool
    sensor_reading: float | None = None
    timestamp: datetime | None = None
    request_id: UUID | None = None
    # The cup still stands and the dispenser asks again: no new state.
    repeat: bool = False
    trigger: Trigger = Trigger.CUP
    # Whether this dispenser will say how the dose went (iot.md 1, full protocol).
    confirms: bool = False
    # What it has not reported yet; taken before the decision.
    unsynced: Sequence[JournalEvent] = ()
    sent: Sent = Sent()

    @property
    def keys(self) -> list[str]:
        """The names under which this event is the same as one before; one that the server times has none."""
        kind = "repeat" if self.repeat else "state"
        by_time = [f"{kind}:{epoch_ms(self.timestamp)}:{self.cup_placed:d}"] if self.timestamp else []
        by_request = [f"request:{self.request_id}"] if self.request_id else []
        return by_request + by_time


def timed(
    reading: Reading, *, newest: datetime | None, follows: datetime | None, now: datetime
) -> tuple[datetime, Timing]:
    """The time to store the event under, and whether it may still cause a dose.

    `newest` is the time of the newest event before it by the dispenser's own clock, which says what came first;
    `follows` the time that is stored of it, which may have been corrected.
    """
    claimed = reading.timestamp
    if claimed is None:
        return now, Timing.LIVE
    if claimed > now + AHEAD_TOLERATED or claimed < EARLIEST:
        return now, Timing.UNTRUSTED
    if now - claimed > LIVE_FOR or (newest is not None and claimed < newest):
        return min(claimed, now), Timing.LATE
    follows = follows + ONE_MS if follows is not None and claimed < follows else claimed
    return min(follows, now), Timing.LIVE
