"""Dose plans: how much of which supplement, and how often (api.md 3, iot.md 5). Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

# Doses of one family count against each other, whichever dispenser or hand they come from.
OMEGA, VITAMIN_D = "omega", "vitamin_d"
FAMILIES = {"fish_oil": OMEGA, "krill_oil": OMEGA, "vegan": OMEGA, "vitamin_d": VITAMIN_D}

MICROLITRES_PER_ML = 1000

# No plan may allow doses closer than this, and no rule looks further back than two days.
LEAST_INTERVAL_MIN, MOST_INTERVAL_MIN = 60, 2880
MOST_ROLLING_HOURS = 48

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ONE_DAY = timedelta(days=1)
# A window opens at most half a day before its slot and closes at most a day after it.
MAX_BEFORE_MIN, MAX_AFTER_MIN = 720, 1440
# How far from a date the dates are whose windows may be open on it: zones are up to 26 hours apart.
DATES_AROUND = (-3, -2, -1, 0, 1, 2)
# A weekly slot returns within 7 days; more where a change of zone or of the calendar leaves a date out.
DATES_AHEAD = 15


# Kept in a stored plan and never shown: the former zone, whether a person chose the interval, and how many
# units a millilitre holds.
HIDDEN = ("zone_change", "interval_chosen", "concentration")


def members(family: str) -> list[str]:
    """The device types whose doses count against each other."""
    return [device_type for device_type, of in FAMILIES.items() if of == family]


def family_of(device_type: str) -> str:
    return FAMILIES[device_type]


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a dispenser of one type pours by until its owner plans otherwise (iot.md 5)."""

    amount: Decimal
    unit: str
    target_per_day: int = 1
    max_per_day: int = 2
    min_interval_min: int = 240
    rolling_hours: int = 20
    # Units in a millilitre, where a dose is no volume itself; None where nobody has said.
    concentration: Decimal | None = None


# As shipped. Staff may change what holds in the table `supplement_profiles`.
DEFAULTS = {
    "fish_oil": Defaults(Decimal(5), "ml"),
    "vitamin_d": Defaults(Decimal(1000), "IU", max_per_day=1),
    "krill_oil": Defaults(Decimal(3), "ml"),
    "vegan": Defaults(Decimal(5), "ml"),
}


@dataclass(frozen=True, slots=True)
class Slot:
    """A local time at which a dose is due on some days of the week, and how far around it it may be poured."""

    id: str
    local_time: time
    days: frozenset[str]
    before_min: int
    after_min: int


@dataclass(frozen=True, slots=True)
class Window:
    """One slot on one local date, as instants; open from `opens_at` until just before `closes_at`.

    It may reach over midnight, and still belongs to `date`.
    """

    slot_id: str
    date: date
    opens_at: datetime
    due_at: datetime
    closes_at: datetime

    def is_open(self, at: datetime) -> bool:
        return self.opens_at <= at < self.closes_at


@dataclass(frozen=True, slots=True)
class ZoneChange:
    """The plan's former time zone, and the instant at which a local day of the new one begins."""

    former: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Plan:
    """The rules that one dispenser pours by, in its own time zone.

    A new time zone takes effect with the next local day (iot.md 5): a local date is lived in one zone.
    """

    version: int
    amount: Decimal
    unit: str
    target_per_day: int
    max_per_day: int
    min_interval: timedelta
    rolling: timedelta
    paused_until: datetime | None
    timezone: str
    slots: tuple[Slot, ...] = ()
    zone_change: ZoneChange | None = None
    # Units in a millilitre, where the dose is no volume itself.
    concentration: Decimal | None = None

    @property
    def zone(self) -> ZoneInfo:
        """The zone as set; `zone_at` and `zone_on` say which one holds."""
        return ZoneInfo(self.timezone)

    def zone_at(self, at: datetime) -> ZoneInfo:
        change = self.zone_change
        return ZoneInfo(change.former) if change and at < change.at else self.zone

    def zone_on(self, day: date) -> ZoneInfo:
        change = self.zone_change
        return ZoneInfo(change.former) if change and day < self._first_day(change) else self.zone

    def local_date(self, at: datetime) -> date:
        """The local date, which never goes back: moving west makes the last day of the former zone longer."""
        change, day = self.zone_change, at.astimezone(self.zone_at(at)).date()
        return min(day, self._first_day(change) - ONE_DAY) if change and at < change.at else day

    def day_begins_at(self, day: date) -> datetime:
        """The first instant of a local date."""
        change = self.zone_change
        return change.at if change and day == self._first_day(change) else first_instant(day, self.zone_on(day))

    def windows_on(self, day: date) -> list[Window]:
        """The windows of a local date, by the time that is due; none on a date that its zone has skipped."""
        zone, weekday = self.zone_on(day), DAYS[day.weekday()]
        slots = [slot for slot in self.slots if weekday in slot.days]
        if not slots or first_instant(day, zone).astimezone(zone).date() != day:
            return []
        return sorted((window_of(slot, day, zone) for slot in slots), key=_due_at)

    def windows_at(self, now: datetime) -> list[Window]:
        """All windows that are open, the one due first at the front: neighbouring ones may overlap."""
        if not self.slots:
            return []
        today = self.local_date(now)
        dates = (today + ONE_DAY * days for days in DATES_AROUND)
        return sorted((w for day in dates for w in self.windows_on(day) if w.is_open(now)), key=_due_at)

    def window_at(self, now: datetime) -> Window | None:
        return next(iter(self.windows_at(now)), None)

    def windows_after(self, now: datetime) -> Iterator[Window]:
        """The windows that close after `now`, date by date, about two weeks ahead."""
        today = self.local_date(now)
        for days in range(DATES_AROUND[0], DATES_AHEAD + 1 if self.slots else 0):
            yield from (w for w in self.windows_on(today + ONE_DAY * days) if w.closes_at > now)

    def next_window_at(self, now: datetime) -> datetime | None:
        """When the next window opens that is not open yet; None where the plan has no slots."""
        opening = (window.opens_at for window in self.windows_after(now) if window.opens_at > now)
        # Windows of a later date may open first, but only of the next two (DATES_AROUND).
        return min(islice(opening, 3 * len(self.slots)), default=None)

    def _first_day(self, change: ZoneChange) -> date:
        return change.at.astimezone(self.zone).date()

    @property
    def dose_text(self) -> str:
        """`5ml`, `1000IU`: the form of `dispense_amount` (api.md 4)."""
        return dose_text(self.amount, self.unit)

    @property
    def volume_ul(self) -> int | None:
        """What a pump has to move, in microlitres; None where the concentration is not known."""
        units_per_ml = Decimal(1) if self.unit == "ml" else self.concentration
        return round(self.amount * MICROLITRES_PER_ML / units_per_ml) if units_per_ml else None


