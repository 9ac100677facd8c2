"""Slots as instants: iot.md 5 says what a local time means when clocks change or people move."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devices import plans
from devices.plans import DAYS, Plan, Slot, Window

ZONES = [
    "Europe/Istanbul",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Pago_Pago",
    "Pacific/Kiritimati",
    "Asia/Kathmandu",
    "America/Nuuk",
    "America/Havana",
    "UTC",
]
EVERY_DAY = frozenset(DAYS)
ONE_MS = timedelta(milliseconds=1)
FISH_OIL = plans.plan_of(plans.default_plan("fish_oil"), version=1, timezone="UTC")


def slot(at: str, days: frozenset[str] = EVERY_DAY, before: int = 30, after: int = 240) -> Slot:
    return Slot(f"at-{at}", time.fromisoformat(at), days, before, after)


def plan(zone: str, *slots: Slot) -> Plan:
    return replace(FISH_OIL, timezone=zone, slots=slots)


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


def first_showing(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The oracle: walk through the time around the date, minute by minute, and read the clock on the wall."""
    moment = utc(day.year, day.month, day.day) - timedelta(hours=15)
    wanted, before = datetime.combine(day, at), moment.astimezone(zone).replace(tzinfo=None)
    for _ in range(54 * 60):
        wall = moment.astimezone(zone).replace(tzinfo=None)
        if wall == wanted:
            return moment
        if before < wanted < wall:  # the clock jumped over it: as long after the jump as it was into the gap
            return moment + (wanted - before - timedelta(minutes=1))
        moment, before = moment + timedelta(minutes=1), wall
    raise AssertionError(f"{wanted} never shows")


zones = st.sampled_from(ZONES)
minutes = st.times().map(lambda at: at.replace(second=0, microsecond=0))
# Also the nights on which clocks change, or a whole day is left out.
CHANGES = [
    date(2026, 3, 29), date(2026, 10, 25),  # Berlin
    date(2026, 3, 8), date(2026, 11, 1),  # New York, Havana
    date(2026, 10, 4), date(2026, 4, 5),  # Lord Howe, by half an hour
    date(2010, 9, 26), date(2011, 4, 2), date(2011, 12, 30),  # Apia, and the day that it left out
    date(2026, 3, 28), date(2026, 10, 24),  # Nuuk, at the end of a day
]  # fmt: skip
dates = st.sampled_from(CHANGES) | st.dates(date(2009, 1, 1), date(2035, 12, 31))
instants = st.builds(
    lambda day, minute: utc(day.year, day.month, day.day) + timedelta(minutes=minute),
    dates,
    st.integers(-1500, 2900),
)
slots = st.builds(
    Slot,
    id=st.uuids().map(str),
    local_time=minutes,
    days=st.sets(st.sampled_from(DAYS), min_size=1).map(frozenset),
    before_min=st.integers(0, plans.MAX_BEFORE_MIN),
    after_min=st.integers(1, plans.MAX_AFTER_MIN),
)
still = st.builds(lambda zone, found: plan(zone, *found), zones, st.lists(slots, max_size=3))


@st.composite
def moving(draw: st.DrawFn) -> tuple[Plan, datetime]:
    """A plan whose zone was set anew, and when."""
    now, before, zone = draw(instants), draw(still), draw(zones)
    return moved(before, zone, now), now


def moved(before: Plan, zone: str, now: datetime) -> Plan:
    return replace(before, timezone=zone, zone_change=plans.zone_change(before, zone, now=now))


def brute_force(known: Plan, around: datetime) -> list[Window]:
    days = (known.local_date(around) + timedelta(days=days) for days in range(-8, 25))
    return sorted((w for day in days for w in known.windows_on(day)), key=lambda window: window.due_at)


# ------------------------------------------------------------------------------------ local times


