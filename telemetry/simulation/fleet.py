"""Households with dispensers of their own, made for one run."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from django.db import transaction

from accounts import services as accounts
from accounts.models import User
from accounts.sessions import Client
from devices import plans
from devices.credentials import mqtt_hash
from devices.models import Device, DeviceCredential, SupplementProfile
from zinzino.api.bearer import new_device_token, token_hash

# Two of the three share their doses: whichever asks first gets it.
TYPES = ("fish_oil", "krill_oil", "vitamin_d")
DOMAIN = "simulated.example"


@dataclass(frozen=True, slots=True)
class Simulated:
    """One dispenser, as its flash is after the first contact."""

    id: UUID
    user_id: UUID
    family: str
    token: str


@transaction.atomic
def make(count: int, *, now: datetime) -> list[Simulated]:
    """So many dispensers, three a household, whose tokens are in use: the broker hears of them at COMMIT."""
    run = secrets.token_hex(4)
    people = households(run, -(-count // len(TYPES)), now=now)
    devices = [dispenser(run, number, people[number // len(TYPES)], now=now) for number in range(count)]
    Device.objects.bulk_create(devices, batch_size=500)
    tokens = [new_device_token(device.pk) for device in devices]
    DeviceCredential.objects.bulk_create(
        [
            DeviceCredential(
                device_id=device.pk,
                token_hash=token_hash(token),
                mqtt_hash=mqtt_hash(token),
                by_device=True,
                created_at=now,
                first_used_at=now,
            )
            for device, token in zip(devices, tokens, strict=True)
        ],
        batch_size=500,
    )
    return [
        Simulated(device.pk, device.user_id, plans.family_of(device.device_type), token)
        for device, token in zip(devices, tokens, strict=True)
    ]


def households(run: str, count: int, *, now: datetime) -> Sequence[UUID]:
    """The first one registers; the others are copies of its row."""
    first = accounts.register(
        email=f"sim-{run}-0@{DOMAIN}",
        password=secrets.token_urlsafe(16),
        full_name="Simulated",
        client=Client(),
        now=now,
    ).user
    columns = {field.attname: getattr(first, field.attname) for field in User._meta.concrete_fields}
    copies = [
        User(**columns | {"id": uuid4(), "email": f"sim-{run}-{number}@{DOMAIN}"}) for number in range(1, count)
    ]
    User.objects.bulk_create(copies, batch_size=500)
    return [first.pk, *(each.pk for each in copies)]


def dispenser(run: str, number: int, user_id: UUID, *, now: datetime) -> Device:
    device_type = TYPES[number % len(TYPES)]
    address = secrets.token_bytes(5).hex(":").upper()
    return Device(
        user_id=user_id,
        device_name=f"Simulated {number}",
        device_type=device_type,
        mac_address=f"02:{address}",
        serial_number=f"SIM-{run}-{number}",
        plan=plans.default_plan(device_type, SupplementProfile.of(device_type)),
        timezone="Europe/Istanbul",
        created_at=now,
        updated_at=now,
    )
