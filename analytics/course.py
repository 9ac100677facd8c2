"""How somebody's doses went over a span of days: the figures of the adherence report. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import groupby

from analytics.adherence import ONE_DAY, Adherence, FamilyDay, History, adherence, spans, streak

# A chart of more days is drawn by weeks, of more still by months.
DAYS_AT_MOST, WEEKS_AT_MOST_DAYS = 31, 186


@dataclass(frozen=True, slots=True)
class Span:
    first: date
    last: date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


@dataclass(frozen=True, slots=True)
class Tally:
    """Doses of some days. `taken` are those that were expected; `unknown` and `pending` leave both sides."""

    taken: int = 0
    missed: int = 0
    unknown: int = 0
    pending: int = 0

    @property
    def expected(self) -> int:
        return self.taken + self.missed

    @property
    def percent(self) -> float | None:
        return Adherence(self.expected, self.taken, self.unknown).percent


@dataclass(frozen=True, slots=True)
class Gap:
    """Days in a row on which doses of a family were missed."""

    family: str
    span: Span
    missed: int


@dataclass(frozen=True, slots=True)
class Planned:
    """What the plan of a dispenser aimed at; 0 a day while it was paused or switched off."""

    device_type: str
    span: Span
    per_day: int


@dataclass(frozen=True, slots=True)
class Course:
    """`span` ends today at the latest; None where all that was asked about lies ahead."""

    span: Span | None
    whole: Tally = Tally()
    families: dict[str, Tally] = field(default_factory=dict)
    stretches: Sequence[tuple[Span, Tally]] = ()
    weekdays: Sequence[Tally] = ()
    gaps: Sequence[Gap] = ()
    # Day, family, how many.
    unknowns: Sequence[tuple[date, str, int]] = ()
    plans: Sequence[Planned] = ()
    longest_run: int = 0
    days_with_dose: int = 0


def course(history: History, *, first: date) -> Course:
    last = min(history.last, history.today)
    if first > last:
        return Course(None)
    days = [each for each in history.days(first) if each.day <= last]
    span = Span(first, last)
    names = sorted({each.family for each in days})
    return Course(
        span=span,
        whole=tally(days),
        families={name: tally(each for each in days if each.family == name) for name in names},
        stretches=[(each, tally(within(days, each))) for each in stretches(span)],
        weekdays=[tally(each for each in days if each.day.weekday() == number) for number in range(7)],
        gaps=list(gaps(days)),
        unknowns=[(each.day, each.family, each.unknown) for each in days if each.unknown],
        plans=list(planned(history, span)),
        longest_run=streak(days).longest,
        days_with_dose=len({each.day for each in days if each.taken}),
    )


def tally(days: Iterable[FamilyDay]) -> Tally:
    listed = list(days)
    whole = adherence(listed)
    return Tally(
        whole.taken, whole.expected - whole.taken, whole.unknown, pending=sum(each.pending for each in listed)
    )


def within(days: Iterable[FamilyDay], span: Span) -> Iterator[FamilyDay]:
    return (each for each in days if span.first <= each.day <= span.last)


def stretches(span: Span) -> Iterator[Span]:
    """Days, weeks that begin on Monday, or months: cut to the span."""
    start = span.first
    while start <= span.last:
        if span.days <= DAYS_AT_MOST:
            end = start
        elif span.days <= WEEKS_AT_MOST_DAYS:
            end = start + ONE_DAY * (6 - start.weekday())
        else:
            end = (start.replace(day=1) + timedelta(days=32)).replace(day=1) - ONE_DAY
        yield Span(start, min(end, span.last))
        start = end + ONE_DAY


def gaps(days: Sequence[FamilyDay]) -> Iterator[Gap]:
    """In the order of their days."""
    missed = [each for each in days if each.missed]
    found = []
    for family in {each.family for each in missed}:
        own = [each for each in missed if each.family == family]
        # Days in a row are as far from the first of all as from the first of the list.
        for _, run in groupby(enumerate(own), key=lambda each: each[1].day.toordinal() - each[0]):
            row = [each for _, each in run]
            found.append(Gap(family, Span(row[0].day, row[-1].day), sum(each.missed for each in row)))
    return iter(sorted(found, key=lambda gap: (gap.span.first, gap.family)))


def planned(history: History, span: Span) -> Iterator[Planned]:
    for each, until in spans(history.expectations):
        first = max(each.first_day, span.first)
        last = min(until - ONE_DAY if until else span.last, span.last)
        if first <= last:
            yield Planned(each.device_type, Span(first, last), each.per_day)
