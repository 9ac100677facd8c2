"""Statements of the hot path, which a connection parses and plans once and not at every request (ADR 0035).

To plan what joins twelve months of partitions takes several times as long as to run it. The text of a statement
must always be the same, and its parameters need a type that follows from it: `%(id)s::uuid` where it may be NULL.
"""

import functools
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.utils import CursorWrapper
from django.db.models import Model

M = TypeVar("M", bound=Model)

PLACEHOLDER = re.compile(r"%%|%s|%\((\w+)\)s")


class PreparedCursor(psycopg.RawCursor[Any]):
    """psycopg takes a statement of more than 4 kB apart anew at each execution; this one remembers.

    In bytes, whose hash is remembered, too: by the whole statement psycopg knows that it is prepared.
    """

    def execute(self, query: Any, params: Any = None, **options: Any) -> "PreparedCursor":
        if params is None:
            return super().execute(query, **options)
        text, names = _numbered(query)
        return super().execute(text, [params[name] for name in names] if names else params, **options)


@functools.lru_cache(maxsize=256)
def _numbered(statement: str) -> tuple[bytes, list[str]]:
    """`$1` for `%(name)s`, the same number wherever the name stands, and the names in their order; or for `%s`."""
    places = itertools.count(1)
    numbers: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        return f"${next(places)}" if found[1] is None else f"${numbers.setdefault(found[1], len(numbers) + 1)}"

    return PLACEHOLDER.sub(number, statement).encode(), list(numbers)


def prepared() -> CursorWrapper:
    """A cursor as `connection.cursor()` gives one, whose statements the connection keeps (DATABASE_PREPARE)."""
    database = connections[DEFAULT_DB_ALIAS]  # `connection` would look for it at each name
    database.close_if_health_check_failed()
    database.ensure_connection()
    with database.wrap_database_errors:
        return database._prepare_cursor(PreparedCursor(database.connection))  # type: ignore[attr-defined, no-any-return]


def fetched(model: type[M], rest: str, parameters: Sequence[Any]) -> list[M]:
    """Rows of a model by a hot statement: the ORM takes longer to say such a statement than to run it.

    `rest` is what follows the name of the table.
    """
    with prepared() as cursor:
        cursor.execute(f"SELECT {columns_of(model)} FROM {model._meta.db_table} {rest}", parameters)
        return [read(model, row) for row in cursor.fetchall()]


@functools.cache
def columns_of(model: type[Model], *, of: str = "") -> str:
    """What to select for `read`; `of` names the row where there are several."""
    prefix = f"{of}." if of else ""
    return ", ".join(f"{prefix}{field.column}" for field in model._meta.concrete_fields)


def read(model: type[M], row: Sequence[Any]) -> M:
    """A row as its fields read what the driver gives for it."""
    names, readers = _readers(model)
    values = [said(value, None, connection) if said else value for said, value in zip(readers, row, strict=True)]
    return model.from_db(connection.alias, names, values)


@functools.cache
def _readers(model: type[Model]) -> tuple[list[str], list[Callable[..., Any] | None]]:
    fields = model._meta.concrete_fields
    return [field.attname for field in fields], [getattr(field, "from_db_value", None) for field in fields]


def typed(statement: str, types: Mapping[str, str]) -> str:
    """The statement with a cast at every parameter that has none yet; `types` are names by their type."""
    of = {name: sql_type for sql_type, names in types.items() for name in names.split()}
    return re.sub(r"%\((\w+)\)s(?!::|\w)", lambda found: f"{found[0]}::{of[found[1]]}", statement)
