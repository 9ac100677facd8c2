"""At which instants a person is reminded: clocks that change, people who fly, plans with times (pure)."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import plans
from devices.plans import DAYS
from notifications.schedule import CATCH_UP, Dispenser, Dose, Schedule, waiting

BERLIN, ISTANBUL = "Europe/Berlin", "Europe/Istanbul"
ZONES = [
    BERLIN,
    ISTANBUL,
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "America/Havana",
    "Asia/Kathmandu",
]
HOUR = timedelta(hours=1)


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def own(zone: str, *times: str) -> Schedule:
    return Schedule([time.fromisoformat(each) for each in times], zone, [])


def walk(schedule: Schedule, start: datetime, count: int) -> list[datetime]:
    found = []
    for _ in range(count):
        following = schedule.next_after(start)
        assert following
        found.append(following)
        start = following
    return found


def wall(moments: Iterable[datetime], zone: str) -> list[str]:
    return [f"{moment.astimezone(ZoneInfo(zone)):%d %H:%M}" for moment in moments]


def dispenser(number: int = 1, family: str = "omega", **changes: object) -> Dispenser:
    plan = plans.plan_of(plans.default_plan("fish_oil"), version=1, timezone=ISTANBUL)
    return Dispenser(UUID(int=number), f"D{number}", family, replace(plan, **changes))  # type: ignore[arg-type]


def slot(at: str, days: Iterable[str] = DAYS, before: int = 30) -> plans.Slot:
    return plans.Slot(f"at-{at}", time.fromisoformat(at), frozenset(days), before, 240)


# ------------------------------------------------------------------------- nights on which clocks change


def test_at_half_past_two_on_the_night_of_spring_it_is_half_past_three() -> None:
    found = walk(own(BERLIN, "02:30"), utc(2027, 3, 26, 12), 3)
    assert wall(found, BERLIN) == ["27 02:30", "28 03:30", "29 02:30"]


def test_at_half_past_two_on_the_night_of_autumn_it_comes_once() -> None:
    found = walk(own(BERLIN, "02:30"), utc(2027, 10, 29, 12), 3)
    assert wall(found, BERLIN) == ["30 02:30", "31 02:30", "01 02:30"]
    assert found[1] == utc(2027, 10, 31, 0, 30)  # the first of the two


def test_eight_stays_eight_when_clocks_change() -> None:
    found = walk(own(BERLIN, "08:00"), utc(2027, 3, 26, 12), 4)
    assert wall(found, BERLIN) == ["27 08:00", "28 08:00", "29 08:00", "30 08:00"]


def test_two_times_whose_order_the_spring_turns_around_both_come() -> None:
    found = walk(own(BERLIN, "02:30", "03:00"), utc(2027, 3, 27, 12), 3)
    assert wall(found, BERLIN) == ["28 03:00", "28 03:30", "29 02:30"]


@given(
    st.lists(st.times().map(lambda at: at.replace(second=0, microsecond=0)), min_size=1, max_size=4, unique=True),
    st.sampled_from(ZONES),
    st.integers(0, 3 * 365 * 24 * 60),
)
@settings(max_examples=300)
def test_the_next_is_the_first_of_all(times: list[time], zone: str, minute: int) -> None:
    """Against an oracle that looks at every date around."""
    schedule, moment = Schedule(sorted(times), zone, []), utc(2026, 1, 1) + timedelta(minutes=minute)
    days = [moment.astimezone(ZoneInfo(zone)).date() + timedelta(days=day) for day in range(-2, 5)]
    every = [datetime.combine(day, at, ZoneInfo(zone)).astimezone(UTC) for day in days for at in times]
    assert schedule.next_after(moment) == min(at for at in every if at > moment)


# ----------------------------------------------------------------------------------------- plans with times


def test_a_plan_with_times_takes_the_place_of_the_persons_own() -> None:
    planned = dispenser(slots=(slot("07:15"), slot("19:45", ("mon",))))
    schedule = Schedule([time(8)], ISTANBUL, [planned])
    found = walk(schedule, utc(2026, 3, 8, 21), 4)  # Monday, the 9th
    assert wall(found, ISTANBUL) == ["09 07:15", "09 19:45", "10 07:15", "11 07:15"]


def test_the_persons_own_times_stay_for_a_dispenser_without() -> None:
    schedule = Schedule([time(8)], ISTANBUL, [dispenser(1, slots=(slot("07:15"),)), dispenser(2)])
    found = walk(schedule, utc(2026, 3, 8, 21), 3)
    assert wall(found, ISTANBUL) == ["09 07:15", "09 08:00", "10 07:15"]


def test_a_plan_keeps_its_own_zone() -> None:
    planned = dispenser(slots=(slot("08:00"),), timezone="America/New_York")
    assert wall(walk(Schedule([time(8)], ISTANBUL, [planned]), utc(2026, 1, 8, 21), 1), ISTANBUL) == ["09 16:00"]


def test_a_zone_that_changes_can_bring_tomorrows_first_time_before_todays_last() -> None:
    change = plans.ZoneChange(ISTANBUL, utc(2026, 3, 9, 15))  # midnight in Tokyo
    moving = dispenser(slots=(slot("00:30"), slot("20:00")), timezone="Asia/Tokyo", zone_change=change)
    found = walk(Schedule([time(8)], ISTANBUL, [moving]), utc(2026, 3, 9, 12), 3)
    assert found == [utc(2026, 3, 9, 15, 30), utc(2026, 3, 9, 17), utc(2026, 3, 10, 11)]


def test_times_that_fall_together_are_one_reminder() -> None:
    one, other = dispenser(1, slots=(slot("08:00"),)), dispenser(2, "vitamin_d", slots=(slot("08:00"),))
    schedule = Schedule([time(8)], ISTANBUL, [one, other, dispenser(3)])
    slots = schedule.latest(after=utc(2026, 3, 9, 4), until=utc(2026, 3, 9, 6))
    assert {each.cause for each in slots} == {"reminder:2026-03-09:08:00"}
    assert [each.id for each in waiting(slots, schedule, [], now=utc(2026, 3, 9, 6))] == [
        each.id for each in (schedule.dispensers[2], one, other)
    ]


def test_the_latest_is_the_last_that_has_passed() -> None:
    schedule = own(ISTANBUL, "07:00", "08:00", "20:00")
    [found] = schedule.latest(after=utc(2026, 3, 9, 3), until=utc(2026, 3, 9, 5, 30))
    assert (found.time, found.date) == (time(8), date(2026, 3, 9))
    assert schedule.latest(after=utc(2026, 3, 9, 6), until=utc(2026, 3, 9, 7)) == []


# ------------------------------------------------------------------------------------ what was taken already

EIGHT = utc(2026, 3, 9, 5)  # in Istanbul


def waits(schedule: Schedule, at: datetime, *doses: Dose) -> bool:
    slots = schedule.latest(after=at - timedelta(minutes=1), until=at)
    assert slots
    return bool(waiting(slots, schedule, doses, now=at))


@pytest.mark.parametrize(
    ("times", "target", "taken", "expected"),
    [
        # One dose, one reminder.
        (["08:00"], 1, 0, [True]),
        (["08:00"], 1, 1, [False]),
        # One dose, two reminders: the second asks again.
        (["08:00", "20:00"], 1, 0, [True, True]),
        (["08:00", "20:00"], 1, 1, [False, False]),
        # Two doses, two reminders: the first is for the first.
        (["08:00", "20:00"], 2, 1, [False, True]),
        (["08:00", "20:00"], 2, 2, [False, False]),
        # Two doses, one reminder.
        (["08:00"], 2, 1, [True]),
    ],
)
def test_a_reminder_is_needed_while_doses_are_missing(
    times: list[str], target: int, taken: int, expected: list[bool]
) -> None:
    schedule = replace(own(ISTANBUL, *times), dispensers=[dispenser(target_per_day=target)])
    doses = [Dose("omega", EIGHT - 2 * HOUR)] * taken
    assert [waits(schedule, at, *doses) for at in walk(schedule, EIGHT - HOUR, len(times))] == expected


def test_only_doses_of_the_family_and_of_today_count() -> None:
    schedule = replace(own(ISTANBUL, "08:00"), dispensers=[dispenser()])
    assert waits(schedule, EIGHT, Dose("vitamin_d", EIGHT - HOUR))
    assert waits(schedule, EIGHT, Dose("omega", EIGHT - 9 * HOUR))  # 23:00 yesterday
    assert not waits(schedule, EIGHT, Dose("omega", EIGHT - 7 * HOUR))  # 01:00


def test_a_slot_is_served_by_a_dose_in_its_window() -> None:
    schedule = replace(own(ISTANBUL, "08:00"), dispensers=[dispenser(slots=(slot("08:00"), slot("20:00")))])
    assert not waits(schedule, EIGHT, Dose("omega", EIGHT - timedelta(minutes=30)))
    assert waits(schedule, EIGHT, Dose("omega", EIGHT - timedelta(minutes=31)))
    assert waits(schedule, EIGHT, Dose("vitamin_d", EIGHT))
    assert waits(schedule, EIGHT + 12 * HOUR, Dose("omega", EIGHT))


def test_a_paused_dispenser_waits_for_nothing() -> None:
    schedule = replace(own(ISTANBUL, "08:00"), dispensers=[dispenser(paused_until=EIGHT + HOUR)])
    assert not waits(schedule, EIGHT)
    assert waits(schedule, EIGHT + 24 * HOUR)


# ---------------------------------------------------------------------------------------------- people who fly


class Traveller:
    """The tick of the product for one person, in small: the same rule of catching up, names that come once."""

    def __init__(self, at: str, zone: str, start: datetime) -> None:
        self.at, self.zone, self.now = at, zone, start
        self.told: list[tuple[str, datetime]] = []
        self.next = own(zone, at).next_after(start)

    def live_until(self, moment: datetime) -> None:
        while self.next and self.next <= moment:
            now = max(self.next, self.now)
            for each in own(self.zone, self.at).latest(
                after=max(self.next - timedelta(milliseconds=1), now - CATCH_UP), until=now
            ):
                if each.cause not in dict(self.told):
                    self.told.append((each.cause, now))
            self.next = own(self.zone, self.at).next_after(now)
        self.now = moment

    def fly(self, zone: str) -> None:
        self.zone = zone
        self.next = own(zone, self.at).next_after(self.now - CATCH_UP)


def test_flying_west_and_east_it_comes_once_a_local_day() -> None:
    person = Traveller("08:00", ISTANBUL, utc(2026, 3, 1, 12))
    for day, zone in ((3, "America/New_York"), (6, ISTANBUL), (9, "Asia/Tokyo"), (12, ISTANBUL)):
        person.live_until(utc(2026, 3, day, 6))
        person.fly(zone)
    person.live_until(utc(2026, 3, 16, 6))
    dates = [cause.split(":")[1] for cause, _ in person.told]
    # Landing in Tokyo on the 9th at 15:00 local time: the reminder of Istanbul was at 08:00 there.
    assert dates == [f"2026-03-{day:02}" for day in range(2, 17)]


@given(
    st.lists(st.tuples(st.integers(1, 400), st.sampled_from(ZONES)), max_size=8),
    st.times().map(lambda at: at.replace(second=0, microsecond=0)),
)
@settings(max_examples=200)
def test_wherever_somebody_flies_never_twice_a_date_and_never_at_another_hour(
    flights: list[tuple[int, str]], at: time
) -> None:
    start = utc(2027, 3, 20)
    person = Traveller(f"{at:%H:%M}", BERLIN, start)
    for hours, zone in flights:
        person.live_until(person.now + timedelta(hours=hours))
        before = person.zone
        person.fly(zone)
        assert before in ZONES
    person.live_until(person.now + timedelta(days=3))
    causes = [cause for cause, _ in person.told]
    assert len(causes) == len(set(causes))
    moments = [moment for _, moment in person.told]
    assert moments == sorted(moments)
