"""Many entries in one request: each is taken or refused for itself (api.md 6)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from rest_framework.exceptions import ValidationError

from telemetry import manual
from telemetry.activity_serializers import NewEntry
from telemetry.entries import Entry
from telemetry.manual import Recorded
from zinzino.api.errors import ApiError, InvalidFields, flattened
from zinzino.api.forms import filled_in


def record(user_id: UUID, items: Sequence[Any], *, timezone: str, now: datetime) -> list[dict[str, Any]]:
    """What became of each item, in their order."""
    parsed = [entry_of(item) for item in items]
    written = iter(
        manual.record(user_id, [each for each in parsed if isinstance(each, Entry)], timezone=timezone, now=now)
    )
    results = [next(written) if isinstance(each, Entry) else each for each in parsed]
    return [shown(index, result, items[index]) for index, result in enumerate(results)]


def entry_of(item: Any) -> Entry | ApiError:
    try:
        return Entry(**filled_in(NewEntry, item))
    except ValidationError as error:
        return InvalidFields(**dict(flattened(error.detail)))


def shown(index: int, result: Recorded | ApiError, item: Any) -> dict[str, Any]:
    if isinstance(result, Recorded):
        status = "created" if result.created else "duplicate"
        return {"index": index, "status": status, "id": result.id, "error": None}
    error = {"code": result.code, "message": str(result.detail), "details": result.details}
    return {"index": index, "status": "rejected", "id": named(item), "error": error}


def named(item: Any) -> UUID | None:
    """The id that the client gave to an entry, where it is one."""
    said = (item.get("id") or item.get("client_id")) if isinstance(item, dict) else None
    try:
        return UUID(said) if isinstance(said, str) else None
    except ValueError:
        return None
