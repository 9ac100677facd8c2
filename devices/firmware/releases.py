"""Releases: taken in when their signature holds, published, blocked (iot.md 4).

The private key is never here: what is signed comes from another machine (`manage.py firmware_sign`).
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages
from django.db import connection, transaction

from devices.firmware import manifest as manifests
from devices.firmware.manifest import Manifest
from devices.firmware.models import FirmwareRelease
from zinzino.ids import uuid7

Status = FirmwareRelease.Status
# Two imports at once would both find their counter the greatest.
LOCK_ID = 7_202_607


class ReleaseRefused(Exception):
    """The message says why, for operators."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A manifest and its signature, as `firmware_sign` writes them."""

    manifest: Manifest
    signature: str


def read_signed(given: Any) -> Signed:
    """Raises ReleaseRefused."""
    if not isinstance(given, Mapping) or set(given) != {"manifest", "signature"}:
        raise ReleaseRefused("This is no signed manifest: it must have `manifest` and `signature`.")
    try:
        manifest = manifests.read(given["manifest"])
    except (manifests.BadManifest, TypeError) as error:
        raise ReleaseRefused(f"The manifest cannot be used: {error}") from error
    return Signed(manifest, str(given["signature"]))


def verify(signed: Signed, image: bytes) -> None:
    """Raises ReleaseRefused for an unknown key, a wrong signature, a cut or another image."""
    public_key = settings.FIRMWARE_PUBLIC_KEYS.get(signed.manifest.key_id)
    if public_key is None:
        raise ReleaseRefused(f"The key {signed.manifest.key_id} is not in FIRMWARE_PUBLIC_KEYS.")
    try:
        manifests.check_signature(signed.manifest, signed.signature, public_key=public_key)
        manifests.check_image(signed.manifest, image)
    except manifests.BadManifest as error:
        raise ReleaseRefused(str(error)) from error


def take_in(
    signed: Signed,
    image: bytes,
    *,
    notes: Mapping[str, str],
    by: str,
    now: datetime,
    publish: bool = False,
) -> FirmwareRelease:
    """Verify a signed image and keep it; the same once more changes nothing but `publish`.

    Raises ReleaseRefused, also for a counter that is not above those that its hardware had.
    """
    verify(signed, image)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK_ID,))
        release = known(signed) or created(signed, image, notes=notes, by=by, now=now)
        return published(release, now=now) if publish else release


def refuse_older(manifest: Manifest) -> None:
    newest = FirmwareRelease.objects.filter(hardware=manifest.hw).order_by("-counter").first()
    if newest and manifest.counter <= newest.counter:
        raise ReleaseRefused(
            f"The counter must be above {newest.counter}, which {newest.version} for {newest.hardware} has: "
            "units refuse what is older."
        )


def known(signed: Signed) -> FirmwareRelease | None:
    found = FirmwareRelease.objects.filter(hardware=signed.manifest.hw, counter=signed.manifest.counter).first()
    return found if found and found.manifest == signed.manifest else None


def created(signed: Signed, image: bytes, *, notes: Mapping[str, str], by: str, now: datetime) -> FirmwareRelease:
    manifest = signed.manifest
    refuse_older(manifest)
    release = FirmwareRelease(
        id=uuid7(now),
        version=manifest.fw,
        hardware=manifest.hw,
        min_from=manifest.min_from,
        size=manifest.size,
        sha256=manifest.sha256,
        counter=manifest.counter,
        key_id=manifest.key_id,
        signature=signed.signature,
        file=kept(manifest, image),
        notes_tr=notes.get("tr", ""),
        notes_en=notes.get("en", ""),
        imported_by=by,
        imported_at=now,
    )
    release.save(force_insert=True)
    return release


def kept(manifest: Manifest, image: bytes) -> str:
    """The name of the stored image, made of its digest alone: nobody names a file of ours."""
    name = f"firmware/{manifest.sha256}.bin"
    if not intact(name, manifest.size):
        with suppress(FileNotFoundError):
            store().delete(name)
        return str(store().save(name, ContentFile(image)))
    return name


def intact(name: str, size: int) -> bool:
    return store().exists(name) and store().size(name) == size


def published(release: FirmwareRelease, *, now: datetime) -> FirmwareRelease:
    """Raises ReleaseRefused for one that was blocked."""
    if release.status == Status.BLOCKED:
        raise ReleaseRefused(f"{release} is blocked: {release.block_reason}")
    if release.status == Status.DRAFT:
        release.status, release.published_at = Status.PUBLISHED, now
        release.save(update_fields=("status", "published_at"))
    return release


def find(version: str, hardware: str) -> FirmwareRelease:
    """The one with the greatest counter. Raises ReleaseRefused."""
    found = FirmwareRelease.objects.filter(version=version, hardware=hardware).order_by("-counter").first()
    if found is None:
        raise ReleaseRefused(f"There is no release {version} for {hardware}.")
    return found


def block(release_id: UUID, *, reason: str, by: str, now: datetime) -> FirmwareRelease:
    """Nobody is offered or given it any more, and its rollout stops. Part of the caller's transaction, which
    has locked the rollouts (rollouts.block)."""
    release = FirmwareRelease.objects.select_for_update().get(pk=release_id)
    if release.status != Status.BLOCKED:
        release.status, release.blocked_at, release.blocked_by = Status.BLOCKED, now, by
        release.block_reason = reason
        release.save(update_fields=("status", "blocked_at", "blocked_by", "block_reason"))
    return release


def store() -> Storage:
    return storages["private"]
