"""Exports of all that is kept of a person: asked for, made by a job, had for a week (KVKK art. 11, api.md 2)."""

import logging
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.core.files import File
from django.core.files.storage import storages
from django.db import DatabaseError, connection, transaction

from accounts import pictures
from accounts.deletion import lock_living
from accounts.models import DataExport, User
from syncapi import archive
from zinzino import clock
from zinzino.api.errors import NotFound, NotOwner, ServiceUnavailable
from zinzino.wakeup import wake

log = logging.getLogger(__name__)

ONE_A_DAY = timedelta(hours=24)
KEPT = timedelta(days=7)
GIVEN_UP_AFTER = timedelta(hours=24)

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
    # An account that was deleted just now keeps its files until the job has been there.
    living = DataExport.objects.filter(user__deleted_at=None, status=DataExport.Status.READY, expires_at__gt=now)
    found = living.filter(pk=export_id).first()
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
            archive.write(export.user_id, file, now=now)
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


def drop_expired(*, now: datetime, dry_run: bool = False) -> int:
    """Remove exports whose week is over, and failed ones of the same age; how many."""
    over = [
        *DataExport.objects.filter(expires_at__lte=now),
        *DataExport.objects.filter(status=DataExport.Status.FAILED, created_at__lte=now - KEPT),
    ]
    for export in () if dry_run else over:
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
