"""How the live channel hears of a commit: the database tells, and only of people who listen (ADR 0026).

A trigger on the user's sync clock NOTIFYs where `live_watch` says that a socket of theirs is open. A hint says
"look", never what: one that gets lost costs a few seconds, until the next sweep.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from django.db import connection

CHANNEL = "live"
# A process renews its entries every RENEW_EVERY_S; those of a process that died end by themselves.
WATCHED_FOR = "3 minutes"

# On one line each: the linter of migrations takes lines for statements.
TABLE = (
    "CREATE TABLE live_watch (user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE, "
    "until timestamptz NOT NULL) WITH (fillfactor = 50);\n"
    "ALTER TABLE live_watch SET UNLOGGED;"
)

# NOTIFY makes commits wait for each other, so that it is left out for the many who do not listen.
TRIGGERS = """
CREATE FUNCTION live_hint() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  owner uuid;
BEGIN
  IF TG_TABLE_NAME = 'users' THEN owner := NEW.id;
  ELSIF TG_OP = 'DELETE' THEN owner := OLD.user_id;
  ELSE owner := NEW.user_id;
  END IF;
  IF EXISTS (SELECT FROM live_watch w WHERE w.user_id = owner AND w.until > clock_timestamp()) THEN
    PERFORM pg_notify('live', owner::text);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER live_change AFTER UPDATE OF ts ON sync_clock FOR EACH ROW
  WHEN (OLD.ts IS DISTINCT FROM NEW.ts) EXECUTE FUNCTION live_hint();
CREATE TRIGGER live_first_change AFTER INSERT ON sync_clock FOR EACH ROW EXECUTE FUNCTION live_hint();
CREATE TRIGGER live_session_end AFTER UPDATE OF ended_at ON sessions FOR EACH ROW
  WHEN (OLD.ended_at IS DISTINCT FROM NEW.ended_at) EXECUTE FUNCTION live_hint();
CREATE TRIGGER live_session_gone AFTER DELETE ON sessions FOR EACH ROW EXECUTE FUNCTION live_hint();
CREATE TRIGGER live_account_closed AFTER UPDATE OF is_active, deleted_at ON users FOR EACH ROW
  WHEN (OLD.is_active IS DISTINCT FROM NEW.is_active OR OLD.deleted_at IS DISTINCT FROM NEW.deleted_at)
  EXECUTE FUNCTION live_hint();
"""
DROP = """
DROP TRIGGER live_change ON sync_clock;
DROP TRIGGER live_first_change ON sync_clock;
DROP TRIGGER live_session_end ON sessions;
DROP TRIGGER live_session_gone ON sessions;
DROP TRIGGER live_account_closed ON users;
DROP FUNCTION live_hint();
"""

# In the order of their ids: two processes may have the same people.
WATCH = f"""
INSERT INTO live_watch (user_id, until)
SELECT id, clock_timestamp() + interval '{WATCHED_FOR}' FROM users WHERE id = ANY(%s) ORDER BY id
ON CONFLICT (user_id) DO UPDATE SET until = excluded.until"""
FORGET = """
DELETE FROM live_watch WHERE user_id IN (
  SELECT user_id FROM live_watch WHERE until < clock_timestamp() FOR UPDATE SKIP LOCKED)"""

# Scalar subqueries, so that each socket is a probe of an index (sync_change_feed, the keys of sessions and users),
# whatever the planner thinks of the size of the tables.
SWEEP = """
SELECT DISTINCT l.user_id FROM unnest(%s::uuid[], %s::uuid[], %s::timestamptz[]) AS l (user_id, session_id, since)
 WHERE (SELECT max(c.ts) FROM sync_change c WHERE c.user_id = l.user_id) > l.since
    OR (SELECT s.ended_at IS NULL AND u.is_active AND u.deleted_at IS NULL
          FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = l.session_id) IS NOT TRUE"""


def watch(user_ids: Iterable[UUID]) -> None:
    """From now on each commit of these people is told, for WATCHED_FOR."""
    with connection.cursor() as cursor:
        cursor.execute(WATCH, (list(user_ids),))


def forget() -> None:
    """Drop the entries that nobody renews."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET)


def missed(lines: Sequence[tuple[UUID, UUID, datetime]]) -> list[UUID]:
    """Of (user, session, how far told): the people of whom there is more to tell, or whose session has ended."""
    if not lines:
        return []
    users, sessions, sinces = (list(column) for column in zip(*lines, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(SWEEP, (users, sessions, sinces))
        return [user_id for (user_id,) in cursor.fetchall()]
