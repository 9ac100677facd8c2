"""What an event's own time is worth (api.md 4). Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from uuid import UUID

from zinzino.clock import epoch_ms

AHEAD_TOLERATED = timedelta(minutes=5)
LIVE_FOR = timedelta(seconds=60)
# No dispenser is older than this; an earlier time is an unset clock.
EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)


class Timing(Enum):
    LIVE = "live"
    LATE = "late"
    UNTRUSTED = "untrusted"


@dataclass(frozen=True, slots=True)
class Reading:
    """One report of a cup, as the dispenser sent it."""

    cup_placed: bool
    sensor_reading: float | None = None
    timestamp: datetime | None = None
    request_id: UUID | None = None
    # The cup still stands and the dispenser asks again: no new state.
    repeat: bool = False

    @property
    def keys(self) -> list[str]:
        """The names under which this event is the same as one before; one that the server times has none."""
        kind = "repeat" if self.repeat else "state"
        by_time = [f"{kind}:{epoch_ms(self.timestamp)}:{self.cup_placed:d}"] if self.timestamp else []
        by_request = [f"request:{self.request_id}"] if self.request_id else []
        return by_request + by_time


def timed(reading: Reading, *, newest: datetime | None, now: datetime) -> tuple[datetime, Timing]:
    """The time to store the event under, and whether it may still cause a dose."""
    claimed = reading.timestamp
    if claimed is None:
        return now, Timing.LIVE
    if claimed > now + AHEAD_TOLERATED or claimed < EARLIEST:
        return now, Timing.UNTRUSTED
    if now - claimed > LIVE_FOR or (newest is not None and claimed < newest):
        return min(claimed, now), Timing.LATE
    return min(claimed, now), Timing.LIVE
