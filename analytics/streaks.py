"""How the streak of a person stood some days ago, so that what is asked today walks only from there (ADR 0015).

A mark holds until a dose or a plan of its days changes: triggers then drop it, and the walk is long once more
until the next is set. Who sets one holds the person's lock exclusively, and every change of a sum shares it, so
that no change is missed between the walk and the mark.
"""

from datetime import date, timedelta
from uuid import UUID

from django.db import connection, transaction

from analytics import sql

# So many days late doses and corrections are usual.
BEHIND = timedelta(days=15)
# A mark is set anew when it is so old: no answer walks over more days.
OLD = timedelta(days=45)
CHUNK = 500
# The first key of the advisory locks.
LOCK_CLASS = 0x57A1

TRIGGERS = f"""
CREATE FUNCTION unmark_streak(owner uuid, day date) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared({LOCK_CLASS}, hashtext(owner::text));
  DELETE FROM streak_marks m WHERE m.user_id = owner AND m.day >= $2;
END $$;
CREATE FUNCTION unmark_dose() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM unmark_streak(coalesce(NEW.user_id, OLD.user_id), least(NEW.local_date, OLD.local_date));
  RETURN NULL;
END $$;
CREATE FUNCTION unmark_plan() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM unmark_streak(coalesce(NEW.user_id, OLD.user_id), least(NEW.first_day, OLD.first_day));
  RETURN NULL;
END $$;
CREATE TRIGGER unmark_dose AFTER INSERT OR UPDATE OR DELETE ON dose_rollups
  FOR EACH ROW EXECUTE FUNCTION unmark_dose();
CREATE TRIGGER unmark_plan AFTER INSERT OR UPDATE OR DELETE ON expected_doses
  FOR EACH ROW EXECUTE FUNCTION unmark_plan();
"""
DROP = """
DROP TRIGGER unmark_dose ON dose_rollups; DROP TRIGGER unmark_plan ON expected_doses;
DROP FUNCTION unmark_dose(); DROP FUNCTION unmark_plan(); DROP FUNCTION unmark_streak(uuid, date);
"""

# People whose doses reach so far back that a mark saves something.
UNMARKED = """
SELECT u.id FROM users u LEFT JOIN streak_marks m ON m.user_id = u.id
 WHERE u.created_at < %(old)s AND (m.day IS NULL OR m.day < %(old)s) AND u.id > %(after)s
   AND EXISTS (SELECT FROM dose_rollups r WHERE r.user_id = u.id)
 ORDER BY u.id LIMIT %(limit)s"""
LOCK = f"SELECT pg_advisory_xact_lock({LOCK_CLASS}, hashtext(%s::uuid::text))"
MARK = f"""
INSERT INTO streak_marks (user_id, day, current, longest)
SELECT %(user_id)s, %(through)s, s.current, s.longest FROM ({sql.STREAK}) AS s (current, longest)
ON CONFLICT (user_id) DO UPDATE
   SET day = excluded.day, current = excluded.current, longest = excluded.longest"""
FIRST = UUID(int=0)


def mark_all(*, today: date) -> int:
    """Set marks where there are none or old ones; how many. On any number of workers."""
    after, total = FIRST, 0
    while found := unmarked(today=today, after=after):
        for user_id in found:
            mark(user_id, through=today - BEHIND)
        after, total = found[-1], total + len(found)
    return total


def unmarked(*, today: date, after: UUID) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(UNMARKED, {"old": today - OLD, "after": after, "limit": CHUNK})
        return [user_id for (user_id,) in cursor.fetchall()]


@transaction.atomic
def mark(user_id: UUID, *, through: date) -> None:
    """Write down how the streak stood when the local day `through` was over."""
    with connection.cursor() as cursor:
        # A statement of its own: the next sees whatever was committed while this one waited.
        cursor.execute(LOCK, (user_id,))
        cursor.execute(MARK, {"user_id": user_id, "through": through, "today": through + timedelta(days=1)})
