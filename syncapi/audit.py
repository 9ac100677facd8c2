"""Proving that the change log says what the tables say, and mending it where it does not.

`TRUNCATE`, disabled triggers, replication roles and dropped partitions pass the capture triggers by
(docs/contract/sync.md). Afterwards `manage.py sync_audit` finds what phones would never hear of.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django.db import connection, transaction

from syncapi.capture import SYNCED, Synced

CHUNK_USERS = 500
# What the log can be wrong about: a row that no phone hears of, one that is gone and never said so, a wrong
# partition, a stamp that the clock has not reached.
NAMES = ("missing", "zombie", "misplaced", "ahead")


def _alive(each: Synced) -> str:
    part = each.part or "NULL::timestamptz"
    return f"""SELECT '{each.kind}' AS kind, {each.id_column} AS object_id, {part} AS part,
             '{each.editable}' AS editable
      FROM {each.table} WHERE {each.owner} = %(user_id)s"""


ALIVE = " UNION ALL ".join(_alive(each) for each in SYNCED)

# In one snapshot: a row and its line in the log always become visible together.
FAULTS = f"""
WITH alive AS ({ALIVE}),
logged AS (SELECT * FROM sync_change WHERE user_id = %(user_id)s)
SELECT kind, object_id, a.part, a.editable, CASE
    WHEN a.kind IS NULL AND l.op = 'U' THEN 'zombie'
    WHEN a.kind IS NOT NULL AND l.op IS DISTINCT FROM 'U' THEN 'missing'
    WHEN a.kind IS NOT NULL AND l.part IS DISTINCT FROM a.part THEN 'misplaced'
    WHEN l.ts > coalesce((SELECT ts FROM sync_clock WHERE user_id = %(user_id)s), '-infinity') THEN 'ahead'
  END AS fault
FROM alive a FULL JOIN logged l USING (kind, object_id)"""
FOUND = f"SELECT fault, count(*) FROM ({FAULTS}) found WHERE fault IS NOT NULL GROUP BY fault"

# What is missing or misplaced is sent again, what is gone becomes a tombstone; each under a fresh stamp. Nobody
# knows which fields have changed: all of them have, so that no older edit overwrites what its author never saw.
MENDED = f"""
INSERT INTO sync_change AS c (user_id, kind, object_id, ts, created_ts, op, part, fields)
SELECT %(user_id)s, kind, object_id, stamp, stamp, CASE fault WHEN 'zombie' THEN 'D' ELSE 'U' END::"char", part,
       (SELECT jsonb_object_agg(name, stamp) FROM unnest(string_to_array(editable, ',')) AS name)
  FROM (SELECT *, sync_tick(%(user_id)s) AS stamp
          FROM (SELECT * FROM ({FAULTS}) all_of_them WHERE fault IS NOT NULL OFFSET 0) faulty) stamped
ON CONFLICT (user_id, kind, object_id) DO UPDATE SET ts = excluded.ts, op = excluded.op, part = excluded.part,
  fields = excluded.fields, created_ts = CASE c.op WHEN 'D' THEN excluded.ts ELSE c.created_ts END"""

LOGGED_ANEW = f"""
INSERT INTO sync_change (user_id, kind, object_id, ts, created_ts, op, part)
SELECT %(user_id)s, kind, object_id, %(stamp)s, %(stamp)s, 'U', part FROM ({ALIVE}) alive
ON CONFLICT (user_id, kind, object_id) DO UPDATE SET ts = excluded.ts, op = 'U', part = NULL, fields = NULL"""

TRIGGERS = """
SELECT c.relname, t.tgname, t.tgenabled = 'O' AND t.tgdeferrable AND t.tginitdeferred,
       encode(t.tgargs, 'escape'),
       (SELECT coalesce(array_agg(a.attname::text ORDER BY a.attname), '{}') FROM pg_attribute a
         WHERE a.attrelid = c.oid AND a.attnum = ANY(t.tgattr))
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
 WHERE t.tgfoid = 'sync_capture'::regproc"""
PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass"


def trigger_faults() -> list[str]:
    """The capture triggers that are missing, disabled, or of another version of this code."""
    found = {(table, name): rest for table, name, *rest in asked(TRIGGERS)}
    return [
        f"{name} on {table}"
        for each in SYNCED
        for table in [each.table, *(row[0] for row in asked(PARTITIONS, (each.table,)))]
        for name, columns in each.watched().items()
        if found.get((table, name)) != [True, arguments_of(each), sorted(columns)]
    ]


def arguments_of(each: Synced) -> str:
    return "".join(f"{word}\\000" for word in (each.kind, each.id_column, each.owner, each.part, each.editable))


def faults_of(user_id: UUID) -> Counter[str]:
    """How many objects of a user the log is wrong about, by fault: missing, zombie, misplaced, ahead."""
    return Counter(dict(asked(FOUND, {"user_id": user_id})))


def mend(user_id: UUID) -> Counter[str]:
    """Put right what the log is wrong about; phones hear of it with their next delta. What was mended."""
    if not faults_of(user_id):
        return Counter()
    with transaction.atomic():
        lock_clock(user_id)
        faults = faults_of(user_id)
        run(MENDED, {"user_id": user_id})
    return faults


@transaction.atomic
def rebuild(user_id: UUID) -> int:
    """Write a user's log anew from the tables. Its lines.

    The stamps of single fields are lost: by the raised horizon every phone needs a full sync, and edits
    that are older conflict.
    """
    stamp = lock_clock(user_id)
    run("DELETE FROM sync_change WHERE user_id = %s AND NOT (kind = 'device' AND op = 'D')", (user_id,))
    run("UPDATE sync_clock SET horizon = %s WHERE user_id = %s", (stamp, user_id))
    return run(LOGGED_ANEW, {"user_id": user_id, "stamp": stamp})


def lock_clock(user_id: UUID) -> datetime:
    """A fresh stamp. From here until our commit nobody else stamps for this user: what is stamped is visible."""
    return cast("datetime", asked("SELECT sync_tick(%s)", (user_id,))[0][0])


def users(only: UUID | None = None) -> Iterator[UUID]:
    """Every user, in portions."""
    if only is not None:
        yield only
        return
    last = UUID(int=0)
    while found := asked("SELECT id FROM users WHERE id > %s ORDER BY id LIMIT %s", (last, CHUNK_USERS)):
        yield from (row[0] for row in found)
        last = found[-1][0]


def asked(statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def run(statement: str, parameters: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return int(cursor.rowcount)
