"""Reading the feed: the whole copy for a new phone, and the exact difference for one that has a copy."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.utils.translation import gettext_lazy
from rest_framework import serializers

from syncapi import push, sql
from syncapi.edits import Pusher, Sent
from syncapi.push import Entries
from zinzino.api.errors import SyncConflict
from zinzino.api.renderers import raw
from zinzino.clock import iso, stored_instant

# Sorts above every id: the walk starts before the newest row.
HIGHEST_ID = UUID(int=2**128 - 1)
# Of waiting changes: beyond, a phone need not know how many.
MOST_COUNTED = 1000


class FullSyncRequired(SyncConflict):
    """The phone's point in time is not one that a difference can be given from."""

    reason = "full_sync_required"
    message = gettext_lazy("A full synchronisation is needed.")


@dataclass(frozen=True, slots=True)
class Phone:
    """The installation that syncs, as it describes itself."""

    client_id: UUID
    session_id: UUID
    timezone: str
    device_info: Mapping[str, Any]

    def remembered(
        self,
        *,
        now: datetime,
        last_full_sync: datetime | None = None,
        last_delta_sync: datetime | None = None,
        status: str = "success",
    ) -> dict[str, Any]:
        return {
            "client_id": self.client_id,
            "device_info": orjson.dumps(dict(self.device_info)).decode(),
            "last_full_sync": last_full_sync,
            "last_delta_sync": last_delta_sync,
            "status": status,
            "now": now,
        }


@dataclass(frozen=True, slots=True)
class Place:
    """Where a full sync stands: its fixed timestamp, and the last row that was sent."""

    sync_timestamp: datetime
    kind: str
    moment: datetime
    id: UUID

    def cursor(self) -> str:
        parts = [self.sync_timestamp.isoformat(), self.kind, self.moment.isoformat(), str(self.id)]
        return base64.urlsafe_b64encode(orjson.dumps(parts)).decode()


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a delta: its JSON, and the point in time up to which it tells all."""

    text: str
    until: datetime
    has_more: bool
    is_empty: bool


class PlaceField(serializers.CharField):
    default_error_messages = {"malformed": gettext_lazy("This cursor is not valid.")}

    def to_internal_value(self, data: Any) -> Any:
        try:
            at, kind, moment, row_id = orjson.loads(base64.urlsafe_b64decode(str(data).encode()))
            place = Place(stored_instant(at), kind, stored_instant(moment), UUID(row_id))
        except (binascii.Error, ValueError, TypeError, AttributeError):
            self.fail("malformed")
        if place.kind not in ("notification", "activity_log"):
            self.fail("malformed")
        return place


def delta(user_id: UUID, phone: Phone, changes: Sequence[Sent] = (), *, last_sync: datetime, now: datetime) -> Any:
    """All that has changed since `last_sync`, as raw JSON, after the phone's own changes (api.md 5).

    Raises FullSyncRequired; then no change has taken effect.
    """
    try:
        if changes:
            return push.in_turn(user_id, partial(changed_then_read, user_id, phone, changes, last_sync, now))
        sql.tick(user_id, **phone.remembered(now=now, last_delta_sync=now))
        return raw(page(user_id, last_sync, Entries()).text)
    except FullSyncRequired:
        sql.remember(user_id, **phone.remembered(now=now, status="failed"))
        raise


def changed_then_read(
    user_id: UUID, phone: Phone, changes: Sequence[Sent], last_sync: datetime, now: datetime
) -> Any:
    """In one transaction: a reading that is refused leaves no change behind, another one shows them all."""
    entries = push.take(pusher(user_id, phone, last_sync=last_sync, now=now), changes)
    sql.remember(user_id, **phone.remembered(now=now, last_delta_sync=now, status=entries.status))
    return raw(page(user_id, last_sync, entries).text)


def page(user_id: UUID, last_sync: datetime, entries: Entries) -> Page:
    """What has changed since `last_sync`, in one snapshot. Raises FullSyncRequired."""
    clock, horizon, reached, more, text = sql.delta(
        user_id, since=last_sync, rows=settings.SYNC_PAGE_ROWS, **entries.told()
    )
    if not reachable(last_sync, horizon, clock):
        raise FullSyncRequired
    return Page(text, reached if more else clock, has_more=more, is_empty=reached is None)


def pusher(user_id: UUID, phone: Phone, *, last_sync: datetime | None, now: datetime) -> Pusher:
    return Pusher(user_id, phone.session_id, phone.client_id, phone.timezone, last_sync, now)


def full(
    user_id: UUID, phone: Phone, changes: Sequence[Sent] = (), *, place: Place | None, now: datetime
) -> dict[str, Any]:
    """One page of the whole copy: small things first, then notifications and the log, newest first."""
    entries = Entries()
    if changes:
        entries = push.in_turn(
            user_id, lambda: push.take(pusher(user_id, phone, last_sync=None, now=now), changes)
        )
    if place is None:
        sql.tick(user_id, **phone.remembered(now=now, last_full_sync=now, status=entries.status))
    return walked(user_id, place) | (told(entries) if changes else {})


def told(entries: Entries) -> dict[str, Any]:
    return {name: text if name == "sync_status" else raw(text) for name, text in entries.told().items()}


def walked(user_id: UUID, place: Place | None) -> dict[str, Any]:
    clock, *parts, last = sql.full(
        user_id,
        head=place is None,
        at=place and place.sync_timestamp,
        kind=place.kind if place else "notification",
        moment=place and place.moment,
        id=place.id if place else HIGHEST_ID,
        days=settings.SYNC_FULL_DAYS,
        rows=settings.SYNC_PAGE_ROWS,
    )
    at = place.sync_timestamp if place else clock
    names = ("profile", "notification_settings", "devices", "states", "activity_logs", "notifications")
    nothing = ("null", "null", "[]", "[]", "[]", "[]")
    return {
        **{name: raw(text or none) for name, text, none in zip(names, parts, nothing, strict=True)},
        "sync_timestamp": iso(at),
        "has_more": last is not None,
        "cursor": last and Place(at, last[0], stored_instant(last[1]), UUID(last[2])).cursor(),
    }


def status(user_id: UUID, *, last_sync: datetime | None, client_id: UUID | None, now: datetime) -> dict[str, Any]:
    """How far a phone is behind, and what its copy must come to (api.md 5).

    Without `client_id` it speaks of all the user's phones, without `last_sync` nothing can be said to wait.
    """
    clock, horizon, window_start, phones, waiting, sums = sql.status(
        user_id, since=last_sync, client_id=client_id, days=settings.SYNC_FULL_DAYS, most=MOST_COUNTED
    )
    fulls, deltas, states = zip(*phones, strict=True) if phones else ((), (), (None,))
    last_full = max(filter(None, fulls), default=None)
    return {
        "last_full_sync": last_full,
        "last_delta_sync": max(filter(None, deltas), default=None),
        "sync_status": states[0],
        "server_time": now,
        "sync_timestamp": clock,
        "window_start": window_start,
        "pending_changes": None if last_sync is None else waiting,
        # A delta moves the clock to now before it looks.
        "full_sync_required": not reachable(last_sync, horizon, max(clock, now)) if last_sync else not last_full,
        "counts": {name: count for name, (count, _) in sums.items()},
        "checksums": {name: checksum for name, (_, checksum) in sums.items()},
    }


def reachable(last_sync: datetime, horizon: datetime, clock: datetime) -> bool:
    """Whether the log can tell all that happened after `last_sync`."""
    return max(horizon, settings.SYNC_EPOCH) <= last_sync <= clock
