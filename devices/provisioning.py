"""A unit proves with the key from its factory which one it is, without a phone, and gets its token (iot.md 2).

The proof is an Ed25519 signature over the request without `proof`, as JSON with sorted keys and no spaces, in
UTF-8. Whoever has the unit's key can ask for its token at any time; the owner is who registered the serial.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db import transaction
from django.utils.translation import gettext_lazy

from devices import credentials
from devices.models import Device, ManufacturedUnit
from zinzino import clock
from zinzino.api.errors import DuplicateEntry, Forbidden, Unauthorized
from zinzino.redis_client import client

# How far the unit's clock may be off, and how long a nonce is remembered.
FRESH_FOR = timedelta(minutes=10)


class InvalidProof(Unauthorized):
    """One answer for an unknown unit, a wrong signature and a stale time: nobody learns which serial exists."""

    code = "INVALID_PROOF"
    message = gettext_lazy("The proof of the unit is not valid.")


class ProofUsed(DuplicateEntry):
    message = gettext_lazy("This proof has already been used.")


class AnotherAddress(Forbidden):
    code = "IDENTITY_MISMATCH"
    reason = "not_owner"
    message = gettext_lazy("This token belongs to another unit.")


@dataclass(frozen=True, slots=True)
class Provisioned:
    """`token` and `device_id` are None until somebody has registered the unit."""

    device_id: UUID | None
    token: str | None


def provision(body: Mapping[str, Any], signature: str, *, now: datetime) -> Provisioned:
    """Raises InvalidProof, AnotherAddress, ProofUsed. Without Valkey nothing is provisioned (503)."""
    unit = ManufacturedUnit.objects.filter(pk=body["serial_number"]).first()
    if unit is None or not is_signed(body, signature, key=unit.public_key):
        raise InvalidProof
    if abs(now - clock.from_epoch_ms(body["ts"])) > FRESH_FOR:
        raise InvalidProof
    if unit.mac_address != str(body["mac_address"]).upper().replace("-", ":"):
        raise AnotherAddress
    if not client().set(f"provision:{unit.pk}:{body['nonce']}", 1, nx=True, ex=2 * FRESH_FOR):
        raise ProofUsed
    return issued(unit.pk, now=now)


@transaction.atomic
def issued(serial_number: str, *, now: datetime) -> Provisioned:
    device = Device.objects.select_for_update().filter(serial_number=serial_number).first()
    if device is None:
        return Provisioned(None, None)
    return Provisioned(device.pk, credentials.issue(device.pk, now=now, by_device=True))


def is_signed(body: Mapping[str, Any], signature: str, *, key: str) -> bool:
    try:
        public_key = Ed25519PublicKey.from_public_bytes(base64.b64decode(key, validate=True))
        public_key.verify(base64.b64decode(signature, validate=True), canonical(body))
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def canonical(body: Mapping[str, Any]) -> bytes:
    """The bytes that are signed."""
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
