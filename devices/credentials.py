"""Device tokens: issue, use, replacement, revocation (api.md 3)."""

import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID

from django.db import transaction
from django.db.models import F
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from structlog.contextvars import bind_contextvars

from devices import sql
from devices.models import Device, DeviceCredential
from zinzino import clock
from zinzino.api.bearer import Kind, bearer, new_device_token, token_hash
from zinzino.api.errors import NotOwner, Unauthorized, WrongCredentialKind

# Tokens that were issued and never used, the new one included.
UNUSED_AT_MOST = 3
MQTT_ROUNDS = 101


@dataclass(frozen=True, slots=True)
class DeviceCaller:
    """The dispenser behind a request."""

    id: UUID
    user_id: UUID
    device_type: str
    # Whether its token is known to nobody but itself.
    own_token: bool = True
    is_authenticated: bool = True


def dispenser(request: Request) -> DeviceCaller:
    """The dispenser behind a request of a view that asks for one."""
    return cast("DeviceCaller", request.user)


class DeviceTokenAuthentication(BaseAuthentication):
    """One query by the token's hash; the first use of a new token ends the others."""

    def authenticate(self, request: Request) -> tuple[DeviceCaller, None] | None:
        found = bearer(request._request)
        match found.kind:
            case Kind.NONE:
                return None
            case Kind.DEVICE:
                return living_device(found.token), None
            case Kind.PERSON:
                raise WrongCredentialKind
        raise Unauthorized

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class OwnDeviceOnly(BasePermission):
    """A dispenser speaks for itself alone: the id in the path must be its own."""

    def has_permission(self, request: Request, view: object) -> bool:
        if request.user is None:
            return False
        if request.parser_context["kwargs"].get("device_id") not in (None, dispenser(request).id):
            raise NotOwner
        return True


def living_device(token: str) -> DeviceCaller:
    row = sql.living_credential(token_hash(token))
    if row is None:
        raise Unauthorized
    credential_id, first_used_at, device_id, user_id, device_type, own_token = row
    if first_used_at is None:
        adopt(credential_id, device_id, now=clock.now())
    bind_contextvars(device=str(device_id))
    return DeviceCaller(device_id, user_id, device_type, own_token)


@transaction.atomic
def adopt(credential_id: int, device_id: UUID, *, now: datetime) -> None:
    """The dispenser has shown that it holds the new token: the older ones end at once."""
    Device.objects.select_for_update().filter(pk=device_id).first()  # as a removal locks it first
    living = DeviceCredential.objects.filter(device_id=device_id, ended_at=None)
    if living.filter(pk=credential_id, first_used_at=None).update(first_used_at=now):
        living.filter(pk__lt=credential_id).update(ended_at=now)


@transaction.atomic
def issue(device_id: UUID, *, now: datetime, revoke_old: bool = False, by_device: bool = False) -> str:
    """A new token, shown this once. The one in use stays good until a newer one is first used, and so
    do the latest that never were: an answer that was lost may have held any of them."""
    living = DeviceCredential.objects.filter(device_id=device_id, ended_at=None)
    in_use = living.order_by(F("first_used_at").desc(nulls_last=True), "-pk")[:1]
    unused = living.filter(first_used_at=None).order_by("-pk")[: UNUSED_AT_MOST - 1]
    kept = [] if revoke_old else [each.pk for each in (*in_use, *unused)]
    living.exclude(pk__in=kept).update(ended_at=now)
    token = new_device_token(device_id)
    DeviceCredential.objects.create(
        device_id=device_id,
        token_hash=token_hash(token),
        mqtt_hash=mqtt_hash(token),
        by_device=by_device,
        created_at=now,
    )
    return token


def revoke(device_id: UUID, *, now: datetime) -> None:
    """End every token of a dispenser."""
    DeviceCredential.objects.filter(device_id=device_id, ended_at=None).update(ended_at=now)


def mqtt_hash(password: str, salt: bytes | None = None) -> str:
    """As Mosquitto's password file has it: PBKDF2 with SHA-512. The tokens are random and long, so that the
    rounds need not make guessing expensive (iot.md, fact 6)."""
    salt = salt or secrets.token_bytes(12)
    derived = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, MQTT_ROUNDS, 64)
    encoded = (base64.b64encode(part).decode() for part in (salt, derived))
    return "$".join(("", "7", str(MQTT_ROUNDS), *encoded))
