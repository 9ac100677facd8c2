"""The statements of sync, one a function; each reads in one snapshot."""

from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

import orjson
from django.db import OperationalError, connection

from accounts.sql import PROFILE_JSON
from devices.sql import DEVICE_JSON, STATE_JSON
from notifications.sql import NOTIFICATION_JSON, SETTINGS_JSON
from telemetry.sql import ACTIVITY_JSON
from zinzino.prepared import prepared

LOCK_NOT_AVAILABLE = "55P03"

REMEMBER = """
INSERT INTO sync_metadata AS m (user_id, client_id, device_info, last_full_sync, last_delta_sync, sync_status,
                                created_at)
VALUES (%(user_id)s, %(client_id)s, %(device_info)s, %(last_full_sync)s, %(last_delta_sync)s, %(status)s, %(now)s)
ON CONFLICT (user_id, client_id) DO UPDATE SET sync_status = excluded.sync_status,
  last_full_sync = coalesce(excluded.last_full_sync, m.last_full_sync),
  last_delta_sync = coalesce(excluded.last_delta_sync, m.last_delta_sync),
  device_info = m.device_info || excluded.device_info"""
# The reader moves the user's clock to now, so that `sync_timestamp` is recent; nothing depends on it
# being durable or on getting the lock at once.
TICK = f"""
WITH remembered AS ({REMEMBER})
SELECT set_config('synchronous_commit', 'off', true), set_config('lock_timeout', '500ms', true),
       sync_tick(%(user_id)s)"""


def _lists(source: str, kinds: str, **rows: tuple[str, str]) -> str:
    """Lists from one walk through a table: to open one of many partitions twice costs more than its rows."""
    lists = ", ".join(
        f"coalesce(json_agg({row} ORDER BY f.ts) FILTER (WHERE {chosen}), '[]') AS {name}"
        for name, (row, chosen) in rows.items()
    )
    return f"(SELECT {lists} FROM feed f {source} WHERE f.kind IN ({kinds}) AND f.op = 'U')"


def _deleted(kind: str) -> str:
    return f"(SELECT coalesce(json_agg(object_id), '[]') FROM feed WHERE kind = '{kind}' AND op = 'D')"


_DEVICE = "JOIN devices d ON d.id = f.object_id AND d.user_id = %(user_id)s"
_LOG = "JOIN activity_logs a ON a.id = f.object_id AND a.timestamp = f.part AND a.user_id = %(user_id)s"
_NOTIFICATION = "JOIN notifications n ON n.id = f.object_id AND n.user_id = %(user_id)s"
_NEW, _UPDATED = "f.created_ts > %(since)s", "f.created_ts <= %(since)s"
_DEVICES = _lists(
    _DEVICE,
    "'device', 'device_state'",
    devices=(DEVICE_JSON, "f.kind = 'device'"),
    states=(STATE_JSON, "f.kind = 'device_state'"),
)
_LOGS = _lists(_LOG, "'activity_log'", new=(ACTIVITY_JSON, _NEW), updated=(ACTIVITY_JSON, _UPDATED))
_NOTIFICATIONS = _lists(
    _NOTIFICATION, "'notification'", new=(NOTIFICATION_JSON, _NEW), updated=(NOTIFICATION_JSON, _UPDATED)
)

# Whose first change is not committed yet has no clock: whatever comes will be stamped later than now.
_CLOCK = """
  SELECT coalesce(max(ts), date_trunc('milliseconds', now())) AS ts,
         coalesce(max(horizon), '0001-01-02 00:00:00+00') AS horizon FROM sync_clock WHERE user_id = %(user_id)s"""