@given(zones, dates, minutes)
@example("Europe/Berlin", date(2026, 3, 29), time(2, 30))
@example("Europe/Berlin", date(2026, 10, 25), time(2, 30))
@example("Australia/Lord_Howe", date(2026, 10, 4), time(2, 15))
@example("America/Nuuk", date(2026, 3, 28), time(23, 30))
@example("America/Havana", date(2026, 3, 8), time(0, 30))
def test_a_slot_is_due_when_the_clock_on_the_wall_first_shows_it(zone: str, day: date, at: time) -> None:
    if zone == "Pacific/Apia" and day == date(2011, 12, 30):
        assert plan(zone, slot(at.isoformat())).windows_on(day) == []
        return
    (window,) = plan(zone, slot(at.isoformat("minutes"), before=10, after=20)).windows_on(day)
    assert window.due_at == first_showing(day, at, ZoneInfo(zone))
    assert (window.due_at - window.opens_at, window.closes_at - window.due_at) == (
        timedelta(minutes=10),
        timedelta(minutes=20),
    )
    assert window.date == day


@pytest.mark.parametrize(
    ("day", "due"),
    [
        (date(2026, 3, 29), utc(2026, 3, 29, 1, 30)),  # 03:30 summer time: 02:30 does not exist
        (date(2026, 10, 25), utc(2026, 10, 25, 0, 30)),  # the first of two 02:30
        (date(2026, 6, 1), utc(2026, 6, 1, 0, 30)),
    ],
)
def test_half_past_two_in_berlin(day: date, due: datetime) -> None:
    (window,) = plan("Europe/Berlin", slot("02:30")).windows_on(day)
    assert window.due_at == due


def test_a_slot_comes_only_on_its_days() -> None:
    weekly = plan("Europe/Istanbul", slot("08:00", frozenset({"mon", "thu"})))
    week = [date(2026, 3, 9) + timedelta(days=n) for n in range(7)]  # from a Monday
    assert [bool(weekly.windows_on(day)) for day in week] == [True, False, False, True, False, False, False]


# ---------------------------------------------------------------------------------------- windows


@given(still | moving().map(lambda found: found[0]), instants)
@example(
    moved(plan("America/New_York", slot("00:00", before=720)), "Pacific/Apia", utc(2026, 10, 3, 20)),
    utc(2026, 10, 4),
)
def test_the_open_windows_are_all_that_hold_the_moment(known: Plan, now: datetime) -> None:
    expected = [w for w in brute_force(known, now) if w.opens_at <= now < w.closes_at]
    assert known.windows_at(now) == expected
    assert known.window_at(now) == (expected[0] if expected else None)


@given(still | moving().map(lambda found: found[0]), instants)
def test_the_windows_ahead_leave_none_out(known: Plan, now: datetime) -> None:
    ahead, expected = list(known.windows_after(now)), [w for w in brute_force(known, now) if w.closes_at > now]
    last = known.local_date(now) + timedelta(days=plans.DATES_AHEAD)
    assert sorted(ahead, key=lambda w: w.due_at) == [w for w in expected if w.date <= last]
    assert known.next_window_at(now) == min((w.opens_at for w in expected if w.opens_at > now), default=None)


def test_a_window_may_reach_over_midnight_and_keeps_its_date() -> None:
    late = plan("Europe/Istanbul", slot("23:30", after=60))
    half_past_twelve = utc(2026, 3, 9, 21, 29, 59)  # 00:29:59 of the 10th
    window = late.window_at(half_past_twelve)
    assert window is not None
    assert (window.date, window.slot_id) == (date(2026, 3, 9), "at-23:30")
    assert late.window_at(utc(2026, 3, 9, 21, 30)) is None
    assert late.next_window_at(half_past_twelve) == utc(2026, 3, 10, 20)


def test_overlapping_windows_come_in_the_order_in_which_they_are_due() -> None:
    twice = plan("UTC", slot("12:00", before=120), slot("08:00"))
    assert [w.slot_id for w in twice.windows_at(utc(2026, 3, 9, 11))] == ["at-08:00", "at-12:00"]


def test_without_slots_there_is_no_window() -> None:
    now = utc(2026, 3, 9, 11)
    assert (FISH_OIL.window_at(now), FISH_OIL.next_window_at(now), list(FISH_OIL.windows_after(now))) == (
        None,
        None,
        [],
    )


# --------------------------------------------------------------------------------- changes of zone


@given(moving(), st.lists(instants, min_size=2))
def test_a_change_of_zone_never_turns_the_date_back(found: tuple[Plan, datetime], moments: list[datetime]) -> None:
    known, now = found
    near = [now + timedelta(hours=hours) for hours in range(-60, 61)]
    dates = [known.local_date(moment) for moment in sorted([*moments, *near])]
    assert dates == sorted(dates)


