"""The slow and obvious computation: from the doses themselves and from what plans said when, day by day."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from devices import plans
from devices.models import Device
from devices.plans import Plan
from telemetry.models import ActivityLog, Dispense

NOTHING = {"planned": 0, "taken": 0, "unknown": 0, "pending": 0}


@dataclass
class Version:
    """A plan from the moment on at which it was seen."""

    at: datetime
    plan: Plan
    is_active: bool

    @property
    def day(self) -> date:
        return self.plan.local_date(self.at)

    def aims_at(self, day: date) -> int:
        until = self.plan.paused_until
        paused = until is not None and until > self.at and self.plan.local_date(until) > day
        return 0 if paused or not self.is_active else self.plan.target_per_day


@dataclass
class Diary:
    """Somebody who looks at all plans of a person after every moment, and writes down what is new."""

    user_id: UUID
    types: dict[UUID, str] = field(default_factory=dict)
    versions: dict[UUID, list[Version]] = field(default_factory=dict)

    def look(self, now: datetime) -> None:
        present = {device.pk: device for device in Device.objects.filter(user_id=self.user_id)}
        for device in present.values():
            self.types.setdefault(device.pk, device.device_type)
            plan = plans.plan_of(device.plan, version=device.plan_version, timezone=device.timezone)
            seen = self.versions.setdefault(device.pk, [])
            if not seen or (seen[-1].plan, seen[-1].is_active) != (plan, device.is_active):
                seen.append(Version(now if seen else device.created_at, plan, device.is_active))
        for device_id, seen in self.versions.items():
            if device_id not in present and seen[-1].is_active:
                seen.append(Version(now, seen[-1].plan, is_active=False))

    def target(self, device_id: UUID, day: date, doses: list[Any]) -> int:
        """Of one dispenser: what its plan said when the day ended."""
        seen = self.versions[device_id]
        if day < seen[0].day or (day == seen[0].day and not doses):
            return 0
        return [each for each in seen if each.day <= day][-1].aims_at(day)

    def limit(self, device_id: UUID, day: date) -> int:
        return [each for each in self.versions[device_id] if each.day <= day][-1].plan.max_per_day

    def days(self, first: date, last: date) -> dict[tuple[date, str], dict[str, int]]:
        """By day and family; days without anything left out."""
        found = {}
        doses = kinds_of(self.user_id)
        day = first
        while day <= last:
            for family in sorted(set(plans.FAMILIES.values())):
                entry = self.day(day, family, doses)
                if entry != NOTHING:
                    found[day, family] = entry
            day += timedelta(days=1)
        return found

    def day(self, day: date, family: str, doses: list[tuple[date, Dispense, str]]) -> dict[str, int]:
        today = [(dose, kind) for on, dose, kind in doses if on == day and dose.family == family]
        targets, limits = [], []
        for device_id, device_type in self.types.items():
            if plans.family_of(device_type) != family:
                continue
            own = [dose for dose, kind in today if dose.device_id == device_id and kind != "not_taken"]
            if target := self.target(device_id, day, own):
                targets.append(target)
                limits.append(self.limit(device_id, day))
        counted = {name: sum(kind == name for _, kind in today) for name in ("taken", "unknown", "pending")}
        return {"planned": min(sum(targets), max(limits, default=0)), **counted}


def kinds_of(user_id: UUID) -> list[tuple[date, Dispense, str]]:
    """Every dose that counts for a family, with the local day of its line and what it counts as."""
    days = dict(ActivityLog.objects.filter(user_id=user_id).values_list("pk", "local_date"))
    return [(days[dose.activity_id], dose, kind(dose)) for dose in Dispense.objects.filter(user_id=user_id)]


def kind(dose: Dispense) -> str:
    """The table "What counts" of api.md 6, column adherence."""
    match dose.status:
        case Dispense.Status.FAILED | Dispense.Status.NOT_STARTED if dose.actual_amount == 0:
            return "not_taken"
        case _ if dose.resolved_as:
            return str(dose.resolved_as)
        case Dispense.Status.AUTHORIZED:
            return "pending"
        case Dispense.Status.UNCONFIRMED:
            return "unknown"
        case Dispense.Status.FAILED | Dispense.Status.NOT_STARTED if dose.actual_amount is None:
            return "unknown"
    return "taken"