# By the index sync_change_feed; the objects by their primary keys.
DELTA = f"""
WITH clock AS MATERIALIZED ({_CLOCK}),
feed AS MATERIALIZED (
  SELECT c.kind, c.object_id, c.ts, c.created_ts, c.op, c.part FROM sync_change c
   WHERE c.user_id = %(user_id)s AND c.ts > %(since)s AND c.ts <= (SELECT ts FROM clock)
   ORDER BY c.ts FETCH FIRST %(rows)s ROWS WITH TIES),
reached AS (SELECT max(ts) AS ts, EXISTS (
    SELECT FROM sync_change c WHERE c.user_id = %(user_id)s AND c.ts > (SELECT max(ts) FROM feed)
       AND c.ts <= (SELECT ts FROM clock)) AS more FROM feed)
SELECT clock.ts, clock.horizon, reached.ts, reached.more, json_build_object(
  'updated_devices', devices.devices, 'updated_states', devices.states,
  'new_activity_logs', logs.new, 'new_notifications', notifications.new,
  'deleted_items', json_build_object('devices', {_deleted("device")},
      'activity_logs', {_deleted("activity_log")}, 'notifications', {_deleted("notification")}),
  'updated_profile', (SELECT {PROFILE_JSON} FROM feed f JOIN users u ON u.id = f.object_id
      WHERE f.kind = 'profile' AND u.id = %(user_id)s),
  'updated_notification_settings', (SELECT {SETTINGS_JSON} FROM feed f
      JOIN notification_settings n ON n.user_id = f.object_id
      WHERE f.kind = 'notification_settings' AND n.user_id = %(user_id)s),
  'updated_notifications', notifications.updated, 'updated_activity_logs', logs.updated,
  'sync_status', %(sync_status)s::text, 'applied', %(applied)s::json, 'conflicts', %(conflicts)s::json,
  'rejected', %(rejected)s::json,
  'sync_timestamp', iso_ms(CASE WHEN reached.more THEN reached.ts ELSE clock.ts END),
  'has_more', reached.more)::text
FROM clock, reached, {_DEVICES} AS devices, {_LOGS} AS logs, {_NOTIFICATIONS} AS notifications"""

# Small things once, on the first page; then notifications, then the log, each newest first, by
# notifications_newest and activity_logs_of_user.
FULL = f"""
WITH clock AS MATERIALIZED ({_CLOCK}),
place AS MATERIALIZED (
  SELECT %(kind)s::text AS kind, coalesce(%(moment)s::timestamptz, 'infinity') AS moment, %(id)s::uuid AS id,
         coalesce(%(at)s::timestamptz, clock.ts) - %(days)s * interval '24 hours' AS oldest FROM clock),
told AS (
  SELECT 'notification' AS kind, n.created_at AS moment, n.id, {NOTIFICATION_JSON} AS body
    FROM notifications n
   WHERE n.user_id = %(user_id)s AND n.created_at >= (SELECT oldest FROM place)
     AND (SELECT kind FROM place) = 'notification'
     AND (n.created_at, n.id) < ((SELECT moment FROM place), (SELECT id FROM place))
   ORDER BY n.created_at DESC, n.id DESC LIMIT %(rows)s + 1),
logged AS (
  SELECT 'activity_log' AS kind, a.timestamp AS moment, a.id, {ACTIVITY_JSON} AS body
    FROM activity_logs a
   WHERE a.user_id = %(user_id)s AND a.timestamp >= (SELECT oldest FROM place)
     AND ((SELECT kind FROM place) = 'notification'
          OR (a.timestamp, a.id) < ((SELECT moment FROM place), (SELECT id FROM place)))
   ORDER BY a.timestamp DESC, a.id DESC LIMIT (SELECT %(rows)s + 1 - count(*) FROM told)),
walked AS MATERIALIZED (
  SELECT *, row_number() OVER (ORDER BY kind DESC, moment DESC, id DESC) AS number
    FROM (SELECT * FROM told UNION ALL SELECT * FROM logged) found),
page AS MATERIALIZED (SELECT * FROM walked WHERE number <= %(rows)s)
SELECT clock.ts,
       CASE WHEN %(head)s THEN (SELECT {PROFILE_JSON} FROM users u WHERE u.id = %(user_id)s) END::text,
       CASE WHEN %(head)s THEN (SELECT {SETTINGS_JSON} FROM notification_settings n
                                 WHERE n.user_id = %(user_id)s) END::text,
       CASE WHEN %(head)s THEN (SELECT json_agg({DEVICE_JSON} ORDER BY d.created_at, d.id)
                                  FROM devices d WHERE d.user_id = %(user_id)s) END::text,
       CASE WHEN %(head)s THEN (SELECT json_agg({STATE_JSON} ORDER BY d.created_at, d.id)
                                  FROM devices d WHERE d.user_id = %(user_id)s) END::text,
       (SELECT json_agg(body ORDER BY number) FROM page WHERE kind = 'activity_log')::text,
       (SELECT json_agg(body ORDER BY number) FROM page WHERE kind = 'notification')::text,
       (SELECT array[p.kind, p.moment::text, p.id::text] FROM page p
         WHERE p.number = %(rows)s AND EXISTS (SELECT FROM walked WHERE number > %(rows)s))
  FROM clock"""

