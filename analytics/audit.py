"""Proving that the roll-ups say what the log says, and making them anew.

What passes triggers by (a restore, a replication role, a dropped partition) shows here. What dispensers
reported of their levels and presence is kept nowhere else, and plans have no history but their
expectations: of these only the present can be compared.
"""

from collections import Counter
from collections.abc import Iterator
from uuid import UUID

from django.db import connection, transaction

from accounts.models import User
from analytics import rollups

CHUNK_USERS = 500
# What a roll-up can be wrong about: a day of the log without one, one without a day, other sums, a dispenser
# whose present plan is not what is expected.
NAMES = ("missing", "zombie", "different", "plans")

_SAME = " AND ".join(f"r.{name} = l.{name}" for name in rollups.FIGURES)
FAULTS = f"""
SELECT CASE WHEN r.user_id IS NULL THEN 'missing' WHEN l.user_id IS NULL THEN 'zombie' ELSE 'different' END,
       count(*)
  FROM ({rollups.RAW_DOSES}) l
  FULL JOIN (SELECT * FROM dose_rollups WHERE user_id = %(user_id)s) r
    ON r.user_id = l.user_id AND r.local_date = l.local_date AND r.device_id IS NOT DISTINCT FROM l.device_id
   AND r.supplement IS NOT DISTINCT FROM l.supplement
 WHERE ({_SAME}) IS NOT TRUE GROUP BY 1"""
# The newest expectation of a dispenser is the plan as it stands, or the end of its pause.
PLAN_FAULTS = """
SELECT count(*) FROM devices d
 WHERE d.user_id = %(user_id)s AND NOT EXISTS (
   SELECT FROM expected_doses e
    WHERE e.device_id = d.id
      AND e.first_day = (SELECT max(first_day) FROM expected_doses WHERE device_id = d.id)
      AND e.per_day = CASE WHEN d.is_active THEN (d.plan ->> 'target_per_day')::int ELSE 0 END
      AND e.max_per_day = (d.plan ->> 'max_per_day')::int)"""
# No dose of theirs is added while the sums are made.
LOCK = "LOCK TABLE dose_rollups IN SHARE ROW EXCLUSIVE MODE"
CLEAR = "DELETE FROM dose_rollups WHERE user_id = %(user_id)s"
FILL = f"INSERT INTO dose_rollups ({rollups.COLUMNS}) {rollups.RAW_DOSES}"
EXPECT = """
WITH locked AS MATERIALIZED (SELECT d FROM devices d WHERE d.user_id = %(user_id)s ORDER BY d.id FOR UPDATE)
SELECT expect_doses(d, now(), true) FROM locked"""


def users(only: UUID | None = None) -> Iterator[UUID]:
    found = User.objects.filter(pk=only) if only else User.objects.order_by("pk")
    yield from found.values_list("pk", flat=True).iterator(chunk_size=CHUNK_USERS)


def faults_of(user_id: UUID) -> Counter[str]:
    """How many days of a person are wrong, by kind; in one snapshot each."""
    found: Counter[str] = Counter()
    with connection.cursor() as cursor:
        cursor.execute(FAULTS, {"user_id": user_id})
        found.update(dict(cursor.fetchall()))
        cursor.execute(PLAN_FAULTS, {"user_id": user_id})
        found["plans"] = cursor.fetchone()[0]
    return +found


def rebuild(user_id: UUID) -> None:
    """Make the roll-ups of a person anew. Doses of everybody wait meanwhile: milliseconds a person."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(LOCK)
        cursor.execute(CLEAR, {"user_id": user_id})
        cursor.execute(FILL, {"user_id": user_id})
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(EXPECT, {"user_id": user_id})
