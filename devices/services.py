"""What people do with their dispensers."""

from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import TextField, Value
from django.db.models.functions import Cast, Concat, Left, Replace
from django.utils.translation import gettext_lazy

from devices import claiming, credentials, plans
from devices.claiming import Claim
from devices.models import Device, DeviceCredential, RemovedDevice, SupplementProfile
from zinzino.api.errors import DuplicateEntry, NotFound, NotOwner

T = TypeVar("T")


class DeviceNotFound(NotFound):
    message = gettext_lazy("Device not found.")


class DeviceOfAnother(NotOwner):
    message = gettext_lazy("You are not authorized to access this device.")


class DeviceAlreadyRegistered(DuplicateEntry):
    message = gettext_lazy("This device is already registered.")


def visible(found: tuple[UUID, T] | None, *, to: UUID) -> T:
    """What was found, where it is the caller's own. Raises DeviceNotFound, DeviceOfAnother."""
    if found is None:
        raise DeviceNotFound
    owner, value = found
    if owner != to:
        raise DeviceOfAnother
    return value


def locked(device_id: UUID, *, of: UUID) -> Device:
    """The user's device, its row locked until the transaction ends."""
    device = Device.objects.select_for_update().filter(pk=device_id).first()
    return visible((device.user_id, device) if device else None, to=of)


def register(
    user_id: UUID, timezone: str, *, now: datetime, claim_code: str | None = None, **described: Any
) -> tuple[Device, str]:
    """Add a dispenser to a user's account; answers it with its first token.

    Raises DeviceAlreadyRegistered with `owner: yours|other`, and what `claiming.check` raises.
    """
    claiming.check(
        Claim(described["serial_number"], described["mac_address"], described["device_type"], claim_code)
    )
    return enroll(user_id, timezone, now=now, **described)


@transaction.atomic
def enroll(user_id: UUID, timezone: str, *, now: datetime, **described: Any) -> tuple[Device, str]:
    """The same without asking whose it is; for what is known to be the user's."""
    device_type = described["device_type"]
    device = Device(
        user_id=user_id,
        plan=plans.default_plan(device_type, SupplementProfile.of(device_type)),
        timezone=timezone,
        created_at=now,
        updated_at=now,
        **described,
    )
    refuse_registered(user_id, device)
    try:
        with transaction.atomic():
            device.save(force_insert=True)
    except IntegrityError:
        refuse_registered(user_id, device)  # by a request at the same moment
        raise
    return device, credentials.issue(device.pk, now=now)


def refuse_registered(user_id: UUID, device: Device) -> None:
    """Raises DeviceAlreadyRegistered where the serial or the address has an owner."""
    same_serial = Device.objects.filter(serial_number=device.serial_number)
    same_address = Device.objects.filter(mac_address=device.mac_address)
    owners = set((same_serial | same_address).values_list("user_id", flat=True))
    if owners:
        raise DeviceAlreadyRegistered(owner="yours" if owners == {user_id} else "other")


@transaction.atomic
def update(device_id: UUID, user_id: UUID, fields: dict[str, Any], *, now: datetime) -> None:
    device = locked(device_id, of=user_id)
    if "settings" in fields:
        fields["settings"] = device.settings | fields["settings"]
    if fields:
        Device.objects.filter(pk=device_id).update(**fields, updated_at=now)


@transaction.atomic
def remove(device_id: UUID, user_id: UUID, *, now: datetime) -> None:
    """Delete the device: its token ends, MAC and serial are free, past doses stay in the log. Its readings
    go by a job (telemetry.removal)."""
    device = locked(device_id, of=user_id)
    RemovedDevice.objects.create(device_id=device_id, user_id=user_id)
    # Whoever keeps a history of dispensers (analytics.rollups) learns when it ended.
    Device.objects.filter(pk=device_id).update(is_active=False, updated_at=now)
    device.delete()


@transaction.atomic
def new_token(device_id: UUID, user_id: UUID, *, now: datetime, revoke_old: bool) -> str:
    locked(device_id, of=user_id)
    return credentials.issue(device_id, now=now, revoke_old=revoke_old)


def let_go(user_id: UUID, *, now: datetime) -> None:
    """A person's account ends: no dispenser of theirs is listened to, and all can be registered anew.

    Part of the caller's transaction; the rows themselves go with the account.
    """
    own = Device.objects.filter(user_id=user_id)
    locked = list(own.select_for_update().order_by("pk").values_list("pk", flat=True))
    DeviceCredential.objects.filter(device_id__in=locked, ended_at=None).update(ended_at=now)
    # No dispenser can ever bring a serial or an address with this sign.
    text = Cast("id", TextField())
    short = Left(Replace(text, Value("-"), Value("")), 16)
    own.update(
        mac_address=Concat(Value("!"), short),
        serial_number=Concat(Value("!"), text),
        is_active=False,
        is_connected=False,
        updated_at=now,
    )
