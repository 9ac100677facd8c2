"""A copy of all that is kept of a person, as a signed zip (KVKK art. 11, api.md 2).

The files are written row by row, so that no export needs more memory than another.
"""

import hashlib
import hmac
import json
import logging
import secrets
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import IO, Any, cast
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.core.files import File
from django.core.files.storage import default_storage, storages
from django.db import DatabaseError, connection, transaction

from accounts import pictures
from accounts.deletion import lock_living
from accounts.models import DataExport, User
from syncapi import sql
from syncapi.parts import PARTS, Part
from zinzino import clock
from zinzino.api.errors import NotFound, NotOwner, ServiceUnavailable
from zinzino.wakeup import wake

log = logging.getLogger(__name__)

ONE_A_DAY = timedelta(hours=24)
KEPT = timedelta(days=7)
GIVEN_UP_AFTER = timedelta(hours=24)
FETCHED_AT_ONCE = 500
COPIED_AT_ONCE = 64 * 1024

SIGNATURE = {
    "file": "manifest.sig",
    "algorithm": "HMAC-SHA256",
    "of": "the bytes of manifest.json, which names the SHA-256 of every other file",
    "key": "derived from a secret of the server; support can check a copy with `manage.py export_user --verify`",
}
_signer = signing.Signer(salt="data-export")


# ---------------------------------------------------------------------------------------- asking for one


@transaction.atomic
def request(user_id: UUID, *, now: datetime) -> DataExport:
    """A new export, or the one that was asked for within the last 24 hours and can still be had."""
    lock_living(user_id)
    recent = DataExport.objects.filter(user_id=user_id, created_at__gt=now - ONE_A_DAY)
    found = recent.exclude(status=DataExport.Status.FAILED).order_by("-created_at").first()
    if found and not expired(found, now=now):
        return found
    transaction.on_commit(wake_maker)
    return DataExport.objects.create(user_id=user_id, created_at=now)


def wake_maker() -> None:
    from syncapi.tasks import make_exports

    wake(make_exports)


def of_caller(export_id: UUID, user_id: UUID) -> DataExport:
    """Raises NotFound, NotOwner."""
    found = DataExport.objects.filter(pk=export_id).first()
    if found is None:
        raise NotFound
    if found.user_id != user_id:
        raise NotOwner
    return found


def expired(export: DataExport, *, now: datetime) -> bool:
    return export.expires_at is not None and export.expires_at <= now


def download_url(export: DataExport, *, now: datetime) -> str | None:
    """The address of a finished export. It needs no token, and dies with the export."""
    if export.status != DataExport.Status.READY or expired(export, now=now):
        return None
    return f"{settings.PUBLIC_URL}/exports/{export.pk}/{_signer.signature(str(export.pk))}"


def downloadable(export_id: UUID, signature: str, *, now: datetime) -> DataExport:
    """The export behind a download address. Raises NotFound, whatever is wrong."""
    try:
        _signer.unsign(f"{export_id}:{signature}")
    except signing.BadSignature as error:
        raise NotFound from error
    found = DataExport.objects.filter(pk=export_id, status=DataExport.Status.READY, expires_at__gt=now).first()
    if found is None:
        raise NotFound
    return found


# ------------------------------------------------------------------------------------------- making them


def make_waiting(*, now: datetime) -> int:
    """Make every export that waits; how many. Safe on any number of workers at once."""
    pending = DataExport.objects.filter(status=DataExport.Status.PENDING)
    pending.filter(created_at__lte=now - GIVEN_UP_AFTER).update(status=DataExport.Status.FAILED)
    return sum(tried(export) for export in pending.order_by("created_at"))


def tried(export: DataExport) -> bool:
    try:
        return make(export, now=clock.now())
    except (DatabaseError, ServiceUnavailable, OSError) as error:
        log.warning("an export could not be made: %s", type(error).__name__, extra={"user": str(export.user_id)})
        return False


def make(export: DataExport, *, now: datetime) -> bool:
    """Write the zip and hand it over; False where another worker does it, or the person has gone."""
    with alone(export.pk) as we_do_it:
        if not we_do_it or not DataExport.objects.filter(pk=export.pk, status=DataExport.Status.PENDING).exists():
            return False
        name = f"{folder(export.user_id)}/{secrets.token_hex(16)}.zip"
        with tempfile.TemporaryFile() as file:
            write(export.user_id, file, now=now)
            file.seek(0)
            store().save(name, File(file))
        if hand_over(export, name, now=now):
            return True
        store().delete(name)
        return False


@transaction.atomic
def hand_over(export: DataExport, name: str, *, now: datetime) -> bool:
    """False where the account was deleted meanwhile: its files must not outlive it."""
    living = User.objects.select_for_update(no_key=True).filter(pk=export.user_id, deleted_at=None)
    if not living.values_list("pk"):
        return False
    mine = DataExport.objects.filter(pk=export.pk, status=DataExport.Status.PENDING)
    return bool(mine.update(status=DataExport.Status.READY, file=name, ready_at=now, expires_at=now + KEPT))


