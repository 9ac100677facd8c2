"""When a person is reminded: at the times they chose, or when their dose plans say (api.md 7). Pure.

A local time that a change of clocks skips is late by as much, one that comes twice is taken at its first;
both as for plans (iot.md 5).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice
from math import ceil
from uuid import UUID
from zoneinfo import ZoneInfo

from devices.plans import Plan, instant_of

ONE_DAY = timedelta(days=1)
# Further back a reminder is out of date: the next one will do.
CATCH_UP = timedelta(hours=2)
# A zone can leave out a whole date; no local date is further away from an instant than two days.
DATES_AHEAD = 4
# Windows of a later date may open first, but only of the next two (devices.plans).
DATES_MIXED = 3


@dataclass(frozen=True, slots=True)
class Dispenser:
    """An active dispenser: what it pours, and what people call it."""

    id: UUID
    name: str
    family: str
    plan: Plan

    def is_paused(self, now: datetime) -> bool:
        return self.plan.paused_until is not None and now < self.plan.paused_until


@dataclass(frozen=True, slots=True)
class Dose:
    """A dose that counts for its family, whichever way it was taken."""

    family: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Slot:
    """One moment of reminding. `date` and `time` are those on the wall, and name it: it comes once."""

    at: datetime
    date: date
    time: time
    # None for a time that the person chose: it is about all dispensers whose plans have no times.
    dispenser: Dispenser | None = None

    @property
    def cause(self) -> str:
        return f"reminder:{self.date}:{self.time.isoformat('minutes')}"


@dataclass(frozen=True, slots=True)
class Schedule:
    """All times at which one person is reminded."""

    times: Sequence[time]
    timezone: str
    dispensers: Sequence[Dispenser]

    @property
    def planned(self) -> list[Dispenser]:
        return [each for each in self.dispensers if each.plan.slots]

    @property
    def unplanned(self) -> list[Dispenser]:
        return [each for each in self.dispensers if not each.plan.slots]

    @property
    def follows_own_times(self) -> bool:
        """Where every dispenser has times of its own, they are what counts."""
        return not self.planned or bool(self.unplanned)

    def next_after(self, moment: datetime) -> datetime | None:
        ahead = (slot.at for slot in self.own(moment, DATES_AHEAD) if slot.at > moment)
        # Clocks that are put forward can change the order of two times of one night.
        first = [min(islice(ahead, 2 * len(self.times)), default=None)]
        first += [next_due(each, moment) for each in self.planned]
        return min((at for at in first if at), default=None)

    def latest(self, *, after: datetime, until: datetime) -> list[Slot]:
        """The last slots within the span, several where they fall together; none if there are none."""
        slots = [slot for slot in self.around(after, until) if after < slot.at <= until]
        last = max((slot.at for slot in slots), default=None)
        return [slot for slot in slots if slot.at == last]

    def around(self, after: datetime, until: datetime) -> Iterator[Slot]:
        # One date more than the span has on the wall, for zones that change meanwhile.
        yield from self.own(after, (until - after) // ONE_DAY + 1)
        for each in self.planned:
            yield from planned_slots(each, after, until)

    def own(self, moment: datetime, dates_ahead: int) -> Sequence[Slot]:
        """Those that the person chose, date by date from the day before `moment`."""
        if not self.follows_own_times:
            return ()
        yesterday = moment.astimezone(ZoneInfo(self.timezone)).date() - ONE_DAY
        return chosen_slots(tuple(self.times), self.timezone, yesterday, dates_ahead + 2)


# Most people live in few zones and are reminded at few times: thousands of a minute share these.
@lru_cache(maxsize=10_000)
def chosen_slots(times: tuple[time, ...], timezone: str, first: date, dates: int) -> Sequence[Slot]:
    zone = ZoneInfo(timezone)
    days = [first + ONE_DAY * number for number in range(dates)]
    return [Slot(instant_of(day, at, zone), day, at) for day in days for at in times]


def planned_slots(dispenser: Dispenser, after: datetime, until: datetime) -> Iterator[Slot]:
    plan = dispenser.plan
    times = {slot.id: slot.local_time for slot in plan.slots}
    day, last = plan.local_date(after) - 2 * ONE_DAY, plan.local_date(until) + 2 * ONE_DAY
    while day <= last:
        for window in plan.windows_on(day):
            yield Slot(window.due_at, window.date, times[window.slot_id], dispenser)
        day += ONE_DAY


def next_due(dispenser: Dispenser, moment: datetime) -> datetime | None:
    plan = dispenser.plan
    due = (window.due_at for window in plan.windows_after(moment) if window.due_at > moment)
    return min(islice(due, DATES_MIXED * len(plan.slots)), default=None)


# ------------------------------------------------------------------------------- whether it is needed


def waiting(slots: Sequence[Slot], schedule: Schedule, doses: Iterable[Dose], *, now: datetime) -> list[Dispenser]:
    """The dispensers that a reminder is about and whose dose has not been taken; paused ones wait for nothing."""
    taken = list(doses)
    about: list[Dispenser] = []
    for slot in slots:
        if slot.dispenser is None:
            about += [each for each in schedule.unplanned if is_due(each, slot, schedule, taken)]
        elif not is_served(slot, slot.dispenser, taken):
            about.append(slot.dispenser)
    return [each for each in dict.fromkeys(about) if not each.is_paused(now)]


def is_served(slot: Slot, dispenser: Dispenser, doses: Iterable[Dose]) -> bool:
    """Whether the family got a dose since the window of the slot opened."""
    windows = [window for window in dispenser.plan.windows_on(slot.date) if window.due_at == slot.at]
    opens_at = min((window.opens_at for window in windows), default=slot.at)
    return any(dose.family == dispenser.family and dose.at >= opens_at for dose in doses)


def is_due(dispenser: Dispenser, slot: Slot, schedule: Schedule, doses: Iterable[Dose]) -> bool:
    """Whether fewer doses were taken today than should be by this reminder: of two doses and two reminders
    a day one is due at the first; of one dose and two reminders it is due at both."""
    plan = dispenser.plan
    today = plan.local_date(slot.at)
    taken = sum(dose.family == dispenser.family and plan.local_date(dose.at) == today for dose in doses)
    order = list(schedule.times).index(slot.time) + 1
    return taken < ceil(order * plan.target_per_day / len(schedule.times))
