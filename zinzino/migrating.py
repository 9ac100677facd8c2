"""Migrations beside a running service: a lock that is not to be had soon is given up, and tried for again.

A statement that waits for a lock makes everybody else wait behind it (the PostgreSQL manual, "Explicit Locking");
two seconds of that are a hiccup, a minute is an outage.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

from django.core.management import call_command
from django.db import OperationalError, connection, connections
from django.db.migrations.executor import MigrationExecutor

LOCK_TIMEOUT_MS = 2_000
# An index of a large table takes its time, and holds nobody up: it is made concurrently.
STATEMENT_TIMEOUT_MS = 3_600_000
# Lock not available, deadlock: somebody else was in the way.
WORTH_ANOTHER_TRY = {"55P03", "40P01"}
# Which advisory lock says that somebody migrates: the letters "znz" and a number.
ADVISORY_LOCK = (0x7A6E7A, 1)

BROKEN_INDEXES = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname = current_schema()
"""


class Busy(Exception):
    """Somebody else migrates, or a lock was not to be had in any of the tries."""


def pending() -> list[str]:
    """Migrations that are not applied yet, in their order."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _backwards in plan]


def migrate(*, tries: int, say: Callable[[str], None]) -> int:
    """Apply what is pending, and make the partitions that are needed; how often a lock was not to be had.

    Raises Busy, and whatever a migration itself raises.
    """
    with patient(), alone():
        missed = applied(tries=tries, say=say)
        # What it reports is not the caller's answer, which may be JSON.
        call_command("partitions", stdout=StringIO())
        return missed


def applied(*, tries: int, say: Callable[[str], None]) -> int:
    for missed in range(tries):
        try:
            for name in without_broken_indexes():
                say(f"dropped the half-made index {name}")
            call_command("migrate", interactive=False, verbosity=0)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") not in WORTH_ANOTHER_TRY:
                raise
            say(f"try {missed + 1} of {tries}: {str(error).partition(chr(10))[0]}")
            time.sleep(min(30.0, 2.0**missed) * random.uniform(0.5, 1.0))  # noqa: S311  (not a secret)
        else:
            return missed
    raise Busy(f"A lock was not to be had in {tries} tries; migrations so far are whole. Run it again later.")


def without_broken_indexes() -> Iterator[str]:
    """An index whose making was cut off stays behind, invalid, and its name is in the way of the next try."""
    with connection.cursor() as cursor:
        cursor.execute(BROKEN_INDEXES)
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            yield name


@contextmanager
def patient() -> Iterator[None]:
    """Connections of this process wait for a lock only briefly, and for a statement long."""
    options: dict[str, Any] = connections.settings["default"]["OPTIONS"]
    before = options.get("options", "")
    options["options"] = f"{before} -c lock_timeout={LOCK_TIMEOUT_MS} -c statement_timeout={STATEMENT_TIMEOUT_MS}"
    connection.close()
    try:
        yield
    finally:
        options["options"] = before
        connection.close()


@contextmanager
def alone() -> Iterator[None]:
    """Two of these at once would run the same migration twice. Raises Busy."""
    keeper = connection.copy()
    try:
        with keeper.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", ADVISORY_LOCK)
            if not cursor.fetchone()[0]:
                raise Busy("Somebody else migrates this database right now.")
        yield
    finally:
        keeper.close()
