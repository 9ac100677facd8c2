"""Days in the life of a household: every history that Hypothesis can think of (iot.md 5)."""

from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Sum
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from devices import plans
from devices.credentials import DeviceCaller
from devices.models import Device, DoseDay
from devices.planning import InvalidPlan, edit_plan
from telemetry import manual, settlement
from telemetry.models import ActivityLog, Dispense
from tests import make
from tests.telemetry.histories.simulated import Course, Fate, Journalled, Plain, Pour, World, family_plan

FATES, COURSES = st.sampled_from(Fate), st.sampled_from(Course)
UNITS = st.integers(0, 2)
# Ordinary days, both nights on which clocks change in Berlin, and one on which Samoa left a day out.
STARTS = [
    (datetime(2026, 3, 10, 6, tzinfo=UTC), "Europe/Istanbul"),
    (datetime(2026, 3, 28, 20, tzinfo=UTC), "Europe/Berlin"),
    (datetime(2026, 10, 24, 20, tzinfo=UTC), "Europe/Berlin"),
    (datetime(2011, 12, 29, 20, tzinfo=UTC), "Pacific/Apia"),
]
ZONES = st.sampled_from(["Europe/Istanbul", "Europe/Berlin", "America/Los_Angeles", "Pacific/Auckland"])
SKEWS = st.sampled_from(
    [timedelta(0), timedelta(seconds=-40), timedelta(minutes=4), timedelta(minutes=-4), timedelta(hours=-3)]
)


def slot(name: str, local_time: str) -> dict[str, Any]:
    return {"id": name, "local_time": local_time, "days": list(plans.DAYS), "before_min": 60, "after_min": 240}


EDITS: list[dict[str, Any]] = [
    {"slots": [], "max_per_day": 2, "target_per_day": 1, "min_interval_min": 240, "rolling_hours": 20},
    {"max_per_day": 1, "target_per_day": 1},
    {"slots": [], "max_per_day": 4, "min_interval_min": 60, "rolling_hours": 6},
    {"slots": [slot("morning", "08:00"), slot("night", "02:30")], "min_interval_min": 60},
    {"slots": [slot("late", "23:30")]},
]
# What was counted over all histories, for the report of the long run.
COUNTED: Counter[str] = Counter()


