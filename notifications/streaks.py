"""Which achievements new doses bring (notifications.md B4). Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby

STREAKS = (7, 30, 100, 365)
TOTALS = (100, 500, 1000)
ONE_DAY = timedelta(days=1)
# The longest streak that is rewarded, with room for days of which nobody knows.
DAYS_BACK = 2 * STREAKS[-1]


@dataclass(frozen=True, slots=True)
class Day:
    """One local day; `before` is what was taken on it as far as it was known until now."""

    date: date
    taken: int
    before: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Achievement:
    code: str
    # For a streak the day on which it began; it is reached once from there.
    start: date | None = None
    count: int = 1


def reached(days: Sequence[Day], *, total: int, added: int) -> list[Achievement]:
    """What the new doses have reached. `days` in their order; `total` with those that were `added`."""
    found = [Achievement("first_dose")] if total - added <= 0 < total else []
    found += [Achievement("doses", count=each) for each in TOTALS if total - added < each <= total]
    for run in runs(days):
        found += [
            Achievement("streak", run[0].date, length) for length in STREAKS if longest(run) < length <= taken(run)
        ]
    return found


def runs(days: Sequence[Day]) -> Iterator[list[Day]]:
    """Stretches of days without a gap, from one that was taken on. A day of which nobody knows breaks
    nothing."""
    alive = [day for day in days if day.taken > 0 or day.unknown > 0]
    for _, group in groupby(enumerate(alive), key=_place):
        stretch = [day for _, day in group]
        first = next((order for order, day in enumerate(stretch) if day.taken > 0), len(stretch))
        if stretch[first:]:
            yield stretch[first:]


def _place(numbered: tuple[int, Day]) -> int:
    order, day = numbered
    return day.date.toordinal() - order


def taken(run: Sequence[Day]) -> int:
    return sum(day.taken > 0 for day in run)


def longest(run: Sequence[Day]) -> int:
    """The longest streak that was there before the new doses filled its gaps."""
    best = length = 0
    for day in run:
        if day.before > 0:
            length += 1
        elif not day.unknown:
            length = 0
        best = max(best, length)
    return best