_WINDOWS = {
    "devices": "devices WHERE user_id = %(user_id)s",
    "activity_logs": "activity_logs WHERE user_id = %(user_id)s AND timestamp >= (SELECT oldest FROM place)",
    "notifications": "notifications WHERE user_id = %(user_id)s AND created_at >= (SELECT oldest FROM place)",
}
_IDS = "coalesce(string_agg(id::text, chr(10) ORDER BY id), '')"
_SUMS = ", ".join(
    f"'{name}', (SELECT json_build_array(count(*), encode(sha256({_IDS}::bytea), 'hex')) FROM {rows})"
    for name, rows in _WINDOWS.items()
)

# What a phone's own copy must come to, over the same window as a full sync, by the same indexes.
STATUS = f"""
WITH clock AS MATERIALIZED ({_CLOCK}),
place AS MATERIALIZED (SELECT ts - %(days)s * interval '24 hours' AS oldest FROM clock)
SELECT clock.ts, clock.horizon, (SELECT oldest FROM place),
  (SELECT json_agg(json_build_array(iso_ms(m.last_full_sync), iso_ms(m.last_delta_sync), m.sync_status)
                   ORDER BY greatest(m.last_full_sync, m.last_delta_sync) DESC)
     FROM sync_metadata m WHERE m.user_id = %(user_id)s
      AND (%(client_id)s::uuid IS NULL OR m.client_id = %(client_id)s)),
  (SELECT count(*) FROM (SELECT FROM sync_change c WHERE c.user_id = %(user_id)s AND c.ts > %(since)s
                          LIMIT %(most)s) waiting),
  json_build_object({_SUMS})
FROM clock"""


def tick(user_id: UUID, **phone: Any) -> None:
    """Move the user's clock to now, and remember who asks."""
    try:
        _row(TICK, {"user_id": user_id, **phone})
    except OperationalError as error:
        # A writer holds the clock for longer than we wait: an older timestamp is as good.
        if getattr(error.__cause__, "sqlstate", "") != LOCK_NOT_AVAILABLE:
            raise


def remember(user_id: UUID, **phone: Any) -> None:
    with prepared() as cursor:
        cursor.execute(REMEMBER, {"user_id": user_id, **phone})


def delta(user_id: UUID, *, since: datetime, rows: int, **said: Any) -> tuple[Any, ...]:
    """The user's clock, the horizon, the last stamp of the page if there is any, whether there are more, and the
    page of changes after `since` as JSON. `said` are what came of offline writes."""
    return _row(DELTA, {"user_id": user_id, "since": since, "rows": rows, **said})


def clock(user_id: UUID) -> datetime:
    return cast("datetime", _row(f"SELECT ts FROM ({_CLOCK}) clock", {"user_id": user_id})[0])


def full(user_id: UUID, **place: Any) -> tuple[Any, ...]:
    """The user's clock; profile, settings, devices, states, log, notifications as JSON; the last row, if
    there are more than `rows`."""
    return _row(FULL, {"user_id": user_id, **place})


