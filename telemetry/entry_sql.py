"""The statements that write entries: as many as one, in one go."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from zinzino.ids import moment_of


@dataclass(frozen=True, slots=True)
class Written:
    """A line that is to stand in the log; `family` and what follows only where it is a dose that counts."""

    id: UUID
    action: str
    device_id: UUID | None
    dose_amount: str | None
    confirmation: str | None
    local_date: date
    metadata: dict[str, Any]
    timestamp: datetime
    fingerprint: str
    dispense_id: UUID | None = None
    family: str | None = None
    amount: Decimal | None = None
    unit: str | None = None
    plan_version: int | None = None


class Known(NamedTuple):
    """What is kept of an entry that was sent before."""

    id: UUID
    user_id: UUID
    fingerprint: str
    # False when it was deleted since.
    is_there: bool


# The keys first: of two requests with one id the second waits here for the first. An id that names a line
# of ours is not taken again.
INSERT = """
WITH entry AS (
  SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb) AS e (
    id uuid, named timestamptz, action text, device_id uuid, dose_amount text, confirmation text, local_date date,
    metadata jsonb, "timestamp" timestamptz, fingerprint text, dispense_id uuid, family text, amount numeric,
    unit text, plan_version integer)),
key AS (
  INSERT INTO activity_keys (id, user_id, timestamp, fingerprint)
  SELECT id, %(user_id)s, timestamp, fingerprint FROM entry
   WHERE NOT EXISTS (SELECT FROM activity_logs a WHERE a.id = entry.id AND a.timestamp = entry.named)
  ON CONFLICT DO NOTHING RETURNING id),
line AS (
  INSERT INTO activity_logs (id, user_id, device_id, action, dose_amount, triggered_by, confirmation, local_date,
                             metadata, timestamp)
  SELECT id, %(user_id)s, device_id, action, dose_amount, 'manual', confirmation, local_date, metadata, timestamp
    FROM entry JOIN key USING (id)),
dose AS (
  INSERT INTO dispenses (id, user_id, device_id, family, status, decided_by, amount, unit, plan_version,
                         activity_id, authorized_at, expires_at, finished_at)
  SELECT dispense_id, %(user_id)s, device_id, family, 'dispensed', 'person', amount, unit, plan_version,
         id, timestamp, timestamp, timestamp
    FROM entry JOIN key USING (id) WHERE family IS NOT NULL)
SELECT id FROM key"""

# By the primary keys.
KNOWN = """
SELECT k.id, k.user_id, k.fingerprint, EXISTS (
         SELECT FROM activity_logs a WHERE a.id = k.id AND a.timestamp = k.timestamp)
  FROM activity_keys k WHERE k.id = ANY(%s)"""


def insert(user_id: UUID, rows: Iterable[Written]) -> set[UUID]:
    """The ids of the rows that are new, from now on in the log."""
    described = [{**asdict(row), "named": moment_of(row.id)} for row in rows]
    with connection.cursor() as cursor:
        cursor.execute(INSERT, {"user_id": user_id, "rows": json.dumps(described, default=str)})
        return {row[0] for row in cursor.fetchall()}


def known(ids: Iterable[UUID]) -> dict[UUID, Known]:
    with connection.cursor() as cursor:
        cursor.execute(KNOWN, (list(ids),))
        return {row[0]: Known(*row) for row in cursor.fetchall()}