class Household(RuleBasedStateMachine):
    """Two dispensers with a journal and a plain one, all of one supplement of one person."""

    @initialize(start=st.sampled_from(STARTS), skews=st.tuples(SKEWS, SKEWS, SKEWS))
    def begin(self, start: tuple[datetime, str], skews: tuple[timedelta, timedelta, timedelta]) -> None:
        self.savepoint = transaction.atomic()
        self.savepoint.__enter__()
        now, zone = start
        self.world = World(now)
        user = make.person(now=now - timedelta(days=60), timezone=zone).user
        kinds = (("fish_oil", Journalled), ("krill_oil", Journalled), ("vegan", Plain))
        self.units: list[Any] = []
        for (device_type, kind), skew in zip(kinds, skews, strict=True):
            made = make.dispenser(user, device_type=device_type, now=now - timedelta(days=60))
            caller = DeviceCaller(made.id, user.id, device_type)
            self.units.append(kind(self.world, caller, skew))
        self.judged = 0

    @rule(seconds=st.integers(1, 70))
    def a_moment_passes(self, seconds: int) -> None:
        self.world.now += timedelta(seconds=seconds)

    @rule(minutes=st.integers(5, 20 * 60))
    def hours_pass(self, minutes: int) -> None:
        self.world.now += timedelta(minutes=minutes)

    @rule(unit=UNITS)
    def a_cup_is_placed(self, unit: int) -> None:
        self.units[unit].place()

    @rule(unit=UNITS, fate=FATES)
    def a_cup_is_removed(self, unit: int, fate: Fate) -> None:
        self.units[unit].remove(fate)

    @rule(unit=st.integers(0, 1))
    def a_cup_is_removed_offline(self, unit: int) -> None:
        self.units[unit].remove_unheard()

    @rule(unit=st.integers(0, 1), fate=FATES, carry=st.booleans())
    def it_asks(self, unit: int, fate: Fate, carry: bool) -> None:
        self.units[unit].ask(fate, carry=carry)

    @rule(unit=st.integers(0, 1), course=COURSES)
    def it_obeys(self, unit: int, course: Course) -> None:
        self.units[unit].obey(course)

    @rule(fate=FATES, course=COURSES, boot_s=st.integers(61, 600))
    def the_plain_one_asks(self, fate: Fate, course: Course, boot_s: int) -> None:
        self.units[2].ask(fate, course, boot_s=boot_s)

    @rule(unit=UNITS, minutes=st.integers(0, 10 * 60), course=COURSES)
    def somebody_wants_a_dose(self, unit: int, minutes: int, course: Course) -> None:
        """The ordinary way, so that histories hold many doses."""
        self.world.now += timedelta(minutes=minutes)
        one = self.units[unit]
        one.remove(Fate.ARRIVES)
        one.place()
        if isinstance(one, Plain):
            one.ask(Fate.ARRIVES, course, boot_s=61)
        else:
            one.ask(Fate.ARRIVES, carry=True)
            one.obey(course)

    @rule(unit=st.integers(0, 1), fate=FATES, as_event=st.booleans())
    def it_reports(self, unit: int, fate: Fate, as_event: bool) -> None:
        self.units[unit].report(fate, as_event=as_event)

    @rule(unit=st.integers(0, 1))
    def it_pours_by_itself(self, unit: int) -> None:
        self.units[unit].pour_unasked()

    @rule(unit=UNITS, minutes_ago=st.integers(0, 600))
    def somebody_takes_a_dose_by_hand(self, unit: int, minutes_ago: int) -> None:
        """It counts from its own time on, but recalls no yes that has arrived."""
        one, at = self.units[unit], self.world.now - timedelta(minutes=minutes_ago)
        caller = one.caller
        taken = manual.create(
            caller.user_id,
            timezone="Europe/Istanbul",
            now=self.world.now,
            action="dose_taken_manual",
            device_id=caller.id,
            timestamp=at,
        )
        plan = family_plan(caller, self.world.now)
        self.world.pours.append(Pour(caller.id, one.family, at, taken.id, plan, unasked=True, by_hand=True))
        self.world.heard_of.add(taken.id)

    @rule()
    def overdue_doses_are_swept(self) -> None:
        settlement.sweep(now=self.world.now)

    @rule(unit=UNITS, fields=st.sampled_from(EDITS))
    def the_plan_is_edited(self, unit: int, fields: dict[str, Any]) -> None:
        caller = self.units[unit].caller
        with suppress(InvalidPlan):  # together with what stands already
            edit_plan(caller.id, caller.user_id, fields, now=self.world.now)

    @rule(unit=UNITS, zone=ZONES)
    def they_travel(self, unit: int, zone: str) -> None:
        caller = self.units[unit].caller
        edit_plan(caller.id, caller.user_id, {"timezone": zone}, now=self.world.now)

    # --- what must hold -----------------------------------------------------------------------

    @precondition(lambda self: hasattr(self, "world") and len(self.world.pours) > self.judged)
    @invariant()
    def no_dose_is_one_too_many(self) -> None:
        for position in range(self.judged, len(self.world.pours)):
            if not self.world.pours[position].unasked:
                judge(self.world.pours[position], self.known_before(position))
        self.judged = len(self.world.pours)

    def known_before(self, position: int) -> list[Pour]:
        """What the server knew when it said yes: the doses it was asked for, and those it had heard of."""
        pour, earlier = self.world.pours[position], self.world.pours[:position]
        known = [*pour.known, *(each for each in earlier if not each.unasked)]
        return [each for each in known if each.family == pour.family]

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self.all_is_reported()
                self.the_record_holds_every_dose()
                self.the_counters_agree()
                COUNTED["histories"] += 1
                COUNTED["doses poured"] += len(self.world.pours)
                COUNTED["yes without a pour"] += self.missed()
        finally:
            if hasattr(self, "savepoint"):
                transaction.set_rollback(True)
                self.savepoint.__exit__(None, None, None)

    def missed(self) -> int:
        poured = {each.dispense_id for each in self.world.pours}
        allowed = Dispense.objects.filter(decided_by="server").values_list("pk", flat=True)
        return len(set(allowed) - poured)

    def all_is_reported(self) -> None:
        self.world.now += timedelta(minutes=2)
        for unit in self.units[:2]:
            while unit.journal:
                unit.report(Fate.TWICE, as_event=True)
        settlement.sweep(now=self.world.now)

    def the_record_holds_every_dose(self) -> None:
        counting = set(Dispense.objects.filter(counts=True, decided_by="server").values_list("pk", flat=True))
        asked = [each.dispense_id for each in self.world.pours if not each.unasked]
        assert set(asked) <= counting, "a dose that came out is not in the record"
        unasked = sum(each.unasked and not each.by_hand for each in self.world.pours)
        assert Dispense.objects.filter(decided_by="device").count() == unasked, "recorded twice, or not at all"

    def the_counters_agree(self) -> None:
        for unit in self.units:
            device = unit.caller.id
            lines = ActivityLog.objects.filter(device_id=device, action="dose_dispensed").count()
            days = DoseDay.objects.filter(device_id=device).aggregate(total=Sum("doses"))["total"] or 0
            assert Device.objects.get(pk=device).total_doses_dispensed == lines == days


def judge(pour: Pour, earlier: list[Pour]) -> None:
    """Whether a dose may follow the earlier ones, by the plan it was decided by."""
    plan, at = pour.plan, pour.authorized_at
    for other in earlier:
        assert at - other.authorized_at >= plan.min_interval, "two doses too close"
    day = [other for other in earlier if plan.local_date(other.authorized_at) == plan.local_date(at)]
    assert len(day) < plan.max_per_day, "too many doses on one day"
    rolling = [other for other in earlier if other.authorized_at > at - plan.rolling]
    assert len(rolling) < plan.max_per_day, "too many doses in a row"
    if plan.slots:
        assert plan.windows_at(at), "a dose outside its hours"