def status(user_id: UUID, **wanted: Any) -> tuple[Any, ...]:
    """The user's clock, horizon and window; their phones, newest first; waiting changes; what a copy comes to."""
    return _row(STATUS, {"user_id": user_id, **wanted})


def lock_clock(user_id: UUID) -> None:
    _row("SELECT count(*) FROM (SELECT FROM sync_clock WHERE user_id = %s FOR UPDATE) locked", (user_id,))


# -------------------------------------------------------------------------------------- offline writes

# One push of a user at a time. Their clock cannot serve as this lock: it may be taken only after all rows.
TAKE_TURNS = """
SELECT set_config('lock_timeout', '5s', true), pg_advisory_xact_lock(hashtextextended(%s, 6))"""
# In one snapshot: a log that is written anew between two would look as if nothing had ever changed.
HISTORY = """
SELECT coalesce(k.horizon, '0001-01-02 00:00:00+00'), coalesce(c.op = 'D', false), coalesce(c.fields, '{}')::text
  FROM (SELECT %(user_id)s::uuid AS user_id) AS asked
  LEFT JOIN sync_clock k USING (user_id)
  LEFT JOIN sync_change c ON c.user_id = asked.user_id AND c.kind = %(kind)s AND c.object_id = %(object_id)s"""
# What objects have come to, in the order in which they are asked for.
VERSIONS = f"""
SELECT c.ts, CASE asked.kind
    WHEN 'profile' THEN (SELECT {PROFILE_JSON} FROM users u WHERE u.id = c.object_id)
    WHEN 'device' THEN (SELECT {DEVICE_JSON} FROM devices d
                         WHERE d.id = c.object_id AND d.user_id = %(user_id)s)
    WHEN 'activity_log' THEN (SELECT {ACTIVITY_JSON} FROM activity_logs a
                               WHERE a.id = c.object_id AND a.timestamp = c.part AND a.user_id = %(user_id)s)
  END::text
  FROM unnest(%(kinds)s::text[], %(ids)s::uuid[]) WITH ORDINALITY AS asked (kind, object_id, number)
  LEFT JOIN sync_change c ON c.user_id = %(user_id)s AND c.kind = asked.kind AND c.object_id = asked.object_id
 ORDER BY asked.number"""


def take_turns(user_id: UUID) -> None:
    """Wait for the user's other pushes to end. In a transaction."""
    _row(TAKE_TURNS, (str(user_id),))


class Logged(NamedTuple):
    """What the log knows of an object. Of changes before the horizon it may know nothing."""

    horizon: datetime
    is_gone: bool
    stamps: dict[str, datetime]


def history(user_id: UUID, kind: str, object_id: UUID) -> Logged:
    named = {"user_id": user_id, "kind": kind, "object_id": object_id}
    horizon, is_gone, stamps = _row(HISTORY, named)
    return Logged(
        horizon, is_gone, {name: datetime.fromisoformat(stamp) for name, stamp in orjson.loads(stamps).items()}
    )


def stamp(user_id: UUID) -> datetime:
    """Let the capture triggers run now instead of at COMMIT; the stamp that the transaction has come to."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
    return cast("datetime", _row("SELECT sync_tick(%s)", (user_id,))[0])


def versions(user_id: UUID, objects: list[tuple[str, UUID]]) -> list[tuple[datetime | None, str | None]]:
    """The stamp and the JSON of each object; its JSON is None where it is gone."""
    parameters: dict[str, Any] = {
        "user_id": user_id,
        "kinds": [kind for kind, _ in objects],
        "ids": [object_id for _, object_id in objects],
    }
    with connection.cursor() as cursor:
        cursor.execute(VERSIONS, parameters)
        found: list[tuple[datetime | None, str | None]] = cursor.fetchall()
    return found


# ------------------------------------------------------------------------------------------- retention

# By the partial index sync_change_tombstones. Those of devices stay: by them an erasure finds what they reported.
OLD_TOMBSTONES = "FROM sync_change WHERE op = 'D' AND ts < %s AND kind <> 'device'"
PURGE = """
WITH old AS (
  SELECT kind, object_id, ts FROM sync_change
   WHERE user_id = %(user_id)s AND op = 'D' AND ts < %(before)s AND kind <> 'device'
   ORDER BY ts LIMIT %(rows)s),
