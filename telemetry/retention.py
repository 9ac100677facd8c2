"""How long what was decided and what was heard is kept. Doses and the log stay as long as the account."""

from collections.abc import Sequence
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

# By the primary key, whose first part is the time of the decision.
OLD_DECISIONS = "DELETE FROM decisions WHERE id IN (SELECT id FROM decisions WHERE id < %s ORDER BY id LIMIT %s)"
# By event_keys_age.
OLD_KEYS = """
DELETE FROM event_keys WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM event_keys WHERE created_at < %s LIMIT %s))"""

# By dead_letters_age.
OLD_LETTERS = """
DELETE FROM dead_letters WHERE id = ANY(ARRAY(
    SELECT id FROM dead_letters WHERE received_at < %s LIMIT %s))"""
OLD_ACKS = """
DELETE FROM journal_acks WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM journal_acks WHERE updated_at < %s LIMIT %s))"""


def prune(*, now: datetime) -> dict[str, int]:
    """Delete decisions after 90 days, and the keys of events after EVENT_KEYS_KEPT_DAYS, in chunks so that
    no lock lasts; how many of each. An event that comes again after its key is gone is taken for a new one."""
    heard_until = now - timedelta(days=settings.EVENT_KEYS_KEPT_DAYS)
    return {
        "decisions": _all_chunks(OLD_DECISIONS, (least_uuid7(now - DECISIONS_KEPT), CHUNK_ROWS)),
        "event_keys": _all_chunks(OLD_KEYS, (heard_until, CHUNK_ROWS)),
        "dead_letters": _all_chunks(OLD_LETTERS, (now - LETTERS_KEPT, CHUNK_ROWS)),
        "journal_acks": _all_chunks(OLD_ACKS, (now - ACKS_KEPT, CHUNK_ROWS)),
    }


def _all_chunks(statement: str, parameters: Sequence[Any]) -> int:
    total = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute(statement, parameters)
            deleted = int(cursor.rowcount)
            total += deleted
            if deleted < CHUNK_ROWS:
                return total
