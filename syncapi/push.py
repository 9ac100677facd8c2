"""Offline writes: each takes effect at most once, and every one ends with an answer (docs/contract/sync.md).

Locks, always in this order: the user's turn (an advisory lock), the person's row, their dispensers by ascending
id, the notifications that are named, likewise; the rows of single changes; then, when all is written, the sync
clock.
"""

import hashlib
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar
from uuid import UUID

from django.db import DataError, OperationalError, transaction
from django.utils.translation import gettext_lazy
from rest_framework.exceptions import APIException

from syncapi import edits, sql
from syncapi.edits import Effect, Pusher, Sent
from syncapi.models import SyncMutation
from zinzino import metrics
from zinzino.api.errors import ApiError, DuplicateEntry, InvalidFields, NotFound, NotOwner, translated

T = TypeVar("T")

# Deadlock, serialisation failure, lock timeout: somebody else was in the way, and another try is worth it.
WORTH_ANOTHER_TRY = {"40P01", "40001", "55P03"}
TRIES = 5
MAX_SUPPORT_CHARS = 40


class MutationIdTaken(DuplicateEntry):
    message = gettext_lazy("This mutation_id was used for another change.")


@dataclass(slots=True)
class Entries:
    """What came of the changes, in the order in which they were sent."""

    applied: list[Any] = field(default_factory=list)
    conflicts: list[Any] = field(default_factory=list)
    rejected: list[Any] = field(default_factory=list)

    @property
    def status(self) -> str:
        return "partial" if self.conflicts or self.rejected else "success"

    def told(self) -> dict[str, str]:
        """The status, and the lists as JSON text: what people wrote may hold larger numbers than orjson takes."""
        lists = {"applied": self.applied, "conflicts": self.conflicts, "rejected": self.rejected}
        told = {name: json.dumps(entries) if entries else "[]" for name, entries in lists.items()}
        return {"sync_status": self.status, **told}


def in_turn(user_id: UUID, work: Callable[[], T]) -> T:
    """Do `work` in one transaction, while no other push of the user runs; again where somebody was in the way."""
    tries = 0
    while True:
        try:
            with transaction.atomic():
                sql.take_turns(user_id)
                return work()
        except OperationalError as error:
            tries += 1
            if tries == TRIES or getattr(error.__cause__, "sqlstate", "") not in WORTH_ANOTHER_TRY:
                raise
        time.sleep(random.uniform(0.01, 0.1))  # noqa: S311  (not a secret)


def take(pusher: Pusher, changes: Sequence[Sent]) -> Entries:
    """Carry out changes, inside `in_turn`. Afterwards their stamps are given, and the clock is locked."""
    known = stored(pusher, changes)
    fresh: dict[UUID, Sent] = {}
    for each in changes:
        if each.mutation_id not in known:
            fresh.setdefault(each.mutation_id, each)
    edits.lock(pusher, fresh.values())
    effects = {name: carried_out(pusher, each) for name, each in fresh.items()}
    made = {row.mutation_id: row for row in settled(pusher, fresh, effects)}
    SyncMutation.objects.bulk_create(made.values())
    transaction.on_commit(partial(count, list(made.values())))
    return answered(changes, known, made)


def count(made: Sequence[SyncMutation]) -> None:
    for row in made:
        metrics.SYNC_CHANGES.labels(row.outcome, row.result.get("code", "")).inc()


def stored(pusher: Pusher, changes: Sequence[Sent]) -> dict[UUID, SyncMutation]:
    names = [each.mutation_id for each in changes]
    rows = SyncMutation.objects.filter(user_id=pusher.user_id, mutation_id__in=names)
    return {row.mutation_id: row for row in rows}


def carried_out(pusher: Pusher, sent: Sent) -> Effect | ApiError:
    """One change in a savepoint of its own: a refused one leaves nothing behind and stops no other."""
    try:
        with transaction.atomic():
            return edits.carry_out(pusher, sent)
    except NotOwner:
        # Inside sync nobody learns that somebody else has it.
        return NotFound()
    except (APIException, DataError) as error:
        refusal = translated(error)
        if refusal is None or refusal.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        return refusal


def settled(
    pusher: Pusher, fresh: Mapping[UUID, Sent], effects: Mapping[UUID, Effect | ApiError]
) -> list[SyncMutation]:
    """What is remembered of each change, once all of them have their stamps."""
    stamp = sql.stamp(pusher.user_id)
    objects = [effect.object for effect in effects.values() if isinstance(effect, Effect)]
    found = iter(sql.versions(pusher.user_id, objects) if objects else ())
    return [
        remembered(pusher, fresh[name], effect)
        if isinstance(effect, ApiError)
        else remembered(pusher, fresh[name], effect.settled(*next(found), stamp))
        for name, effect in effects.items()
    ]


def remembered(pusher: Pusher, sent: Sent, came_of_it: ApiError | edits.Settled) -> SyncMutation:
    row = SyncMutation(
        user_id=pusher.user_id,
        mutation_id=sent.mutation_id,
        client_id=pusher.client_id,
        request_hash=hash_of(sent),
        client_timestamp=str(sent.raw.get("client_timestamp", ""))[:MAX_SUPPORT_CHARS],
        created_at=pusher.now,
    )
    if isinstance(came_of_it, ApiError):
        row.outcome, row.result = "rejected", refused(sent, came_of_it)
    else:
        row.outcome, row.object_id, row.version = came_of_it.outcome, came_of_it.object_id, came_of_it.written_at
        row.result = {"mutation_id": str(sent.mutation_id), **came_of_it.entry}
    return row


def refused(sent: Sent, error: ApiError) -> dict[str, Any]:
    return {
        "mutation_id": str(sent.mutation_id),
        "code": error.code,
        "message": str(error.detail),
        "details": placed(error.details) if isinstance(error, InvalidFields) else error.details,
    }


def placed(faults: Mapping[str, Any]) -> dict[str, Any]:
    """Services name fields as in their own requests; in a change these stand under `fields`."""
    return {
        name if name.split(".")[0] in edits.OUTLINE else f"fields.{name}": said for name, said in faults.items()
    }


def hash_of(sent: Sent) -> str:
    return hashlib.sha256(json.dumps(sent.raw, sort_keys=True).encode()).hexdigest()


def answered(
    changes: Sequence[Sent], known: Mapping[UUID, SyncMutation], made: Mapping[UUID, SyncMutation]
) -> Entries:
    """The entries of all changes as they were sent; a repeat gets what the first one came to."""
    entries, seen = Entries(), set(known)
    for each in changes:
        name = each.mutation_id
        row = known.get(name) or made[name]
        if row.request_hash != hash_of(each):
            entries.rejected.append(refused(each, MutationIdTaken()))
        elif row.outcome == "applied" and name in seen:
            entries.applied.append(row.result | {"status": "duplicate"})
        else:
            getattr(entries, row.outcome).append(row.result)
        seen.add(name)
    return entries
