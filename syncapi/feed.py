"""Reading the feed: the whole copy for a new phone, and the exact difference for one that has a copy."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.utils.translation import gettext_lazy
from rest_framework import serializers

from syncapi import sql
from zinzino.api.errors import SyncConflict
from zinzino.api.renderers import raw
from zinzino.clock import iso, stored_instant

# Sorts above every id: the walk starts before the newest row.
HIGHEST_ID = UUID(int=2**128 - 1)


class FullSyncRequired(SyncConflict):
    """The phone's point in time is not one that a difference can be given from."""

    reason = "full_sync_required"
    message = gettext_lazy("A full synchronisation is needed.")


@dataclass(frozen=True, slots=True)
class Phone:
    """The installation that syncs, as it describes itself."""

    client_id: UUID
    device_info: Mapping[str, Any]


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


def delta(user_id: UUID, phone: Phone, *, last_sync: datetime, now: datetime) -> Any:
    """All that has changed since `last_sync`, as raw JSON (api.md 5). Raises FullSyncRequired."""
    prepare(user_id, phone, column="last_delta_sync", now=now)
    clock, horizon, changes = sql.delta(user_id, since=last_sync, rows=settings.SYNC_PAGE_ROWS)
    if not max(horizon, settings.SYNC_EPOCH) <= last_sync <= clock:
        sql.note_failure(user_id, phone.client_id)
        raise FullSyncRequired
    return raw(changes)


def full(user_id: UUID, phone: Phone, *, place: Place | None, now: datetime) -> dict[str, Any]:
    """One page of the whole copy: small things first, then notifications and the log, newest first."""
    if place is None:
        prepare(user_id, phone, column="last_full_sync", now=now)
        clock, *head = sql.full_head(user_id)
        place = Place(clock, "notification", clock + timedelta(days=1), HIGHEST_ID)
    else:
        head = ["null", "null", "[]", "[]"]
    most: int = settings.SYNC_PAGE_ROWS
    oldest = place.sync_timestamp - timedelta(days=settings.SYNC_FULL_DAYS)
    rows = sql.full_rows(user_id, oldest=oldest, kind=place.kind, moment=place.moment, id=place.id, rows=most + 1)
    more, rows = len(rows) > most, rows[:most]
    names = ("profile", "notification_settings", "devices", "states")
    return {
        **{name: raw(text) for name, text in zip(names, head, strict=True)},
        "activity_logs": raw(joined(rows, "activity_log")),
        "notifications": raw(joined(rows, "notification")),
        "sync_timestamp": iso(place.sync_timestamp),
        "has_more": more,
        "cursor": Place(place.sync_timestamp, *rows[-1][:3]).cursor() if more else None,
    }


def joined(rows: list[tuple[str, datetime, UUID, str]], kind: str) -> str:
    return "[" + ",".join(body for of, _, _, body in rows if of == kind) + "]"


def prepare(user_id: UUID, phone: Phone, *, column: str, now: datetime) -> None:
    """Move the user's clock to now, and remember who asks."""
    info = orjson.dumps(dict(phone.device_info)).decode()
    sql.tick(user_id, column=column, client_id=phone.client_id, device_info=info, now=now)
