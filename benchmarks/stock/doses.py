"""What a decision must know, fetched by the ORM. The rules themselves are the product's own: they are pure."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import Q

from devices import plans
from devices.models import Device
from telemetry import dispensing, family
from telemetry.dispensing import Dose, Facts, Limits, Stop
from telemetry.events import Timing
from telemetry.models import Dispense, SafetyStop


def facts_of(device: Device, *, cup_placed: bool, now: datetime) -> Facts:
    """Of a locked device."""
    open_one = Dispense.objects.filter(device_id=device.pk, status="authorized").first()
    last_dose, removal = device.last_dose_event_at, device.last_removal_at
    return Facts(
        limits=limits_of(device, now=now),
        now=now,
        is_active=device.is_active,
        cup_placed=cup_placed,
        timing=Timing.LIVE,
        cup_emptied=last_dose is None or (removal is not None and removal > last_dose),
        in_progress=open_one is not None and open_one.expires_at > now,
        updating=device.updating_until is not None and device.updating_until > now,
        supplement_level=device.supplement_level,
        battery_level=device.battery_level,
    )


def limits_of(device: Device, *, now: datetime) -> Limits:
    theirs = Dispense.objects.filter(user_id=device.user_id, family=device.family)
    near = theirs.filter(
        counts=True, authorized_at__gt=now - family.REACH, authorized_at__lt=now + family.REACH
    ).order_by("-authorized_at")
    stops = SafetyStop.objects.filter(lifted_at=None).filter(Q(until=None) | Q(until__gt=now))
    return Limits(
        plan=device.dose_plan,
        ceiling=Decimal(settings.DOSE_CEILINGS[plans.family_of(device.device_type)]),
        doses=[dose_of(each, device) for each in near],
        stops=[Stop("safety_stop", each.reason, each.until) for each in stops if covers(each, device)],
        fault=theirs.filter(is_fault=True, acknowledged_at=None).exists(),
    )


def dose_of(dispense: Dispense, device: Device) -> Dose:
    own = dispense.device_id == device.pk and dispense.slot_date and dispense.slot_id
    slot = (dispense.slot_date, dispense.slot_id) if own else None
    return Dose(dispense.authorized_at, dispense.actual_amount or dispense.amount, slot)  # type: ignore[arg-type]


def covers(stop: SafetyStop, device: Device) -> bool:
    covered: dict[str, Any] = {
        "all": "",
        "type": device.device_type,
        "firmware": device.firmware_version,
        "unit": device.serial_number,
    }
    return bool(stop.value == covered.get(stop.scope))


def next_dose_at(device: Device, *, now: datetime) -> datetime | None:
    return dispensing.next_dose_at(limits_of(device, now=now), now=now)
