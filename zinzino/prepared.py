"""Statements of the hot path, which a connection parses and plans once and not at every request (ADR 0035).

To plan what joins twelve months of partitions takes several times as long as to run it. The text of a statement
must always be the same, and its parameters need a type that follows from it: `%(id)s::uuid` where it may be NULL.
"""

import re
from collections.abc import Mapping

import psycopg
from django.db import connection
from django.db.backends.utils import CursorWrapper


def prepared() -> CursorWrapper:
    """A cursor as `connection.cursor()` gives one, whose statements the connection keeps (DATABASE_PREPARE)."""
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    with connection.wrap_database_errors:
        return connection._prepare_cursor(psycopg.Cursor(connection.connection))  # type: ignore[attr-defined, no-any-return]


def typed(statement: str, types: Mapping[str, str]) -> str:
    """The statement with a cast at every parameter that has none yet; `types` are names by their type."""
    of = {name: sql_type for sql_type, names in types.items() for name in names.split()}
    return re.sub(r"%\((\w+)\)s(?!::|\w)", lambda found: f"{found[0]}::{of[found[1]]}", statement)
