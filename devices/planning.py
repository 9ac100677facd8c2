"""Reading and changing the plan of a dispenser (api.md 3)."""

from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import transaction

from devices import plan_edits, plans, services, sql
from devices.models import Device, SupplementProfile, ceiling_of
from devices.plan_edits import Faults, Surroundings
from zinzino import clock
from zinzino.api.errors import InvalidFields, SyncConflict


class InvalidPlan(InvalidFields):
    """422: what no plan of this supplement may say, by field."""

    def __init__(self, faults: Faults) -> None:
        super().__init__(**faults)


class PlanConflict(SyncConflict):
    """The plan has changed since the version that the person saw; `details.conflict` is the entry of sync.md."""

    reason = "conflict"


def shown_plan(device_id: UUID, user_id: UUID, *, now: datetime) -> dict[str, Any]:
    """The plan as the API shows it, its warnings in the language of the moment.

    Raises DeviceNotFound, DeviceOfAnother.
    """
    row = orjson.loads(services.visible(sql.plan(device_id), to=user_id))
    shown: dict[str, Any] = row["shown"]
    plan = plans.plan_of(row["stored"], version=shown["version"], timezone=shown["timezone"])
    around = surroundings(row["device_type"], row["others"])
    return shown | {"warnings": plan_edits.warnings(plan, around, now=now)}


def surroundings(device_type: str, others: list[tuple[str, int]]) -> Surroundings:
    family = plans.members(plans.family_of(device_type))
    per_day = sum(target for other_type, target in others if other_type in family)
    return Surroundings(SupplementProfile.of(device_type), ceiling_of(device_type), per_day)


@transaction.atomic
def edit_plan(
    device_id: UUID, user_id: UUID, fields: dict[str, Any], *, now: datetime, base_version: int | None = None
) -> None:
    """Change the given fields of a plan. The same edit again changes nothing, whatever its `base_version`.

    Raises DeviceNotFound, DeviceOfAnother, InvalidPlan, and PlanConflict where `base_version` is given and
    is not the plan's version any more.
    """
    device = services.locked(device_id, of=user_id)
    defaults = SupplementProfile.of(device.device_type)
    stored = plan_edits.edited(device.plan, fields, timezone=device.timezone, defaults=defaults, now=now)
    timezone = fields.get("timezone", device.timezone)
    if (stored, timezone) == (device.plan, device.timezone):
        return
    if base_version not in (None, device.plan_version):
        raise PlanConflict(conflict=conflict(device, stored, timezone, fields, base_version))
    version = device.plan_version + 1
    plan = plans.plan_of(stored, version=version, timezone=timezone)
    around = Surroundings(defaults, ceiling_of(device.device_type))
    if faults := plan_edits.faults(plan, fields, around, now=now):
        raise InvalidPlan(faults)
    stored["updated_at"] = clock.iso(now)
    Device.objects.filter(pk=device_id).update(
        plan=stored, plan_version=version, timezone=timezone, updated_at=now
    )


def conflict(
    device: Device, proposed: dict[str, Any], timezone: str, fields: dict[str, Any], base_version: int | None
) -> dict[str, Any]:
    """The entry that a phone gets for an offline write too: what it wanted, and what there is (sync.md)."""
    server = orjson.loads(services.visible(sql.plan(device.pk), to=device.user_id))["shown"]
    client = proposed | {"timezone": timezone}
    return {
        "entity": "plan",
        "id": device.pk,
        "type": "field_conflict",
        "resolution": "server_wins",
        "base_version": base_version,
        "server_version": device.plan_version,
        "fields": {
            name: {"client": client[name], "server": server[name], "server_changed_at": server["updated_at"]}
            for name in fields
            if client[name] != server[name]
        },
        "applied_fields": [],
        "server_record": server,
    }
