"""The signed zip of all that is kept of a person.

The files are written row by row, so that no export needs more memory than another.
"""

import hashlib
import hmac
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, Any, cast
from uuid import UUID

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import connection, transaction

from accounts import pictures
from accounts.models import User
from syncapi import sql
from syncapi.parts import PARTS, Part
from zinzino import clock

FETCHED_AT_ONCE = 500
COPIED_AT_ONCE = 64 * 1024
SIGNATURE = {
    "file": "manifest.sig",
    "algorithm": "HMAC-SHA256",
    "of": "the bytes of manifest.json, which names the SHA-256 of every other file",
    "key": "derived from a secret of the server; support can check a copy with `manage.py export_user --verify`",
}


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
        lines = [write_rows(zipped, part, facts, now=now) for part in PARTS]
        lines += write_picture(zipped, user_id, now=now)
        manifest = {"version": 1, "user_id": str(user_id), "made_at": clock.iso(now), "files": lines}
        text = json.dumps(manifest | {"signature": SIGNATURE}, indent=2).encode()
        zipped.writestr(member("manifest.json", now), text)
        zipped.writestr(member("manifest.sig", now), signature(text))
    return manifest


def member(name: str, now: datetime) -> zipfile.ZipInfo:
    """A file of the zip, dated in UTC: a zip knows no time zones."""
    info = zipfile.ZipInfo(name, now.timetuple()[:6])
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def write_rows(zipped: zipfile.ZipFile, part: Part, facts: dict[str, Any], *, now: datetime) -> dict[str, Any]:
    with zipped.open(member(part.file, now), "w", force_zip64=True) as out:
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


def write_picture(zipped: zipfile.ZipFile, user_id: UUID, *, now: datetime) -> list[dict[str, Any]]:
    kept = User.objects.values_list("profile_picture", flat=True).get(pk=user_id)
    if not kept or pictures.address(kept) == kept or not default_storage.exists(kept):
        return []
    with default_storage.open(kept) as source, zipped.open(member("picture.jpg", now), "w") as out:
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