@contextmanager
def alone(export_id: UUID) -> Iterator[bool]:
    """Whether nobody else makes this export; it is ours until the block, or our connection, ends."""
    key = (str(export_id),)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", key)
        got = bool(cursor.fetchone()[0])
    try:
        yield got
    finally:
        if got:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", key)


def drop_expired(*, now: datetime) -> int:
    """Remove exports whose week is over, and failed ones of the same age; how many."""
    over = [
        *DataExport.objects.filter(expires_at__lte=now),
        *DataExport.objects.filter(status=DataExport.Status.FAILED, created_at__lte=now - KEPT),
    ]
    for export in over:
        if export.file:
            store().delete(export.file)
        export.delete()
    return len(over)


def store() -> Any:
    return storages["private"]


def folder(user_id: UUID) -> str:
    return f"exports/{user_id}"


def remove_all(user_id: UUID) -> int:
    """Remove a person's exports, files and rows; how many files."""
    DataExport.objects.filter(user_id=user_id).delete()
    return pictures.remove_folder(store(), folder(user_id))


# --------------------------------------------------------------------------------------------- the zip


@dataclass
class Entry:
    """One file of the zip while it is written, and then its line in the manifest."""

    name: str
    out: IO[bytes]
    sha256: Any = field(default_factory=hashlib.sha256)
    size: int = 0
    rows: int = 0

    def write(self, data: bytes) -> None:
        self.out.write(data)
        self.sha256.update(data)
        self.size += len(data)

    def line(self) -> dict[str, Any]:
        return {"name": self.name, "sha256": self.sha256.hexdigest(), "bytes": self.size, "rows": self.rows}


def write(user_id: UUID, file: IO[bytes], *, now: datetime) -> dict[str, Any]:
    """Write the whole export into `file`; answers its manifest."""
    facts = {"user_id": user_id, "devices": sql.devices_ever_of(user_id)}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        lines = [write_rows(zipped, part, facts) for part in PARTS]
        lines += write_picture(zipped, user_id)
        manifest = {"version": 1, "user_id": str(user_id), "made_at": clock.iso(now), "files": lines}
        text = json.dumps(manifest | {"signature": SIGNATURE}, indent=2).encode()
        zipped.writestr("manifest.json", text)
        zipped.writestr("manifest.sig", signature(text))
    return manifest


def write_rows(zipped: zipfile.ZipFile, part: Part, facts: dict[str, Any]) -> dict[str, Any]:
    with zipped.open(part.file, "w", force_zip64=True) as out:
        entry = Entry(part.file, out)
        for row in streamed(part.statement, facts):
            entry.write(b",\n" if entry.rows else b"[\n")
            entry.write(row.encode())
            entry.rows += 1
        entry.write(b"\n]\n" if entry.rows else b"[]\n")
    return entry.line()


def streamed(statement: str, facts: dict[str, Any]) -> Iterator[str]:
    """The one column of a statement, by a cursor of the server."""
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(statement, facts)
        while rows := cursor.fetchmany(FETCHED_AT_ONCE):
            yield from (row[0] for row in rows)


def write_picture(zipped: zipfile.ZipFile, user_id: UUID) -> list[dict[str, Any]]:
    kept = User.objects.values_list("profile_picture", flat=True).get(pk=user_id)
    if not kept or pictures.address(kept) == kept or not default_storage.exists(kept):
        return []
    with default_storage.open(kept) as source, zipped.open("picture.jpg", "w") as out:
        entry = Entry("picture.jpg", out, rows=1)
        for data in cast("File[bytes]", source).chunks(COPIED_AT_ONCE):
            entry.write(data)
    return [entry.line()]


def signature(manifest: bytes) -> str:
    key = hmac.digest(settings.SECRET_KEY.encode(), b"data-export", "sha256")
    return hmac.digest(key, manifest, "sha256").hex()


def is_genuine(file: IO[bytes]) -> bool:
    """Whether a zip is one of ours, unchanged."""
    try:
        with zipfile.ZipFile(file) as zipped:
            text = zipped.read("manifest.json")
            named = {line["name"]: line["sha256"] for line in json.loads(text)["files"]}
            signed = hmac.compare_digest(zipped.read("manifest.sig"), signature(text).encode())
            there = {name for name in zipped.namelist() if not name.startswith("manifest.")}
            return signed and there == set(named) and all(sha256(zipped, name) == named[name] for name in named)
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, NotImplementedError, OSError):
        return False


def sha256(zipped: zipfile.ZipFile, name: str) -> str:
    with zipped.open(name) as file:
        return hashlib.file_digest(cast("Any", file), "sha256").hexdigest()
