"""The current state of a cup, and what an event makes of it. Pure."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import replace

from telemetry.events import Reading
from telemetry.sql import LockedDevice


class Cup(msgspec.Struct, frozen=True):
    """The current cup state of a device."""

    placed: bool
    sensor_reading: Decimal | float | None
    changed_at: datetime | None
    newest_event_at: datetime | None
    removed_at: datetime | None

    @property
    def columns(self) -> dict[str, Any]:
        return {
            "now_placed": self.placed,
            "now_sensor": self.sensor_reading,
            "last_state_change": self.changed_at,
            "last_event_at": self.newest_event_at,
            "last_removal_at": self.removed_at,
        }


def cup_of(device: LockedDevice) -> Cup:
    return Cup(
        device.cup_placed,
        device.sensor_reading,
        device.last_state_change,
        device.last_event_at,
        device.last_removal_at,
    )


def current_cup(before: Cup, reading: Reading, at: datetime) -> Cup:
    """The state after the event: a late one never rewinds it, and only a change moves its time."""
    newest = before.newest_event_at is None or at >= before.newest_event_at
    changes = before.changed_at is None or reading.cup_placed != before.placed
    removed = None if reading.cup_placed or reading.repeat else at
    if not newest or reading.repeat:
        return replace(before, removed_at=later(before.removed_at, removed))
    return Cup(
        placed=reading.cup_placed,
        sensor_reading=reading.sensor_reading if reading.sensor_reading is not None else before.sensor_reading,
        changed_at=at if changes else before.changed_at,
        newest_event_at=at,
        removed_at=later(before.removed_at, removed),
    )


def later(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return one or other
    return max(one, other)
