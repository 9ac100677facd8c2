"""Monthly partitions of the tables that grow for ever."""

from datetime import UTC, datetime

from django.db import connection, transaction

TABLES = ("device_states", "activity_logs")
MONTHS_BACK, MONTHS_AHEAD = 1, 3
# Two processes that start together must not make the same table.
LOCK_ID = 7_202_601


def ensure(*, now: datetime, dry_run: bool = False) -> list[str]:
    """Make the partitions around `now` that are missing; answers their names.

    What has none yet lands in the default partition, so that no event is ever refused.
    """
    wanted = [(table, month(now, offset)) for table in TABLES for offset in range(-MONTHS_BACK, MONTHS_AHEAD + 1)]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK_ID,))
        cursor.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = ANY(%s::regclass[])",
            (list(TABLES),),
        )
        there = {row[0] for row in cursor.fetchall()}
        missing = [(table, start) for table, start in wanted if name(table, start) not in there]
        for table, start in [] if dry_run else missing:
            cursor.execute(
                f"CREATE TABLE {name(table, start)} PARTITION OF {table} FOR VALUES FROM (%s) TO (%s)",
                (start.isoformat(), month(start, 1).isoformat()),
            )
    return [name(table, start) for table, start in missing]


def name(table: str, start: datetime) -> str:
    return f"{table}_{start:%Y_%m}"


def month(moment: datetime, offset: int) -> datetime:
    """The first instant of the UTC month, `offset` months from the one of `moment`."""
    years, months = divmod(moment.year * 12 + moment.month - 1 + offset, 12)
    return datetime(years, months + 1, 1, tzinfo=UTC)