def _due_at(window: Window) -> datetime:
    return window.due_at


def instant_of(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The instant of a local wall time. One that does not exist moves forward (02:30 -> 03:30), of one
    that comes twice it is the first: both is what PEP 495 says of `fold=0`."""
    return datetime.combine(day, at, zone).astimezone(UTC)


def first_instant(day: date, zone: ZoneInfo) -> datetime:
    return instant_of(day, time(), zone)


def window_of(slot: Slot, day: date, zone: ZoneInfo) -> Window:
    due = instant_of(day, slot.local_time, zone)
    opens, closes = due - timedelta(minutes=slot.before_min), due + timedelta(minutes=slot.after_min)
    return Window(slot.id, day, opens, due, closes)


def zone_change(plan: Plan, timezone: str, *, now: datetime) -> ZoneChange | None:
    """What setting another time zone brings: the present local day ends as it began, the next one begins at
    the new zone's midnight, or at the former one's where the new zone is past it. None: nothing changes."""
    former, new = plan.zone_at(now), ZoneInfo(timezone)
    if former.key == timezone:
        return None
    tomorrow = plan.local_date(now) + ONE_DAY
    begins = (first_instant(tomorrow + ONE_DAY * days, zone) for days in range(3) for zone in (new, former))
    return ZoneChange(former.key, next(moment for moment in begins if moment > now))


def dose_text(amount: Decimal, unit: str) -> str:
    return f"{amount.normalize():f}{unit}"


def default_plan(device_type: str, defaults: Defaults | None = None) -> dict[str, Any]:
    """What a newly registered dispenser pours by, in its stored form; without slots, so at any time."""
    given = defaults or DEFAULTS[device_type]
    return {
        "dose": {"amount": number(given.amount), "unit": given.unit},
        "target_per_day": given.target_per_day,
        "max_per_day": given.max_per_day,
        "min_interval_min": given.min_interval_min,
        "rolling_hours": given.rolling_hours,
        "slots": [],
        "paused_until": None,
        "concentration": number(given.concentration) if given.concentration else None,
    }


def number(amount: Decimal) -> int | float:
    """As JSON has it: 5, not 5.0."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def plan_of(stored: Mapping[str, Any], *, version: int, timezone: str) -> Plan:
    """The plan that a device row keeps as JSON."""
    return Plan(
        version=version,
        amount=Decimal(str(stored["dose"]["amount"])),
        unit=stored["dose"]["unit"],
        target_per_day=stored["target_per_day"],
        max_per_day=stored["max_per_day"],
        min_interval=timedelta(minutes=stored["min_interval_min"]),
        rolling=timedelta(hours=stored["rolling_hours"]),
        paused_until=_instant(stored["paused_until"]),
        timezone=timezone,
        slots=tuple(slot_of(slot) for slot in stored["slots"]),
        zone_change=_zone_change_of(stored.get("zone_change")),
        concentration=Decimal(str(stored["concentration"])) if stored.get("concentration") else None,
    )


def slot_of(stored: Mapping[str, Any]) -> Slot:
    return Slot(
        id=stored["id"],
        local_time=time.fromisoformat(stored["local_time"]),
        days=frozenset(stored["days"]),
        before_min=stored["before_min"],
        after_min=stored["after_min"],
    )


def _zone_change_of(stored: Mapping[str, str] | None) -> ZoneChange | None:
    return ZoneChange(stored["former"], datetime.fromisoformat(stored["at"])) if stored else None


def _instant(stored: str | None) -> datetime | None:
    return datetime.fromisoformat(stored) if stored else None
