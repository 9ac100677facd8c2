"""What the new events of one dispenser amount to: all that is written in bulk, worked out before. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import orjson

from telemetry.events import JournalEvent, Reading, Sent, corrected
from telemetry.models import TimeQuality
from telemetry.readings import Cup, cup_of, current_cup
from telemetry.sql import LockedDevice
from zinzino.ids import uuid7

FULL = 100


class Happened(msgspec.Struct, frozen=True):
    """A new event and when it really happened."""

    event: JournalEvent
    at: datetime
    quality: TimeQuality

    @property
    def row(self) -> tuple[Any, ...]:
        """What every stored event has: its id, times, and what they are worth."""
        return uuid7(self.at), self.at, self.quality.value, self.event.at


@dataclass(frozen=True, slots=True)
class Levels:
    """One report of levels in percent; None where it says nothing."""

    at: datetime
    battery: int | None
    supplement: int | None


@dataclass(slots=True)
class Tally:
    """Filled by the event kinds below, one after the other."""

    device: LockedDevice
    cup: Cup
    # Rows of the tables that events of these kinds are kept in.
    states: list[tuple[Any, ...]] = field(default_factory=list)
    samples: list[tuple[Any, ...]] = field(default_factory=list)
    reports: list[tuple[Any, ...]] = field(default_factory=list)
    refills: list[Happened] = field(default_factory=list)
    # What only one after the other can be taken.
    doses: list[Happened] = field(default_factory=list)
    levels: list[Levels] = field(default_factory=list)
    events: int = 0

    @property
    def newest_levels(self) -> tuple[int, int, datetime | None]:
        """Battery, supplement, and the time of the newest report; a late one changes nothing."""
        battery, supplement, newest = (
            self.device.battery_level,
            self.device.supplement_level,
            self.device.levels_at,
        )
        for each in self.levels:
            if newest is None or each.at >= newest:
                battery = battery if each.battery is None else each.battery
                supplement = supplement if each.supplement is None else each.supplement
                newest = each.at
        return battery, supplement, newest

    @property
    def synced(self) -> list[tuple[UUID, str, UUID]]:
        """What its owner's phones show of it and has changed: owner, kind of object, object."""
        if not self.events:
            return []
        kinds = ["device"] if shown(cup_of(self.device)) == shown(self.cup) else ["device", "device_state"]
        return [(self.device.user_id, kind, self.device.id) for kind in kinds]


def shown(cup: Cup) -> tuple[bool, float | None, datetime | None]:
    return cup.placed, None if cup.sensor_reading is None else float(cup.sensor_reading), cup.changed_at


def tallied(device: LockedDevice, events: Sequence[tuple[JournalEvent, Sent]], *, now: datetime) -> Tally:
    """`events` are new; they are taken in the order of their boots and numbers."""
    tally = Tally(device, cup_of(device))
    for event, sent in sorted(events, key=lambda each: (each[0].boot or 0, each[0].seq)):
        at, quality = corrected(event, sent, received=now, registered=device.created_at)
        TAKEN[event.kind](tally, Happened(event, at, quality), event.data)
        tally.events += 1
    return tally


def state(tally: Tally, happened: Happened, data: Mapping[str, Any]) -> None:
    """A cup that was placed or removed while nobody was asked."""
    reading = Reading(cup_placed=data["cup_placed"], sensor_reading=data.get("sensor_reading"))
    tally.cup = current_cup(tally.cup, reading, happened.at)
    tally.states.append((*happened.row, tally.device.id, reading.cup_placed, reading.sensor_reading))


def dose(tally: Tally, happened: Happened, data: Mapping[str, Any]) -> None:
    tally.doses.append(happened)


def sample(tally: Tally, happened: Happened, data: Mapping[str, Any]) -> None:
    battery, supplement = data.get("battery_level"), data.get("supplement_level")
    tally.samples.append((*happened.row, tally.device.id, battery, supplement, data.get("rssi")))
    if battery is not None or supplement is not None:
        tally.levels.append(Levels(happened.at, battery, supplement))


def refill(tally: Tally, happened: Happened, data: Mapping[str, Any]) -> None:
    """A refill without a level filled it up (iot.md 5)."""
    level = data.get("level")
    tally.levels.append(Levels(happened.at, None, FULL if level is None else level))
    tally.refills.append(happened)


def report(tally: Tally, happened: Happened, data: Mapping[str, Any]) -> None:
    """What is only kept for those who look after the fleet: alarms, lines of its log, purged stock."""
    kept = orjson.dumps({name: value for name, value in data.items() if value is not None}).decode()
    tally.reports.append((*happened.row, tally.device.id, happened.event.kind, kept))


TAKEN: dict[str, Callable[[Tally, Happened, Mapping[str, Any]], None]] = {
    "state": state,
    "dose": dose,
    "sample": sample,
    "refill": refill,
    "alarm": report,
    "log": report,
    "purge": report,
}
