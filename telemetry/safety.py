"""Safety stops: the operators hold dispensers back, at once and with a name under it (iot.md 5)."""

from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet

from devices.models import Device, DeviceType, ManufacturedUnit
from telemetry.models import SafetyStop

Scope = SafetyStop.Scope


class NoSuchStop(Exception):
    """Nothing of this scope stands."""


@transaction.atomic
def order(scope: Scope, value: str, *, reason: str, until: datetime | None, by: str, now: datetime) -> SafetyStop:
    """Every decision that the scope covers is no from now on, `until` then or until it is lifted.

    A stop of the same scope that stands already is replaced. Raises ValidationError.
    """
    value = checked(scope, value)
    if until is not None and until <= now:
        raise ValidationError(f"{until:%FT%TZ} is over.")
    _standing(scope, value).update(lifted_at=now, lifted_by=by)
    stop = SafetyStop(scope=scope, value=value, reason=reason.strip(), until=until, ordered_by=by, ordered_at=now)
    stop.full_clean()
    stop.save(force_insert=True)
    return stop


@transaction.atomic
def lift(scope: Scope, value: str, *, by: str, now: datetime) -> SafetyStop:
    """Raises NoSuchStop, ValidationError."""
    stop = _standing(scope, checked(scope, value)).first()
    if stop is None:
        raise NoSuchStop
    stop.lifted_at, stop.lifted_by = now, by
    stop.save(update_fields=("lifted_at", "lifted_by"))
    return stop


def standing(*, now: datetime) -> list[SafetyStop]:
    """What holds dispensers back at this moment."""
    lasting = Q(until=None) | Q(until__gt=now)
    return list(SafetyStop.objects.filter(lasting, lifted_at=None).order_by("ordered_at"))


def checked(scope: Scope, value: str) -> str:
    """What the scope covers, as dispensers name it. Raises ValidationError."""
    value = value.strip()
    if (scope == Scope.ALL) != (value == ""):
        raise ValidationError(f"The scope {scope} needs {'no' if scope == Scope.ALL else 'a'} value.")
    if scope == Scope.TYPE and value not in DeviceType.values:
        raise ValidationError(f"There is no device type {value}; there are {', '.join(DeviceType.values)}.")
    return value.upper() if scope == Scope.UNIT else value


def covered(scope: Scope, value: str) -> QuerySet[Device]:
    """The dispensers that a stop of this scope holds back. Raises ValidationError."""
    value = checked(scope, value)
    if scope == Scope.LOT:
        return Device.objects.filter(serial_number__in=ManufacturedUnit.objects.filter(lot=value).values("pk"))
    columns = {Scope.TYPE: "device_type", Scope.FIRMWARE: "firmware_version", Scope.UNIT: "serial_number"}
    return Device.objects.all() if scope == Scope.ALL else Device.objects.filter(**{columns[scope]: value})


def _standing(scope: Scope, value: str) -> QuerySet[SafetyStop]:
    return SafetyStop.objects.select_for_update().filter(scope=scope, value=value, lifted_at=None)
