"""Figures of a dispenser and of an app's use, against what anybody would count from what happened."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from analytics import reports, sql
from notifications.models import Notification
from telemetry import manual, presence
from telemetry.presence import Status
from tests import make
from tests.make import Dispenser
from zinzino.ids import uuid7

FIGURES = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
    phases=[Phase.generate],
    report_multiple_bugs=False,
)
QUARTER, DAY = timedelta(minutes=15), timedelta(days=1)
# Days before the clocks change in each zone, or where they never do.
BEGINNINGS = st.sampled_from(
    [
        ("Europe/Berlin", datetime(2026, 3, 26, 5, 15, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 10, 22, 21, 45, tzinfo=UTC)),
        ("America/New_York", datetime(2028, 2, 28, 3, 30, tzinfo=UTC)),
        ("Europe/Istanbul", datetime(2026, 6, 1, 12, tzinfo=UTC)),
    ]
)
LEVELS = st.integers(0, 100)
WORDS = st.lists(
    st.tuples(st.integers(1, 150), st.sampled_from(["levels", "levels", "goes", "is swept"]), LEVELS, LEVELS),
    max_size=20,
)


@dataclass
class Watched:
    """A dispenser whose every word somebody writes down."""

    unit: Dispenser
    began: datetime
    zone: ZoneInfo
    # When, and whether it was connected from then on.
    presence: list[tuple[datetime, bool]] = field(default_factory=list)
    levels: list[tuple[datetime, tuple[int, int]]] = field(default_factory=list)

    def says(self, word: str, battery: int, supplement: int, *, now: datetime) -> None:
        if word == "levels":
            self.levels.append((now, (battery, supplement)))
            presence.report_status(self.unit.id, Status(battery, supplement), now=now)
        elif word == "goes":
            presence.report_status(self.unit.id, Status(is_connected=False), now=now)
        else:
            presence.sweep(now=now)
        if word != "is swept" or self.is_silent(now):
            self.presence.append((now, word == "levels"))

    def is_silent(self, now: datetime) -> bool:
        """Nothing was heard for two heartbeats and a half."""
        return bool(self.presence) and now - self.presence[-1][0] >= timedelta(minutes=37.5)

    def quarters(self, since: datetime, until: datetime) -> Iterator[bool]:
        """Quarter of an hour by quarter of an hour, whether it was connected."""
        while since < until:
            yield [False, *(connected for at, connected in self.presence if at <= since)][-1]
            since += QUARTER

    def day(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()

    def ends(self, first: date, last: date) -> int:
        states = [(self.began, False), *self.presence]
        return sum(
            was and not becomes and first <= self.day(at) <= last for (_, was), (at, becomes) in pairwise(states)
        )

    def used(self, column: int, first: date, last: date) -> int:
        """A rise is a refill from 20 points on, and noise below; all noise leaves no use."""
        falls = [
            before[column] - after[column]
            for (_, before), (at, after) in pairwise(self.levels)
            if first <= self.day(at) <= last
        ]
        return max(0, sum(fall for fall in falls if fall > -20))


@pytest.mark.django_db
@FIGURES
@given(
    beginning=BEGINNINGS, words=WORDS, later=st.integers(0, 200), back=st.integers(0, 12), days=st.integers(1, 14)
)
def test_what_is_told_of_a_dispenser(
    beginning: tuple[str, datetime], words: list[Any], later: int, back: int, days: int
) -> None:
    zone, now = beginning
    unit = make.dispenser(make.person(timezone=zone, now=now).user, now=now)
    seen = Watched(unit, now, ZoneInfo(zone))
    for quarters, *said in words:
        now += quarters * QUARTER
        seen.says(*said, now=now)
    now += later * QUARTER
    today = seen.day(now)
    first = today - back * DAY
    last = first + (days - 1) * DAY
    known = sql.performance(unit.id, first=first, last=last)
    assert known
    told = reports.performance(unit.id, known[1], first=first, last=last, now=now)

    since = max(seen.began, reports.midnight(first, seen.zone))
    quarters = list(seen.quarters(since, min(now, reports.midnight(last + DAY, seen.zone))))
    share = round(100 * (sum(quarters) / len(quarters)), 1) if quarters and seen.presence else None
    assert (told["uptime_percent"], told["disconnects"]) == (share, seen.ends(first, last))
    observed = {max(first, seen.day(seen.began)) + n * DAY for n in range(days)}
    observed = {day for day in observed if first <= day <= min(last, today)} if seen.presence else set()
    heard_at, (battery, supplement) = seen.levels[-1] if seen.levels else (None, (100, 100))
    drain, use = (
        round(seen.used(column, first, last) / len(observed), 2) if len(observed) >= 3 else None
        for column in (0, 1)
    )
    assert (told["battery"]["level"], told["battery"]["drain_per_day"]) == (battery, drain)
    assert (told["supplement"]["level"], told["supplement"]["use_per_day"]) == (supplement, use)
    assert told["supplement"]["runs_out_on"] == (today + int(supplement / use) * DAY if use else None)
    if drain and heard_at:
        empty = heard_at + battery / drain * DAY
        assert abs(told["battery"]["estimated_empty_at"] - empty) < timedelta(seconds=1)
    else:
        assert told["battery"]["estimated_empty_at"] is None


def rate(part: int, whole: int) -> float | None:
    thousandth = Decimal("0.001")
    return float((Decimal(part) / whole).quantize(thousandth, ROUND_HALF_UP)) if whole else None


MINUTES = st.integers(0, 20 * 24 * 60)


@pytest.mark.django_db
@FIGURES
@given(
    beginning=BEGINNINGS,
    told=st.lists(
        st.tuples(st.sampled_from(["reminder", "reminder", "low_battery"]), MINUTES, st.booleans()), max_size=8
    ),
    taken=st.lists(MINUTES, max_size=8),
    days=st.integers(1, 25),
)
def test_what_is_told_of_an_apps_use(
    beginning: tuple[str, datetime], told: list[tuple[str, int, bool]], taken: list[int], days: int
) -> None:
    name, began = beginning
    zone, now = ZoneInfo(name), began + 21 * DAY
    user = make.person(timezone=name, now=began).user
    for type, minutes, is_read in told:
        at = now - timedelta(minutes=minutes)
        key = uuid7(at)
        Notification.objects.create(
            id=key,
            user=user,
            type=type,
            title="x",
            message="x",
            is_read=is_read,
            dedupe_key=str(key),
            created_at=at,
        )
    doses = sorted(now - timedelta(minutes=minutes) for minutes in set(taken))
    for at in doses:
        manual.create(
            user.pk, timezone=name, now=now, action="dose_taken_manual", timestamp=at, supplement="fish_oil"
        )
    today = now.astimezone(zone).date()
    since = reports.midnight(today - (days - 1) * DAY, zone)
    until = reports.midnight(today + DAY, zone)
    found = orjson.loads(sql.engagement(user.pk, since=since, until=until, today=today, now=now))

    # Doses may be achievements, of which people are told too.
    rows = Notification.objects.filter(user=user, created_at__gte=since, created_at__lt=until)
    within = [(each.type, each.created_at, each.is_read) for each in rows]
    read = sum(is_read for *_, is_read in within)
    assert found["notifications"] == {"sent": len(within), "read": read, "read_rate": rate(read, len(within))}
    reminders = [at for type, at, _ in within if type == "reminder"]
    answers = [
        [(dose - at) / timedelta(minutes=1) for dose in doses if at <= dose < at + DAY][:1] for at in reminders
    ]
    first_answers = [minutes for answer in answers for minutes in answer]
    assert found["reminder_response"] == {
        "median_minutes": statistics.median(first_answers) if first_answers else None,
        "acted_within_1h_rate": rate(sum(minutes <= 60 for minutes in first_answers), len(reminders)),
    }
    dates = {dose.astimezone(zone).date() for dose in doses}
    for count in (7, 30):
        assert found[f"active_days_{count}"] == sum(0 <= (today - each).days < count for each in dates)
