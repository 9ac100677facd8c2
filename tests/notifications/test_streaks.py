"""Which achievements new doses bring (pure): against a reckoning that knows only the days."""

from collections.abc import Sequence
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifications.streaks import Day, reached, runs

MONDAY = date(2026, 3, 9)


def days(text: str, *, new: Sequence[int] = ()) -> list[Day]:
    """`x` taken, `?` unknown, `.` nothing; the ones whose place is in `new` were just heard of."""
    return [
        Day(
            MONDAY + timedelta(days=place),
            taken=int(sign == "x"),
            before=int(sign == "x" and place not in new),
            unknown=int(sign == "?"),
        )
        for place, sign in enumerate(text)
        if sign != "."
    ]


def codes(text: str, *new: int, total: int = 50) -> list[str]:
    return [
        f"{each.code}:{each.count}:{each.start}" for each in reached(days(text, new=new), total=total, added=1)
    ]


def week(start: int) -> list[str]:
    return [f"streak:7:{MONDAY + timedelta(days=start)}"]


@pytest.mark.parametrize(
    ("text", "new", "expected"),
    [
        ("xxxxxx", [5], []),
        ("xxxxxxx", [6], week(0)),
        ("xxxxxxxx", [7], []),
        # Late: it joins two stretches, or comes before one.
        ("xxxxxxx", [3], week(0)),
        ("xxxxxxx", [0], week(0)),
        ("xxxxxxxx.x", [9], []),
        # One of the stretches had been rewarded.
        ("xxxxxxxxx", [1], []),
        # Days of which nobody knows are neither.
        ("xxx??xxxx", [8], week(0)),
        ("xxx??xxx", [7], []),
        ("?xxxxxxx", [7], week(1)),
        # Several at once, as after a week without a network.
        ("xxxxxxx", [0, 1, 2, 3, 4, 5, 6], week(0)),
        ("xx.xxxxx", [7], []),
    ],
)
def test_a_week_without_a_gap(text: str, new: list[int], expected: list[str]) -> None:
    assert codes(text, *new) == expected


def test_a_month_at_once_is_two_rewards() -> None:
    assert codes("x" * 30, *range(30)) == [
        f"streak:7:{MONDAY}",
        f"streak:30:{MONDAY}",
    ]


@pytest.mark.parametrize(
    ("total", "added", "expected"),
    [
        (1, 1, ["first_dose:1:None"]),
        (2, 2, ["first_dose:1:None"]),
        (2, 1, []),
        (99, 1, []),
        (100, 1, ["doses:100:None"]),
        (101, 1, []),
        (103, 5, ["doses:100:None"]),
        (500, 1, ["doses:500:None"]),
        (1000, 501, ["doses:500:None", "doses:1000:None"]),
    ],
)
def test_totals_are_told_when_they_are_passed(total: int, added: int, expected: list[str]) -> None:
    found = reached(days("x", new=[0]), total=total, added=added)
    assert [f"{each.code}:{each.count}:{each.start}" for each in found] == expected


def streaks_of(taken: set[int]) -> set[tuple[int, int]]:
    """Every (start, length) that was rewarded when the days came in their order: the obvious way."""
    found = set()
    for start in taken:
        length = 0
        while start + length in taken:
            length += 1
        if start - 1 not in taken:
            found |= {(start, goal) for goal in (7, 30, 100, 365) if length >= goal}
    return found


@given(st.lists(st.integers(0, 45), min_size=1, max_size=46, unique=True))
@settings(max_examples=300)
def test_in_whatever_order_days_come_each_streak_that_stands_was_rewarded(order: list[int]) -> None:
    """Rewards of parts that have grown together stay; none is given twice under one name."""
    given_out: list[tuple[date | None, int]] = []
    for number in range(1, len(order) + 1):
        known = sorted(order[:number])
        last = order[number - 1]
        timeline = [Day(MONDAY + timedelta(days=day), 1, int(day != last), 0) for day in known]
        given_out += [(each.start, each.count) for each in reached(timeline, total=50, added=1)]
    assert len(given_out) == len(set(given_out))
    lengths = sorted(goal for _, goal in streaks_of(set(order)))
    assert all(sum(goal == count for _, count in given_out) >= lengths.count(goal) for goal in lengths)


@given(st.text("x?.", max_size=60))
def test_runs_begin_on_a_day_that_was_taken_and_have_no_gap(text: str) -> None:
    for run in runs(days(text)):
        assert run[0].taken
        assert [day.date for day in run] == [run[0].date + timedelta(days=place) for place in range(len(run))]
