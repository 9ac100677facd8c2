"""Lists in pages: by offset for people who jump, by cursor for programs that walk (api.md 0)."""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

import orjson
from django.utils.translation import gettext_lazy
from rest_framework import serializers

from zinzino import clock
from zinzino.api.renderers import raw
from zinzino.prepared import prepared

MAX_LIMIT = 100
MAX_OFFSET = 10_000
# Counting stops here: the cost of a list must not grow with history.
MAX_TOTAL = 10_000

Position = tuple[datetime, UUID]


class Cursor(serializers.CharField):
    """Where the last page ended: the sort key and the id of its last row."""

    default_error_messages = {"malformed": gettext_lazy("This cursor is not valid.")}

    def to_internal_value(self, data: Any) -> Any:
        try:
            moment, _, row_id = base64.urlsafe_b64decode(str(data).encode()).decode().partition("|")
            return clock.stored_instant(moment), UUID(row_id)
        except (binascii.Error, ValueError):
            self.fail("malformed")


class PageQuery(serializers.Serializer[Any]):
    limit = serializers.IntegerField(min_value=1, max_value=MAX_LIMIT, default=50)
    offset = serializers.IntegerField(min_value=0, max_value=MAX_OFFSET, default=0)
    cursor = Cursor(required=False)


class Pagination(serializers.Serializer[Any]):
    total = serializers.IntegerField()
    limit = serializers.IntegerField()
    offset = serializers.IntegerField()
    has_more = serializers.BooleanField()
    next_cursor = serializers.CharField(allow_null=True)
    total_capped = serializers.BooleanField(required=False)


class Page(NamedTuple):
    """The rows as raw JSON or as the words of a caller, the `pagination`, and the listing's figure."""

    rows: Any
    pagination: dict[str, Any]
    figure: Any


@dataclass(frozen=True, slots=True)
class Listing:
    """One list: the JSON of a row, where rows come from and which, and the time they are sorted by."""

    row_json: str
    source: str
    where: str
    key: str
    # A figure that is shown beside the rows, by the same parameters.
    figure: str = "NULL"


def page(
    listing: Listing,
    parameters: Mapping[str, Any],
    *,
    limit: int,
    offset: int,
    cursor: Position | None = None,
    order: Literal["asc", "desc"] = "desc",
    worded: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> Page:
    """One page, in one statement.

    `worded` puts a row into the words that only Python knows.
    """
    start = offset if cursor is None else 0
    moment, row_id = cursor or (None, None)
    with prepared() as db:
        db.execute(
            _statement(listing, order, walking=cursor is not None),
            {**parameters, "_limit": limit + 1, "_offset": start, "_moment": moment, "_id": row_id},
        )
        found = db.fetchall()
    total, figure = found[0][:2]
    rows = [row[2:] for row in found if row[2] is not None]
    more = len(rows) > limit
    rows = rows[:limit]
    described: dict[str, Any] = {
        "total": min(total, MAX_TOTAL),
        "limit": limit,
        "offset": offset,
        "has_more": more,
        "next_cursor": _cursor(rows[-1]) if more else None,
    }
    if total > MAX_TOTAL:
        described["total_capped"] = True
    if worded:
        return Page([worded(orjson.loads(row[2])) for row in rows], described, figure)
    return Page(raw("[" + ",".join(row[2] for row in rows) + "]"), described, figure)


def _statement(listing: Listing, order: str, *, walking: bool) -> str:
    beyond = ">" if order == "asc" else "<"
    position = f"AND ({listing.key}, id) {beyond} (%(_moment)s, %(_id)s)" if walking else ""
    return f"""
SELECT counted.total, {listing.figure}, page.* FROM
  (SELECT count(*) AS total FROM (SELECT FROM {listing.source} WHERE {listing.where}
    LIMIT {MAX_TOTAL + 1}) AS matching) AS counted
  LEFT JOIN LATERAL
  (SELECT id, {listing.key} AS moment, {listing.row_json}::text AS body
     FROM {listing.source} WHERE {listing.where} {position}
    ORDER BY {listing.key} {order}, id {order} LIMIT %(_limit)s OFFSET %(_offset)s) AS page ON true"""


def _cursor(row: tuple[Any, ...]) -> str:
    return base64.urlsafe_b64encode(f"{row[1].isoformat()}|{row[0]}".encode()).decode()