@given(still, zones, instants)
def test_the_day_of_the_change_stays_and_the_next_one_begins_with_the_new_zone(
    before: Plan, zone: str, now: datetime
) -> None:
    after = moved(before, zone, now)
    assert after.local_date(now) == before.local_date(now)
    if after.zone_change is None:
        assert zone == before.timezone
        return
    begins = after.zone_change.at
    assert now < begins <= now + timedelta(hours=50)
    assert after.zone_at(begins - ONE_MS).key == before.timezone
    assert after.zone_at(begins).key == zone
    assert after.local_date(begins - ONE_MS) < after.local_date(begins)
    assert after.day_begins_at(after.local_date(begins)) == begins


@given(still, zones, instants)
def test_what_was_open_on_the_day_of_the_change_stays_open(before: Plan, zone: str, now: datetime) -> None:
    today = before.local_date(now)
    assert moved(before, zone, now).windows_on(today) == before.windows_on(today)


@given(moving(), dates)
def test_every_slot_comes_once_on_each_of_its_dates(found: tuple[Plan, datetime], day: date) -> None:
    known, _ = found
    ids = [window.slot_id for window in known.windows_on(day)]
    wanted = [slot.id for slot in known.slots if DAYS[day.weekday()] in slot.days]
    skipped = day == date(2011, 12, 30) and known.zone_on(day).key == "Pacific/Apia"
    assert sorted(ids) == ([] if skipped else sorted(wanted))


def test_a_flight_to_the_west_makes_the_day_longer() -> None:
    noon = utc(2026, 7, 10, 9)  # in Istanbul
    there = moved(plan("Europe/Istanbul", slot("20:00")), "America/New_York", noon)
    assert [there.local_date(noon + timedelta(hours=h)).day for h in (0, 12, 18, 19, 42, 43)] == [
        10, 10, 10, 11, 11, 12,
    ]  # fmt: skip
    assert [w.due_at for w in there.windows_on(date(2026, 7, 10)) + there.windows_on(date(2026, 7, 11))] == [
        utc(2026, 7, 10, 17),
        utc(2026, 7, 12, 0),
    ]


def test_a_flight_to_the_east_late_in_the_day_waits_for_the_former_midnight() -> None:
    late = utc(2026, 7, 11, 3)  # 23:00 of the 10th in New York, 06:00 of the 11th in Istanbul
    there = moved(plan("America/New_York", slot("20:00")), "Europe/Istanbul", late)
    assert there.zone_change == plans.ZoneChange("America/New_York", utc(2026, 7, 11, 4))
    assert there.next_window_at(late) == utc(2026, 7, 11, 16, 30)


def test_going_back_on_the_same_day_changes_nothing() -> None:
    noon, home = utc(2026, 7, 10, 9), plan("Europe/Istanbul")
    away = moved(home, "America/New_York", noon)
    assert moved(away, "Europe/Istanbul", noon + timedelta(hours=1)) == home


def test_a_second_change_on_the_same_day_keeps_the_zone_that_holds() -> None:
    noon, home = utc(2026, 7, 10, 9), plan("Europe/Istanbul")
    twice = moved(moved(home, "America/New_York", noon), "Europe/Berlin", noon + timedelta(hours=1))
    assert twice.zone_change == plans.ZoneChange("Europe/Istanbul", utc(2026, 7, 10, 22))


# ------------------------------------------------------------------------------------ the stored form


def test_a_stored_plan_is_read_whole() -> None:
    stored = plans.default_plan("krill_oil") | {
        "slots": [{"id": "a", "local_time": "08:00", "days": ["mon", "sun"], "before_min": 30, "after_min": 240}],
        "paused_until": "2026-03-10T09:00:00.000Z",
        "zone_change": {"former": "Asia/Kathmandu", "at": "2026-03-10T21:00:00.000Z"},
    }
    read = plans.plan_of(stored, version=7, timezone="Europe/Istanbul")
    assert read.slots == (Slot("a", time(8), frozenset({"mon", "sun"}), 30, 240),)
    assert read.paused_until == utc(2026, 3, 10, 9)
    assert read.zone_change == plans.ZoneChange("Asia/Kathmandu", utc(2026, 3, 10, 21))
    assert (read.version, read.dose_text, read.volume_ul) == (7, "3ml", 3000)
