"""Whatever happens to a household, the roll-ups say what the raw rows say."""

from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from analytics import adherence, audit, fleet, sql, streaks
from analytics.course import course
from analytics.models import AdherenceDay
from devices import services as devices
from devices.credentials import DeviceCaller
from devices.models import Device
from devices.planning import InvalidPlan, edit_plan
from telemetry import answers, manual
from telemetry.models import ActivityLog, Dispense
from tests import make
from tests.analytics.oracle import Diary
from tests.telemetry.histories.machine import FATES, SKEWS, UNITS, Household
from tests.telemetry.histories.simulated import Course, Plain
from tests.telemetry.histories.simulated import Dispenser as SimulatedUnit
from zinzino.api.errors import ApiError

HISTORIES = settings(
    max_examples=40,
    stateful_step_count=25,
    # A smaller example of a failure takes minutes to find.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
LONG = settings(HISTORIES, max_examples=2000, stateful_step_count=60)
HOURS = st.integers(0, 500)
TYPES = st.sampled_from(["fish_oil", "vitamin_d", "vegan"])


class Counted(Household):
    """A household whose dispensers also come and go, and are paused and switched off, and whose people
    write doses by hand, change what they wrote, and answer."""

    @initialize()
    def nobody_has_come(self) -> None:
        self.guests: list[SimulatedUnit] = []

    @precondition(lambda self: hasattr(self, "world"))
    @rule(days=st.integers(1, 4))
    def days_pass(self, days: int) -> None:
        self.world.now += timedelta(days=days)

    @precondition(lambda self: hasattr(self, "world"))
    @rule(device_type=TYPES, skew=SKEWS)
    def a_dispenser_is_added(self, device_type: str, skew: timedelta) -> None:
        user = Device.objects.get(pk=self.units[0].caller.id).user
        made = make.dispenser(user, device_type=device_type, now=self.world.now)
        self.guests.append(Plain(self.world, DeviceCaller(made.id, user.pk, device_type), skew))

    @precondition(lambda self: bool(getattr(self, "guests", None)))
    @rule(fate=FATES, place=st.integers(0, 9))
    def it_pours(self, fate: Any, place: int) -> None:
        unit: Any = self.guests[place % len(self.guests)]
        unit.place()
        unit.ask(fate, Course.POURS, boot_s=61)
        unit.remove(fate)

    @precondition(lambda self: bool(getattr(self, "guests", None)))
    @rule(place=st.integers(0, 9))
    def it_is_removed(self, place: int) -> None:
        unit = self.guests.pop(place % len(self.guests))
        devices.remove(unit.caller.id, unit.caller.user_id, now=self.world.now)

    @precondition(lambda self: hasattr(self, "world"))
    @rule(unit=UNITS, hours=st.one_of(st.none(), st.integers(1, 100)))
    def it_is_paused(self, unit: int, hours: int | None) -> None:
        until = self.world.now + timedelta(hours=hours) if hours else None
        self.edit(unit, {"paused_until": until})

    @precondition(lambda self: hasattr(self, "world"))
    @rule(unit=UNITS, doses=st.integers(1, 3))
    def its_target_changes(self, unit: int, doses: int) -> None:
        self.edit(unit, {"target_per_day": doses, "max_per_day": 3})

    @precondition(lambda self: hasattr(self, "world"))
    @rule(unit=UNITS, is_active=st.booleans())
    def it_is_switched(self, unit: int, is_active: bool) -> None:
        caller = self.units[unit].caller
        devices.update(caller.id, caller.user_id, {"is_active": is_active}, now=self.world.now)

    @precondition(lambda self: hasattr(self, "world"))
    @rule(where=st.sampled_from(["device", "vitamin_d", "krill_oil", "nowhere"]), unit=UNITS, hours=HOURS)
    def one_is_taken_by_hand(self, where: str, unit: int, hours: int) -> None:
        of = {"device_id": self.units[unit].caller.id} if where == "device" else {"supplement": where}
        said: dict[str, Any] = {} if where == "nowhere" else of
        self.by_hand(said, hours=hours)

    def by_hand(self, said: dict[str, Any], *, hours: int) -> None:
        at = self.world.now - timedelta(hours=hours)
        manual.create(
            self.diary.user_id,
            timezone="Europe/Istanbul",
            now=self.world.now,
            action="dose_taken_manual",
            timestamp=at,
            **said,
        )

    @precondition(lambda self: hasattr(self, "world"))
    @rule(place=st.integers(0, 9), hours=HOURS, change=st.sampled_from(["moved", "named", "deleted"]))
    def an_entry_changes(self, place: int, hours: int, change: str) -> None:
        own = ActivityLog.objects.filter(user_id=self.diary.user_id, action="dose_taken_manual").order_by(
            "timestamp"
        )
        entries = list(own)
        if not entries:
            return
        entry = entries[place % len(entries)]
        about: dict[str, Any] = {"user_id": self.diary.user_id, "timezone": "Europe/Berlin"}
        if change == "deleted":
            manual.delete(entry.id, **about)
            self.world.heard_of.discard(entry.id)
            return
        at = self.world.now - timedelta(hours=hours)
        said = (
            {"timestamp": at}
            if change == "moved"
            else {"device_id": self.units[0].caller.id, "dose_amount": "5ml"}
        )
        manual.edit(entry.id, **about, now=self.world.now, **said)
        if change == "moved":
            pours = self.world.pours
            pours[:] = [
                replace(each, authorized_at=at) if each.dispense_id == entry.id else each for each in pours
            ]

    @precondition(lambda self: hasattr(self, "diary"))
    @rule(days=st.integers(-1, 30))
    def the_streak_is_marked(self, days: int) -> None:
        """Earlier than the job does, so that doses and plans change days before the mark."""
        streaks.mark(self.diary.user_id, through=self.world.now.date() - timedelta(days=days))

    @precondition(lambda self: hasattr(self, "world"))
    @rule(place=st.integers(0, 9), outcome=st.sampled_from(Dispense.Outcome))
    def somebody_answers(self, place: int, outcome: Dispense.Outcome) -> None:
        doses = list(Dispense.objects.filter(user_id=self.diary.user_id).order_by("authorized_at"))
        if doses:
            dose = doses[place % len(doses)]
            with suppress(ApiError):  # where there is nothing to answer
                answers.resolve(dose.activity_id, self.diary.user_id, outcome, now=self.world.now)

    def edit(self, unit: int, fields: dict[str, Any]) -> None:
        caller = self.units[unit].caller
        with suppress(InvalidPlan):
            edit_plan(caller.id, caller.user_id, fields, now=self.world.now)

    @precondition(lambda self: hasattr(self, "world"))
    @invariant()
    def what_plans_say_is_written_down(self) -> None:
        if not hasattr(self, "diary"):
            self.diary = Diary(self.units[0].caller.user_id)
        self.diary.look(self.world.now)

    def teardown(self) -> None:
        try:
            if hasattr(self, "diary"):
                self.the_rollups_say_what_the_rows_say()
        finally:
            super().teardown()

    def the_report_says_the_same(self, first: date, last: date) -> None:
        """Each of its tables, added up, against what is planned and taken by the diary."""
        user_id, zone = self.diary.user_id, "America/New_York"
        history, hours, _name = sql.report(user_id, first=first, last=last, today=last, zone=zone)
        found = course(history, first=first)
        days = self.diary.days(first, last)
        taken = sum(min(each["taken"], each["planned"]) for each in days.values())
        unknown = sum(each["unknown"] for each in days.values())
        assert (found.whole.taken, found.whole.unknown) == (taken, unknown)
        for parts in (found.families.values(), found.weekdays, [each for _span, each in found.stretches]):
            for name in ("taken", "missed", "unknown", "pending"):
                assert sum(getattr(each, name) for each in parts) == getattr(found.whole, name)
        assert sum(each.missed for each in found.gaps) == found.whole.missed
        assert sum(count for _day, _family, count in found.unknowns) == unknown
        lines = ActivityLog.objects.filter(
            user_id=user_id, local_date__range=(first, last), action__in=("dose_dispensed", "dose_taken_manual")
        )
        at = [each.timestamp.astimezone(ZoneInfo(zone)).hour for each in lines]
        assert hours == {hour: at.count(hour) for hour in set(at)}
        amounts = [each.dose_amount or "" for each in lines]
        ml = [Decimal(amount.removesuffix("ml")) for amount in amounts if amount.endswith("ml")]
        assert sum(dose.amount_ml for dose in history.doses) == sum(ml)

    def the_fleet_sums_up_its_people(self, last: date) -> None:
        """Of the newest days on which anything happened."""
        user_id = self.diary.user_id
        known = sql.history(user_id, first=last - timedelta(days=160), last=last, today=last).days()
        for day in sorted({each.day for each in known if each.is_over})[-8:]:
            fleet.sum_day(day)
            whole = adherence.adherence(each for each in known if each.day == day)
            rows = AdherenceDay.objects.filter(day=day).values_list("expected", "taken", "unknown")
            found = tuple(map(sum, zip(*rows, strict=True))) or (0, 0, 0)
            assert found == (whole.expected, whole.taken, whole.unknown), day

    def the_rollups_say_what_the_rows_say(self) -> None:
        last = self.world.now.date() + timedelta(days=2)
        first = last - timedelta(days=160)
        known = sql.history(self.diary.user_id, first=first, last=last, today=last).days()
        figures = ("planned", "taken", "unknown", "pending")
        found = {(each.day, each.family): {name: getattr(each, name) for name in figures} for each in known}
        found = {key: entry for key, entry in found.items() if any(entry.values())}
        assert found == self.diary.days(first, last)
        assert not audit.faults_of(self.diary.user_id)
        walked = adherence.streak(sql.history(self.diary.user_id, first=first, last=last, today=last).days())
        assert sql.streak(self.diary.user_id, today=last) == (walked.current, walked.longest)
        lines = ActivityLog.objects.filter(user_id=self.diary.user_id, local_date__range=(first, last))
        doses = lines.filter(action__in=("dose_dispensed", "dose_taken_manual")).count()
        known_doses = sql.history(self.diary.user_id, first=first, last=last, today=last).doses
        assert sum(each.total for each in known_doses) == doses
        self.the_fleet_sums_up_its_people(last)
        self.the_report_says_the_same(first, last)


@pytest.mark.django_db
def test_rollups_equal_the_raw_rows() -> None:
    run_state_machine_as_test(Counted, settings=HISTORIES)


@pytest.mark.soak
@pytest.mark.django_db
def test_rollups_equal_the_raw_rows_in_long_histories() -> None:
    run_state_machine_as_test(Counted, settings=LONG)
