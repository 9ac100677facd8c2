"""How many doses were expected and how many taken, by supplement family and local day (api.md 6, 9). Pure.

What nobody confirmed is not missed: it leaves both sides. Nor is what may still be taken today.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from devices import plans

ONE_DAY = timedelta(days=1)
MILESTONES = (7, 30, 100, 365)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a dispenser's plan aims at from a local day on, until its next expectation."""

    device_id: UUID
    device_type: str
    registered_on: date
    first_day: date
    per_day: int
    max_per_day: int


@dataclass(frozen=True, slots=True)
class DayDoses:
    """The doses of one dispenser (or of one supplement by hand) on one local day."""

    day: date
    device_id: UUID | None
    supplement: str | None
    dispensed: int = 0
    manual: int = 0
    failed: int = 0
    taken: int = 0
    unknown: int = 0
    pending: int = 0
    amount_ml: Decimal = Decimal(0)

    @property
    def total(self) -> int:
        return self.dispensed + self.manual


@dataclass(frozen=True, slots=True)
class FamilyDay:
    """One supplement family on one local day."""

    day: date
    family: str
    # What the plans aim at, and what was taken, also beyond it.
    planned: int
    taken: int
    unknown: int
    # Reserved a moment ago.
    pending: int
    is_over: bool

    @property
    def fulfilled(self) -> int:
        return min(self.taken, self.planned)

    @property
    def uncertain(self) -> int:
        """Expected doses of which nobody can say whether they were taken."""
        return min(self.unknown + self.pending, self.planned - self.fulfilled)

    @property
    def missed(self) -> int:
        return self.planned - self.fulfilled - self.uncertain if self.is_over else 0

    @property
    def expected(self) -> int:
        """What adherence is measured by."""
        return self.fulfilled + self.missed


@dataclass(frozen=True, slots=True)
class History:
    """What is known of one person's doses and plans between two local days."""

    first: date
    last: date
    today: date
    expectations: Sequence[Expectation]
    doses: Sequence[DayDoses]

    def days(self, first: date | None = None) -> list[FamilyDay]:
        """Every day and family with anything expected or taken, by day."""
        return [each for each in family_days(self) if first is None or each.day >= first]


@dataclass(slots=True)
class Sums:
    planned: int = 0
    taken: int = 0
    unknown: int = 0
    pending: int = 0


def family_days(history: History) -> Iterator[FamilyDay]:
    families = {each.device_id: plans.family_of(each.device_type) for each in history.expectations}
    sums: dict[tuple[date, str], Sums] = {}
    for dose in history.doses:
        family = family_of(dose, families)
        if family and history.first <= dose.day <= history.last:
            found = sums.setdefault((dose.day, family), Sums())
            found.taken += dose.taken
            found.unknown += dose.unknown
            found.pending += dose.pending
    for day, family, planned in planned_doses(history):
        sums.setdefault((day, family), Sums()).planned = planned
    for (day, family), found in sorted(sums.items()):
        yield FamilyDay(
            day, family, found.planned, found.taken, found.unknown, found.pending, is_over=day < history.today
        )


def family_of(dose: DayDoses, families: Mapping[UUID, str]) -> str | None:
    """None where a dose belongs to no supplement that is known."""
    if dose.device_id is not None:
        return families.get(dose.device_id)
    return plans.FAMILIES.get(dose.supplement or "")


def planned_doses(history: History) -> Iterator[tuple[date, str, int]]:
    """The targets of a family's dispensers add up, as far as its limits let any of them pour."""
    gave = {(dose.device_id, dose.day) for dose in history.doses if dose.taken or dose.unknown or dose.pending}
    targets: dict[tuple[date, str], int] = {}
    limits: dict[tuple[date, str], int] = {}
    for each, until in spans(history.expectations):
        family, day = plans.family_of(each.device_type), max(each.first_day, history.first)
        last = min(history.last, history.today, until - ONE_DAY if until else date.max)
        while day <= last:
            # The day of the registration counts only with a dose.
            if each.per_day and (day > each.registered_on or (each.device_id, day) in gave):
                key = (day, family)
                targets[key] = targets.get(key, 0) + each.per_day
                limits[key] = max(limits.get(key, 0), each.max_per_day)
            day += ONE_DAY
    for (day, family), target in targets.items():
        yield day, family, min(target, limits[day, family])


def spans(expectations: Iterable[Expectation]) -> Iterator[tuple[Expectation, date | None]]:
    """Each expectation, and the first day on which it does not hold any more."""
    ordered = sorted(expectations, key=lambda each: (each.device_id, each.first_day))
    for position, each in enumerate(ordered):
        after = ordered[position + 1] if position + 1 < len(ordered) else None
        yield each, after.first_day if after and after.device_id == each.device_id else None


@dataclass(frozen=True, slots=True)
class Adherence:
    expected: int
    taken: int
    unknown: int

    @property
    def percent(self) -> float | None:
        return round(100 * self.taken / self.expected, 1) if self.expected else None


def adherence(days: Iterable[FamilyDay]) -> Adherence:
    listed = list(days)
    return Adherence(
        expected=sum(each.expected for each in listed),
        taken=sum(each.fulfilled for each in listed),
        unknown=sum(each.unknown for each in listed),
    )


# ---------------------------------------------------------------------------------------------- streaks


@dataclass(slots=True)
class Streak:
    """Days with a dose taken, without a day on which one was expected and none taken. Days on which nothing
    was expected, or nobody can say, neither break nor add."""

    current: int = 0
    longest: int = 0
    first_day: date | None = field(default=None)

    def add(self, families: Sequence[FamilyDay]) -> None:
        """One more day."""
        if any(each.taken for each in families):
            self.first_day = self.first_day if self.current else families[0].day
            self.current += 1
            self.longest = max(self.longest, self.current)
        elif any(each.missed for each in families) and not any(each.unknown or each.pending for each in families):
            self.current = 0

    @property
    def next_milestone(self) -> int:
        """The next of MILESTONES, then every further year."""
        ahead = next((goal for goal in MILESTONES if goal > self.current), None)
        return ahead or (self.current // MILESTONES[-1] + 1) * MILESTONES[-1]


def streak(days: Iterable[FamilyDay], *, before: Streak | None = None) -> Streak:
    """The streak after these days, in their order; `before` is how it stood before them."""
    result = Streak(before.current, before.longest, before.first_day) if before else Streak()
    by_day: dict[date, list[FamilyDay]] = {}
    for each in days:
        by_day.setdefault(each.day, []).append(each)
    for _, families in sorted(by_day.items()):
        result.add(families)
    return result
