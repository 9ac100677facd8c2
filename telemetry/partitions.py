"""Monthly partitions of the tables that grow for ever: made ahead, and the perishable ones dropped after a time.

Whoever changes a partitioned table waits for its readers, and everybody behind waits too: no step here waits
for longer than LOCK_TIMEOUT; beat tries again.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import connection, transaction

TABLES = ("device_states", "activity_logs", "device_samples", "device_reports")
MONTHS_BACK, MONTHS_AHEAD = 1, 3
# Doses stay as long as the account; what dispensers say of cups and of themselves does not.
EXPIRING = {
    "device_states": "STATES_KEPT_MONTHS",
    "device_samples": "JOURNALS_KEPT_MONTHS",
    "device_reports": "JOURNALS_KEPT_MONTHS",
}
# Two processes that start together must not make the same table.
LOCK_ID = 7_202_601
LOCK_TIMEOUT = "2s"
CHUNK_ROWS = 5_000


def ensure(*, now: datetime, dry_run: bool = False) -> list[str]:
    """Make the partitions around `now` that are missing; answers their names.

    What has none yet lands in the default partition, so that no event is ever refused.
    """
    # The first migration calls this before the later tables are there.
    tables = [table for table in TABLES if execute("SELECT FROM pg_class WHERE oid = to_regclass(%s)", (table,))]
    wanted = [(table, month(now, offset)) for table in tables for offset in range(-MONTHS_BACK, MONTHS_AHEAD + 1)]
    with transaction.atomic():
        take_turns()
        missing = [(table, start) for table, start in wanted if name(table, start) not in existing(table)]
        for table, start in [] if dry_run else missing:
            make(table, start)
    return [name(table, start) for table, start in missing]


def drop_expired(*, now: datetime, dry_run: bool = False) -> list[str]:
    """Drop what is older than its table is kept, by whole months; the tables dropped.

    Late events of such a month stand in the default partition, and go from there.
    """
    return [name for table in EXPIRING for name in drop_older(table, now=now, dry_run=dry_run)]


def drop_older(table: str, *, now: datetime, dry_run: bool) -> list[str]:
    oldest = month(now, -getattr(settings, EXPIRING[table]))
    with transaction.atomic():
        take_turns()
        expired = sorted(each for each in existing(table) if is_older(each, oldest))
        for each in [] if dry_run else expired:
            execute(f"DROP TABLE {each}")
    while not dry_run and execute(DELETE_LATE.format(table=table), (oldest, CHUNK_ROWS)):
        pass
    return expired


DELETE_LATE = """
DELETE FROM {table}_default WHERE (id, timestamp) IN (
    SELECT id, timestamp FROM {table}_default WHERE timestamp < %s LIMIT %s)"""


def take_turns() -> None:
    execute("SELECT pg_advisory_xact_lock(%s), set_config('lock_timeout', %s, true)", (LOCK_ID, LOCK_TIMEOUT))


def existing(table: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = %s::regclass",
            (table,),
        )
        return {row[0] for row in cursor.fetchall()}


def make(table: str, start: datetime) -> None:
    """Make one partition. What the default partition holds of its month moves over.

    While rows move, no trigger looks: to phones nothing has changed.
    """
    made, rest, bounds = name(table, start), f"{table}_default", (start.isoformat(), month(start, 1).isoformat())
    strays = execute(f"SELECT FROM {rest} WHERE timestamp >= %s AND timestamp < %s LIMIT 1", bounds)
    execute(f"CREATE TABLE {made} (LIKE {table} INCLUDING DEFAULTS)")
    if strays:
        execute(f"ALTER TABLE {table} DETACH PARTITION {rest}")
        execute(
            f"WITH stray AS (DELETE FROM {rest} WHERE timestamp >= %s AND timestamp < %s RETURNING *)"
            f" INSERT INTO {made} SELECT * FROM stray",
            bounds,
        )
    execute(f"ALTER TABLE {table} ATTACH PARTITION {made} FOR VALUES FROM (%s) TO (%s)", bounds)
    if strays:
        execute(f"ALTER TABLE {table} ATTACH PARTITION {rest} DEFAULT")


def execute(statement: str, parameters: Sequence[Any] = ()) -> int:
    """How many rows it changed or found."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return int(cursor.rowcount)


def name(table: str, start: datetime) -> str:
    return f"{table}_{start:%Y_%m}"


def is_older(partition: str, moment: datetime) -> bool:
    """Whether a partition's month is before the one that begins at `moment`; the default one has none."""
    found = re.search(r"_(\d{4})_(\d\d)$", partition)
    return found is not None and (int(found[1]), int(found[2])) < (moment.year, moment.month)


def month(moment: datetime, offset: int) -> datetime:
    """The first instant of the UTC month, `offset` months from the one of `moment`."""
    years, months = divmod(moment.year * 12 + moment.month - 1 + offset, 12)
    return datetime(years, months + 1, 1, tzinfo=UTC)
