"""Lines of the log for tests, as dispensers leave them."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from telemetry.models import ActivityLog
from tests.clients import Phone
from zinzino.ids import uuid7

ISTANBUL = timedelta(hours=3)


def line(phone: Phone, at: datetime, *, device_id: UUID | None = None, **fields: Any) -> str:
    """The id of a new line; a dose of the dispenser unless said otherwise."""
    values: dict[str, Any] = {
        "action": "dose_dispensed",
        "dose_amount": "5ml",
        "triggered_by": "automatic",
        "confirmation": "device",
        "local_date": (at + ISTANBUL).date(),
        **fields,
    }
    row = ActivityLog(id=uuid7(at), user_id=phone.user.pk, device_id=device_id, timestamp=at, **values)
    row.save(force_insert=True)
    return str(row.id)


def days(first: date, count: int) -> list[str]:
    return [(first + timedelta(days=each)).isoformat() for each in range(count)]


def plan_of(statement: str, parameters: dict[str, Any], *, analyze: bool = False) -> dict[str, bool]:
    """The tables and partitions that stand in a statement's plan, and whether each was really read."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON{', ANALYZE' if analyze else ''}) {statement}", parameters)
        plan = cursor.fetchone()[0]
    found: dict[str, bool] = {}

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if "Relation Name" in node:
                name = node["Relation Name"]
                found[name] = found.get(name, False) or bool(node.get("Actual Loops", 1))
            node = list(node.values())
        for inner in node if isinstance(node, list) else ():
            walk(inner)

    walk(plan)
    return found
