"""`GET /devices/:id`: a device with its state, its statistics and when it may pour again, in one statement."""

from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from devices import plans, services
from devices.sql import DETAILS
from telemetry import dispensing, sql
from telemetry.family import REACH, limits_of
from zinzino.prepared import prepared

# Which family it is stands in the device itself.
_TYPES = " ".join(f"WHEN '{name}' THEN '{family}'" for name, family in plans.FAMILIES.items())
_FAMILY = f"(SELECT CASE device_type {_TYPES} END FROM devices WHERE id = %(device_id)s)"
DETAILS_AND_FAMILY = f"""
SELECT found.user_id, found.shown::text, found.stored_plan::text, known.*
  FROM ({DETAILS}) AS found, ({sql.FAMILY_SITUATION.replace("%(family)s", _FAMILY)}) AS known"""


def of(device_id: UUID, user_id: UUID, *, now: datetime) -> dict[str, Any]:
    """The details of the user's device. Raises DeviceNotFound, DeviceOfAnother."""
    parameters: dict[str, Any] = {
        "device_id": device_id,
        "user_id": user_id,
        "now": now,
        "since": now - REACH,
        "until": now + REACH,
        "keys": [],
    }
    with prepared() as cursor:
        cursor.execute(DETAILS_AND_FAMILY, parameters)
        row = cursor.fetchone()
    shown, stored, *known = services.visible((row[0], row[1:]) if row else None, to=user_id)
    details: dict[str, Any] = orjson.loads(shown)
    return details | {"next_dose_at": next_dose_at(details, stored, sql.FamilySituation(*known), now=now)}


def next_dose_at(
    details: dict[str, Any], stored_plan: str, known: sql.FamilySituation, *, now: datetime
) -> datetime | None:
    version, timezone = details["plan"]["version"], details["plan"]["timezone"]
    plan = plans.plan_of(orjson.loads(stored_plan), version=version, timezone=timezone)
    return dispensing.next_dose_at(limits_of(plan, details["device_type"], known), now=now)
