"""A person's dispensers while the person writes into the log: locked, and by what their doses are measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from django.utils.translation import gettext as _

from devices import plans
from devices.models import Device, SupplementProfile
from devices.plans import Plan
from devices.services import DeviceNotFound, DeviceOfAnother
from telemetry import sql
from telemetry.entries import Entry
from zinzino.api.errors import InvalidFields


@dataclass(frozen=True, slots=True)
class Supply:
    """The supplement that a dose is of, and how much of it is one dose."""

    family: str
    unit: str
    dose_text: str | None
    plan_version: int

    @classmethod
    def of(cls, device_type: str, plan: Plan) -> "Supply":
        return cls(plans.family_of(device_type), plan.unit, plan.dose_text, plan.version)


@dataclass(frozen=True, slots=True)
class Household:
    """A person's locked dispensers, and those of others that entries name."""

    timezone: str
    devices: Mapping[UUID, sql.LockedDevice]
    foreign: frozenset[UUID]
    # What dispensers that nobody here has would pour by, as far as it was asked for.
    usual: dict[str, Plan] = field(default_factory=dict)

    def dispenser(self, device_id: UUID) -> sql.LockedDevice:
        """Raises DeviceNotFound, DeviceOfAnother."""
        if device_id in self.devices:
            return self.devices[device_id]
        raise DeviceOfAnother if device_id in self.foreign else DeviceNotFound

    def supply(self, entry: Entry) -> Supply | None:
        """None where a dose names no supplement. Raises DeviceNotFound, DeviceOfAnother, InvalidFields."""
        if entry.device_id is not None:
            device = self.dispenser(entry.device_id)
            if entry.supplement not in (None, device.device_type):
                raise InvalidFields(supplement=[_("The device holds another supplement.")])
            return Supply.of(device.device_type, plan_of(device))
        if entry.supplement is None:
            return None
        own = [device for device in self.devices.values() if device.device_type == entry.supplement]
        return Supply.of(entry.supplement, plan_of(own[0]) if own else self.usual_plan(entry.supplement))

    def usual_plan(self, device_type: str) -> Plan:
        if device_type not in self.usual:
            stored = plans.default_plan(device_type, SupplementProfile.of(device_type))
            self.usual[device_type] = plans.plan_of(stored, version=0, timezone=self.timezone)
        return self.usual[device_type]

    def local_date(self, entry: Entry, at: datetime) -> date:
        """A device's lines are dated in its own zone, all others in the person's."""
        device = self.devices.get(entry.device_id) if entry.device_id else None
        if device:
            return plan_of(device).local_date(at)
        return at.astimezone(ZoneInfo(self.timezone)).date()


def plan_of(device: sql.LockedDevice) -> Plan:
    return plans.plan_of(orjson.loads(device.plan), version=device.plan_version, timezone=device.timezone)


def lock(user_id: UUID, *, timezone: str, named: Sequence[UUID | None] = ()) -> Household:
    """Lock all of a person's dispensers by ascending id, so that no decision looks while doses come and go."""
    devices = {device.id: device for device in sql.lock_family(user_id, list(plans.FAMILIES))}
    unknown = [device_id for device_id in named if device_id and device_id not in devices]
    foreign = Device.objects.filter(pk__in=unknown).values_list("pk", flat=True) if unknown else ()
    return Household(timezone, devices, frozenset(foreign))
