"""How long what was decided and what was heard is kept. Doses and the log stay as long as the account."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection

from zinzino.ids import least_uuid7

# The trace explains a decision; support asks within weeks (iot.md 5).
DECISIONS_KEPT = timedelta(days=90)
# Of a boot that is long over a dispenser has nothing left to send; it keeps doses for 30 days.
LETTERS_KEPT = ACKS_KEPT = timedelta(days=90)
CHUNK_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class Term:
    """`old` says which rows of the table have had their time, by an index; `before` makes its parameter."""

    key: str
    old: str
    before: Callable[[datetime], Any]
    order: str = ""

    def count(self, table: str) -> str:
        return f"SELECT count(*) FROM {table} WHERE {self.old}"

    def delete(self, table: str) -> str:
        chunk = f"SELECT {self.key} FROM {table} WHERE {self.old} {self.order} LIMIT {CHUNK_ROWS}"
        return f"DELETE FROM {table} WHERE {self.key} = ANY(ARRAY({chunk}))"


TERMS = {
    # By the primary key, whose first part is the time of the decision.
    "decisions": Term("id", "id < %s", lambda now: least_uuid7(now - DECISIONS_KEPT), "ORDER BY id"),
    # By event_keys_age. An event that comes again after its key is gone is taken for a new one.
    "event_keys": Term("ctid", "created_at < %s", lambda now: now - timedelta(days=settings.EVENT_KEYS_KEPT_DAYS)),
    # By dead_letters_age.
    "dead_letters": Term("id", "received_at < %s", lambda now: now - LETTERS_KEPT),
    "journal_acks": Term("ctid", "updated_at < %s", lambda now: now - ACKS_KEPT),
}


def prune(*, now: datetime) -> dict[str, int]:
    """Delete what has had its time; how many rows of each table."""
    return {table: prune_table(table, now=now) for table in TERMS}


def prune_table(table: str, *, now: datetime, dry_run: bool = False) -> int:
    """Delete what has had its time of one of the TERMS, in chunks so that no lock lasts; how many rows."""
    term = TERMS[table]
    parameters, total = (term.before(now),), 0
    with connection.cursor() as cursor:
        if dry_run:
            cursor.execute(term.count(table), parameters)
            return int(cursor.fetchone()[0])
        while True:
            cursor.execute(term.delete(table), parameters)
            total += int(cursor.rowcount)
            if cursor.rowcount < CHUNK_ROWS:
                return total