raised AS (
  UPDATE sync_clock SET horizon = greatest(horizon, (SELECT max(ts) FROM old))
   WHERE user_id = %(user_id)s AND EXISTS (SELECT FROM old))
DELETE FROM sync_change c USING old
 WHERE c.user_id = %(user_id)s AND c.kind = old.kind AND c.object_id = old.object_id"""


def count_tombstones(*, before: datetime) -> int:
    return int(_row(f"SELECT count(*) {OLD_TOMBSTONES}", (before,))[0])


def users_with_tombstones(*, before: datetime) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT user_id {OLD_TOMBSTONES}", (before,))
        return [row[0] for row in cursor.fetchall()]


def purge_tombstones(user_id: UUID, *, before: datetime, rows: int) -> int:
    """Delete a user's oldest tombstones and raise the horizon; how many."""
    with connection.cursor() as cursor:
        cursor.execute(PURGE, {"user_id": user_id, "before": before, "rows": rows})
        return int(cursor.rowcount)


def _row(statement: str, parameters: Any) -> tuple[Any, ...]:
    with prepared() as cursor:
        cursor.execute(statement, parameters)
        found: tuple[Any, ...] = cursor.fetchone()
    return found


# ------------------------------------------------------------------------ erasing and exporting people

# Also dispensers that were removed: what they reported stays until the account goes. The change log has
# their tombstones.
DEVICES_EVER_OF = """
SELECT known.id FROM (
    SELECT id FROM devices WHERE user_id = %(user_id)s
    UNION SELECT object_id FROM sync_change WHERE user_id = %(user_id)s AND kind = 'device'
    UNION SELECT device_id FROM removed_devices WHERE user_id = %(user_id)s
    UNION SELECT device_id FROM dispenses WHERE user_id = %(user_id)s
    UNION SELECT device_id FROM dose_days WHERE user_id = %(user_id)s) AS known (id)
 WHERE NOT EXISTS (SELECT FROM devices d WHERE d.id = known.id AND d.user_id <> %(user_id)s)
 ORDER BY known.id"""

# By the index on the column; the addresses of rows save a second search.
DELETE_CHUNK = """
DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table} WHERE {column} = ANY(%s) LIMIT %s))"""

# The oldest rows first, by the index on column and time of each partition.
DELETE_HISTORY = """
DELETE FROM {table} WHERE {column} = %(owner)s AND timestamp <= coalesce(
  (SELECT timestamp FROM {table} WHERE {column} = %(owner)s ORDER BY timestamp, id OFFSET %(rows)s - 1 LIMIT 1),
  'infinity')"""


def devices_ever_of(user_id: UUID) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(DEVICES_EVER_OF, {"user_id": user_id})
        return [row[0] for row in cursor.fetchall()]


def delete_chunk(table: str, column: str, values: list[Any], rows: int) -> int:
    """Delete at most `rows` rows of a table without partitions; how many."""
    with connection.cursor() as cursor:
        cursor.execute(DELETE_CHUNK.format(table=table, column=column), (values, rows))
        return int(cursor.rowcount)


def delete_history(table: str, column: str, owner: UUID, rows: int) -> int:
    """Delete about `rows` rows of a table with partitions; how many."""
    with connection.cursor() as cursor:
        cursor.execute(DELETE_HISTORY.format(table=table, column=column), {"owner": owner, "rows": rows})
        return int(cursor.rowcount)


def count_of(table: str, column: str, values: list[Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table} WHERE {column} = ANY(%s)", (values,))
        return int(cursor.fetchone()[0])
