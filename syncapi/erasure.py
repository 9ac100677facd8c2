"""Deleting an account so that nothing is left behind (api.md 2, ADR 0009).

The request turns the person into nobody, in one transaction: all that others could notice ends there. What
is large goes afterwards, by a job, whose queue is the rows that carry `deleted_at`.

Locks, always in this order: the person's row (its key stays free for inserts), their dispensers by ascending
id, their sessions; then, at COMMIT, the sync clock.
"""

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.core.files.storage import default_storage
from django.db import DatabaseError, OperationalError, connection, transaction

from accounts import deletion, pictures
from accounts.models import Session, User
from devices import services as devices
from devices.models import Device
from syncapi import exports, sql
from telemetry import removal
from zinzino.api.errors import ServiceUnavailable
from zinzino.wakeup import wake

log = logging.getLogger(__name__)

# An address that changes takes the key of the person's row, for which others may wait at their COMMIT
# while they hold what we want. We give up long before PostgreSQL looks for deadlocks (1 s), and try again.
LOCK_TIMEOUT_MS, TRIES = 300, 12
CHUNK_ROWS = 1_000
# Requests that were under way at the deletion have ended by then; only after that the person's row goes.
SETTLED = timedelta(minutes=2)

# Tables that are large, or hold what must not wait for the row to go. The rest goes by foreign key.
BY_DEVICE = ("event_keys", "decisions", "journal_acks", "dead_letters", "device_commands")
BY_USER = (
    "intake_days",
    "push_deliveries",
    "push_tokens",
    "notifications",
    "dispenses",
    "dose_days",
    "expected_doses",
    "removed_devices",
    "activity_keys",
    "mails",
    "security_events",
    "support_codes",
    "mfa_authenticator",
    "sync_metadata",
    "sync_mutation",
)
# Sums, which go with what they are sums of (analytics.rollups); this is for what passed the triggers by.
SUMS = ("dose_rollups", "device_rollups", "streak_marks")
# No foreign key leads from these, and they have partitions.
HISTORIES = (
    ("device_states", "device_id"),
    ("device_samples", "device_id"),
    ("device_reports", "device_id"),
    ("activity_logs", "user_id"),
)


def delete_account(user_id: UUID, session_id: UUID, proof: deletion.Proof, *, now: datetime) -> None:
    """Raises PasswordIncorrect, AccountLocked, ProofRefused, AccountDeleted."""
    password = deletion.proven(user_id, session_id, proof, now=now)
    close(user_id, now=now, password=password)
    transaction.on_commit(wake_eraser)


def close(user_id: UUID, *, now: datetime, password: str | None = None) -> None:
    """Turn the person into nobody: nothing of theirs can be used, and all of it can be registered anew.

    `password` is its stored form that was checked before; another one by now is refused.
    """
    for _ in range(TRIES):
        try:
            return _close(user_id, now=now, password=password)
        except OperationalError as error:
            log.info("an account is busy: %s", type(error.__cause__).__name__)
        time.sleep(random.uniform(0.02, 0.1))  # noqa: S311  (not a secret)
    raise ServiceUnavailable


@transaction.atomic
def _close(user_id: UUID, *, now: datetime, password: str | None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", (f"{LOCK_TIMEOUT_MS}ms",))
    user = deletion.lock_living(user_id)
    if password not in (None, user.password):
        raise deletion.PasswordIncorrect
    devices.let_go(user_id, now=now)
    deletion.make_nobody(user, now=now)


def wake_eraser() -> None:
    from syncapi.tasks import erase_accounts

    wake(erase_accounts)


def waiting() -> list[UUID]:
    """Deleted accounts whose rows are not gone yet, the oldest first."""
    deleted = User.objects.filter(deleted_at__isnull=False)
    return list(deleted.order_by("deleted_at").values_list("pk", flat=True))


def sweep(*, now: datetime) -> int:
    """Erase every deleted account; one that cannot be erased now does not hold up the others."""
    done = 0
    for user_id in waiting():
        try:
            erase(user_id, now=now)
            done += 1
        except (DatabaseError, ServiceUnavailable, OSError) as error:
            log.warning("an account could not be erased: %s", type(error).__name__, extra={"user": str(user_id)})
    return done


def erase(user_id: UUID, *, now: datetime) -> Counter[str]:
    """Remove the rows and files of a deleted account, in steps that each commit; how many of each.

    May be called again after any interruption, and at the same time. The row itself goes last, and not
    before all requests of before the deletion have ended.
    """
    known = sql.devices_ever_of(user_id)
    gone: Counter[str] = Counter()
    for table in BY_DEVICE:
        gone[table] = all_chunks(user_id, partial(sql.delete_chunk, table, "device_id", known, CHUNK_ROWS))
    # A dispenser writes only while it holds its row: after this step none does.
    gone["devices"] = step(user_id, partial(remove_devices, user_id))
    for table, column in HISTORIES:
        for owner in known if column == "device_id" else [user_id]:
            gone[table] += all_chunks(user_id, partial(sql.delete_history, table, column, owner, CHUNK_ROWS))
    for table in SUMS:
        all_chunks(user_id, partial(sql.delete_chunk, table, "user_id", [user_id], CHUNK_ROWS))
    for table in BY_USER:
        gone[table] = all_chunks(user_id, partial(sql.delete_chunk, table, "user_id", [user_id], CHUNK_ROWS))
    outcomes = partial(sql.delete_chunk, "remembered_outcomes", "scope", [str(user_id)], CHUNK_ROWS)
    gone["remembered_outcomes"] = all_chunks(user_id, outcomes)
    gone["sessions"] = step(user_id, partial(remove_sessions, user_id))
    gone["files"] = pictures.remove_folder(default_storage, pictures.folder(user_id)) + exports.remove_all(user_id)
    gone["users"] = step(user_id, partial(remove_person, user_id, now=now))
    return gone


def step(user_id: UUID, work: Callable[[], int]) -> int:
    """One transaction of the erasure. The row of the deleted person is locked, so that two take turns."""
    with transaction.atomic():
        deleted = User.objects.select_for_update(no_key=True).filter(pk=user_id, deleted_at__isnull=False)
        return work() if deleted.values_list("pk") else 0


def all_chunks(user_id: UUID, chunk: Callable[[], int]) -> int:
    total = 0
    while rows := step(user_id, chunk):
        total += rows
    return total


def remove_devices(user_id: UUID) -> int:
    own = Device.objects.filter(user_id=user_id)
    locked = list(own.select_for_update().order_by("pk").values_list("pk", flat=True))
    own.delete()
    return len(locked)


def remove_sessions(user_id: UUID) -> int:
    """Their tokens go along, uncounted."""
    return Session.objects.filter(user_id=user_id).delete()[1].get(Session._meta.label, 0)


def remove_person(user_id: UUID, *, now: datetime) -> int:
    """All that a foreign key leads to goes along."""
    settled = User.objects.filter(pk=user_id, deleted_at__lte=now - SETTLED)
    return 1 if settled.delete()[0] else 0


def counted(user_id: UUID) -> dict[str, int]:
    """What there is of a person, for a preview."""
    known = sql.devices_ever_of(user_id)
    found = {"devices": Device.objects.filter(user_id=user_id).count()}
    wanted: Sequence[tuple[str, str, list[Any]]] = (
        *((table, "device_id", known) for table in (*BY_DEVICE, *removal.TABLES)),
        *((table, "user_id", [user_id]) for table in (*BY_USER, "activity_logs", "sessions")),
    )
    for table, column, values in wanted:
        found[table] = sql.count_of(table, column, values)
    return found
