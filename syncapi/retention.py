"""What sync remembers only for a time: tombstones, results of offline writes, phones that are gone."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Greatest

from syncapi import sql
from syncapi.models import SyncMetadata, SyncMutation

# A phone that comes back later needs a full sync, if anything of its user was deleted meanwhile.
TOMBSTONES_KEPT = timedelta(days=180)
# A later repeat is harmless: equal values change nothing, and what is there is not made again.
MUTATIONS_KEPT = timedelta(days=90)
PHONES_KEPT = timedelta(days=400)
LAST_SEEN = Greatest("created_at", "last_full_sync", "last_delta_sync")
CHUNK_ROWS = 5_000


def purge(*, now: datetime) -> dict[str, int]:
    """Forget what is too old, in steps that each commit; how many of each."""
    return {
        "tombstones": prune_tombstones(now=now),
        "mutations": prune_mutations(now=now),
        "phones": prune_phones(now=now),
    }


def prune_tombstones(*, now: datetime, dry_run: bool = False) -> int:
    before = now - TOMBSTONES_KEPT
    if dry_run:
        return sql.count_tombstones(before=before)
    users = sql.users_with_tombstones(before=before)
    return sum(purge_tombstones(user_id, before=before) for user_id in users)


def prune_mutations(*, now: datetime, dry_run: bool = False) -> int:
    old = SyncMutation.objects.filter(created_at__lt=now - MUTATIONS_KEPT)
    if dry_run:
        return old.count()
    total = 0
    while ids := list(old.order_by("created_at").values_list("pk", flat=True)[:CHUNK_ROWS]):
        total += SyncMutation.objects.filter(pk__in=ids).delete()[0]
    return total


def prune_phones(*, now: datetime, dry_run: bool = False) -> int:
    gone = SyncMetadata.objects.annotate(seen_at=LAST_SEEN).filter(seen_at__lt=now - PHONES_KEPT)
    return gone.count() if dry_run else gone.delete()[0]


def purge_tombstones(user_id: UUID, *, before: datetime) -> int:
    """Drop a user's old tombstones and raise the horizon to the newest of them."""
    total = 0
    while rows := purge_chunk(user_id, before=before):
        total += rows
    return total


@transaction.atomic
def purge_chunk(user_id: UUID, *, before: datetime) -> int:
    # The clock first, as the capture triggers do.
    sql.lock_clock(user_id)
    return sql.purge_tombstones(user_id, before=before, rows=CHUNK_ROWS)
