"""How far what waits to be sent is behind. The tables belong to apps above; only their names are known here."""

from datetime import datetime
from typing import NamedTuple

from django.db import connection

# By mails_pending and push_deliveries_due: what is due, not what quiet hours or a lease hold back.
DUE = """
SELECT 'mail', count(*), min(next_attempt_at) FROM mails WHERE status = 'pending' AND next_attempt_at <= %(now)s
 UNION ALL
SELECT 'push', count(*), min(next_attempt_at) FROM push_deliveries
 WHERE status IN ('queued', 'sending') AND next_attempt_at <= %(now)s"""


class Outbox(NamedTuple):
    name: str
    due: int
    # Since when the oldest has been due.
    since: datetime | None

    def lag_s(self, now: datetime) -> float:
        return (now - self.since).total_seconds() if self.since else 0.0


def outboxes(*, now: datetime) -> list[Outbox]:
    with connection.cursor() as cursor:
        cursor.execute(DUE, {"now": now})
        return [Outbox(*row) for row in cursor.fetchall()]
