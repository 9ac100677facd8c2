"""A row of one person in every table that names people or dispensers, so that no table can be forgotten."""

import uuid
from collections.abc import Iterator
from datetime import time
from typing import Any

from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models

from accounts.models import User
from devices.models import Device
from zinzino import clock

# Every table but the partitions, which their parents speak for.
TABLES = """
SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1"""
NAMING = """
SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND NOT a.attisdropped
   AND a.attname IN ('user_id', 'device_id') ORDER BY 1, 2"""


def asked(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def naming() -> list[tuple[str, str]]:
    """Every table and column that names a person or a dispenser."""
    return [(table, column) for table, column in asked(NAMING)]


def rows_naming(user_id: uuid.UUID, device_ids: list[uuid.UUID]) -> dict[tuple[str, str], int]:
    ids = {"user_id": [str(user_id)], "device_id": [str(each) for each in device_ids]}
    return {
        (table, column): asked(f"SELECT count(*) FROM {table} WHERE {column}::text = ANY(%s)", ids[column])[0][0]
        for table, column in naming()
    }


def mentions(*needles: object) -> dict[str, int]:
    """In how many rows of each table one of the texts stands, wherever in the row."""
    patterns = [f"%{needle}%" for needle in needles]
    found = {
        table: asked(f"SELECT count(*) FROM {table} t WHERE t::text ILIKE ANY(%s)", patterns)[0][0]
        for (table,) in asked(TABLES)
    }
    return {table: rows for table, rows in found.items() if rows}


def models_by_table() -> dict[str, type[models.Model]]:
    return {model._meta.db_table: model for model in apps.get_models(include_auto_created=True)}


# What a column may hold beside what its type says; the other columns take `example`.
OTHERWISE: dict[str, Any] = {
    "plan": {"dose": {"amount": 4, "unit": "ml"}, "target_per_day": 1},
    "metadata": {"note": "changed"},
    "settings": {"led": "off"},
    "last_decision": {"reason": "changed"},
    "reminder_times": ["09:30"],
    "timezone": "Europe/Berlin",
    "language": "en",
    "theme_preference": "light",
}


def change(table: str, column: str, *, owner: str, user_id: uuid.UUID) -> int:
    """Give one column of all rows of a person another value; how many rows there were."""
    field = next(each for each in models_by_table()[table]._meta.concrete_fields if each.column == column)
    with connection.cursor() as cursor:
        if isinstance(field, models.BooleanField):
            cursor.execute(f"UPDATE {table} SET {column} = NOT {column} WHERE {owner} = %s", (user_id,))
        else:
            value = OTHERWISE.get(column) or (field.choices and field.choices[-1][0]) or another(field)
            prepared = field.get_db_prep_save(value, connection)
            cursor.execute(f"UPDATE {table} SET {column} = %s WHERE {owner} = %s", (prepared, user_id))
        return int(cursor.rowcount)


def another(field: Any) -> Any:
    match field:
        case models.IntegerField():
            return 7
        case models.TimeField():
            return time(11, 45)
    return example(field)


def fill(user: User, device: Device) -> None:
    """Give the person a row in every table that has none of theirs yet."""
    known = models_by_table()
    for table in {table for (table, _column), rows in rows_naming(user.pk, [device.pk]).items() if not rows}:
        made(known[table], user, device)


def made(model: type[models.Model], user: User, device: Device) -> models.Model:
    row = model(**dict(values(model, user, device)))
    row.save(force_insert=True)
    return row


def values(model: type[models.Model], user: User, device: Device) -> Iterator[tuple[str, Any]]:
    for field in model._meta.concrete_fields:
        if field.attname == "user_id":
            yield field.attname, user.pk
        elif field.attname == "device_id":
            yield field.attname, device.pk
        elif isinstance(field, models.ForeignKey) and not field.null:
            yield field.name, made(field.related_model, user, device)
        elif not (
            field.has_default() or field.null or isinstance(field, (models.AutoField, models.CompositePrimaryKey))
        ):
            yield field.attname, example(field)


def example(field: Any) -> Any:
    if field.choices:
        return field.choices[0][0]
    match field:
        case models.UUIDField():
            return uuid.uuid4()
        case models.DateTimeField():
            return clock.now()
        case models.DateField():
            return clock.now().date()
        case models.BooleanField():
            return False
        case models.IntegerField() | models.DecimalField() | models.FloatField():
            return 1
        case models.GenericIPAddressField():
            return "192.0.2.1"
        case models.JSONField():
            return {}
        case ArrayField():
            return []
    return uuid.uuid4().hex[: field.max_length]
