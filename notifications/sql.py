"""The shape of a notification and the statements of its lists."""

from collections.abc import Collection, Mapping
from datetime import datetime, time, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.db import connection

from notifications.forecast import LEAST_HISTORY, NOTICE
from notifications.models import AlertState
from notifications.policy import SWITCHES, Audience, Phone
from zinzino.api.pagination import Listing
from zinzino.api.renderers import dumps
from zinzino.prepared import fetched

# The JSON of a notification, the same in its list and in sync (api.md 7).
NOTIFICATION_JSON = """json_build_object(
    'id', id, 'type', type, 'title', title, 'message', message, 'device_id', device_id,
    'is_read', is_read, 'read_at', iso_ms(read_at), 'metadata', metadata, 'created_at', iso_ms(created_at))"""

# The JSON of a person's wishes, as far as it is the same on all phones.
SETTINGS_JSON = """json_build_object(
    'reminder_enabled', n.reminder_enabled,
    'reminder_time', to_char(n.reminder_times[1], 'HH24:MI'),
    'reminder_times', (SELECT json_agg(to_char(each, 'HH24:MI')) FROM unnest(n.reminder_times) each),
    'reminder_skip_if_taken', n.reminder_skip_if_taken, 'low_battery_enabled', n.low_battery_enabled,
    'low_supplement_enabled', n.low_supplement_enabled, 'achievement_enabled', n.achievement_enabled,
    'device_offline_enabled', n.device_offline_enabled, 'dose_missed_enabled', n.dose_missed_enabled,
    'refill_due_enabled', n.refill_due_enabled, 'push_content', n.push_content,
    'quiet_hours', json_build_object('enabled', n.quiet_enabled, 'start', to_char(n.quiet_start, 'HH24:MI'),
                                     'end', to_char(n.quiet_end, 'HH24:MI')),
    'updated_at', iso_ms(n.updated_at))"""

# The wishes as one phone sees them: with its own token and the person's time zone. By the primary key and
# the index push_tokens_living.
SETTINGS_OF_PHONE = f"""
SELECT n.replan_from IS NOT NULL, ({SETTINGS_JSON}::jsonb || jsonb_build_object(
    'timezone', u.timezone, 'next_reminder_at', iso_ms(n.next_reminder_at),
    'push_token', p.token, 'push_platform', p.platform))::text
  FROM notification_settings n JOIN users u ON u.id = n.user_id
  LEFT JOIN LATERAL (SELECT t.token, t.platform FROM push_tokens t
    WHERE t.user_id = n.user_id AND t.session_id = %(session_id)s AND t.ended_at IS NULL
    ORDER BY t.registered_at DESC, t.id DESC LIMIT 1) p ON true
 WHERE n.user_id = %(user_id)s"""

# By the index notifications_newest; what is unread, by notifications_unread.
NEWEST = Listing(
    row_json=NOTIFICATION_JSON,
    source="notifications",
    where="""user_id = %(user_id)s
        AND (%(is_read)s::boolean IS NULL OR is_read = %(is_read)s)
        AND (%(type)s::text IS NULL OR type = %(type)s)
        AND (%(device_id)s::uuid IS NULL OR device_id = %(device_id)s)
        AND (%(start)s::timestamptz IS NULL OR created_at >= %(start)s)
        AND (%(end)s::timestamptz IS NULL OR created_at < %(end)s)""",
    key="created_at",
    figure="(SELECT count(*) FROM notifications WHERE user_id = %(user_id)s AND NOT is_read)",
)


def alert_states(device_id: UUID, kinds: list[str]) -> list[AlertState]:
    """By the constraint one_alert_per_kind."""
    return fetched(AlertState, "WHERE device_id = %s AND kind = ANY(%s::text[])", (device_id, kinds))


def unread_by_type(user_id: UUID) -> dict[str, int]:
    """How many wait to be read, by the partial index notifications_unread."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT type, count(*) FROM notifications WHERE user_id = %s AND NOT is_read GROUP BY type",
            (user_id,),
        )
        return dict[Any, Any](cursor.fetchall())


def notification(notification_id: UUID) -> tuple[UUID, str] | None:
    """The owner and the JSON of one notification, by its primary key."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT user_id, {NOTIFICATION_JSON}::text FROM notifications WHERE id = %s", (notification_id,)
        )
        found: tuple[UUID, str] | None = cursor.fetchone()
    return found


def settings_of_phone(user_id: UUID, session_id: UUID) -> tuple[bool, str]:
    """Whether the next reminder has still to be found, and the JSON."""
    with connection.cursor() as cursor:
        cursor.execute(SETTINGS_OF_PHONE, {"user_id": user_id, "session_id": session_id})
        found: tuple[bool, str] = cursor.fetchone()
    return found


# What telling somebody depends on. By push_tokens_living.
_OFF = ", ".join(f"CASE WHEN NOT s.{column} THEN '{kind}' END" for kind, column in SWITCHES.items())
AUDIENCE_COLUMNS = f"""
       u.language, u.timezone, u.notification_enabled, s.quiet_enabled, s.quiet_start, s.quiet_end,
       concat_ws(',', {_OFF}),
       (SELECT json_agg(json_build_array(t.id, t.local_reminders) ORDER BY t.id)::text
          FROM push_tokens t WHERE t.user_id = u.id AND t.ended_at IS NULL)"""

# Who is told, locked against deletion in the order of their ids; nobody whose account has ended. By primary
# keys.
AUDIENCES = f"""
SELECT u.id, {AUDIENCE_COLUMNS}
  FROM users u JOIN notification_settings s ON s.user_id = u.id
 WHERE u.id = ANY(%s::uuid[]) AND u.is_active AND u.deleted_at IS NULL
 ORDER BY u.id FOR KEY SHARE OF u"""

# By the constraint one_row_per_cause; in the order of the list, which is that of the people's ids.
INSERT_NOTIFICATIONS = """
INSERT INTO notifications (id, user_id, device_id, type, title, message, is_read, metadata, dedupe_key, created_at)
SELECT id, user_id, device_id, type, title, message, false, metadata, dedupe_key, %(now)s
  FROM ROWS FROM (json_to_recordset(%(rows)s::json) AS (id uuid, user_id uuid, device_id uuid, type text,
    title text, message text, metadata jsonb, dedupe_key text)) WITH ORDINALITY
 ORDER BY ordinality
ON CONFLICT (user_id, dedupe_key) DO NOTHING RETURNING id"""

INSERT_DELIVERIES = """
INSERT INTO push_deliveries (id, user_id, notification_id, phone_id, kind, status, reason, detail, attempts,
                             created_at, next_attempt_at, expires_at)
SELECT id, user_id, notification_id, phone_id, kind, status, reason, '', 0, created_at, next_attempt_at, expires_at
  FROM json_to_recordset(%s::json) AS (id uuid, user_id uuid, notification_id uuid, phone_id uuid, kind text,
    status text, reason text, created_at timestamptz, next_attempt_at timestamptz, expires_at timestamptz)"""


def audiences(user_ids: Collection[UUID]) -> dict[UUID, Audience]:
    with connection.cursor() as cursor:
        cursor.execute(AUDIENCES, (list(user_ids),))
        return {row[0]: audience(*row) for row in cursor.fetchall()}


def audience(user_id: UUID, *columns: Any) -> Audience:
    """Of AUDIENCE_COLUMNS."""
    language, timezone, push_enabled, quiet_enabled, quiet_start, quiet_end, switched_off, phones = columns
    return Audience(
        user_id=user_id,
        language=language,
        timezone=timezone,
        push_enabled=push_enabled,
        quiet_enabled=quiet_enabled,
        quiet_start=quiet_start,
        quiet_end=quiet_end,
        switched_off=frozenset(switched_off.split(",")) if switched_off else frozenset(),
        phones=tuple(Phone(UUID(phone_id), local) for phone_id, local in orjson.loads(phones or "[]")),
    )


def insert_notifications(rows: list[dict[str, Any]], *, now: datetime) -> list[UUID]:
    """The ids of those whose cause was new."""
    if not rows:
        return []
    with connection.cursor() as cursor:
        cursor.execute(INSERT_NOTIFICATIONS, {"rows": dumps(rows).decode(), "now": now})
        return [row_id for (row_id,) in cursor.fetchall()]


def stamp_notifications(made: Collection[UUID]) -> None:
    """Stamp what a batch has made for sync, all at once; at COMMIT it is one by one (ADR 0031).

    To be the last statement that locks: it takes the people's sync clocks, in the order of their ids.
    """
    if len(made) > 1:
        with connection.cursor() as cursor:
            cursor.execute("SELECT sync_told(%s::uuid[])", (list(made),))


def insert_deliveries(rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(INSERT_DELIVERIES, (orjson.dumps(rows).decode(),))


class Claimed(NamedTuple):
    """A delivery that this worker has taken, and all that sending it needs; the names are the columns."""

    id: UUID
    user_id: UUID
    notification_id: UUID | None
    kind: str
    reason: str
    attempts: int
    expires_at: datetime
    phone_id: UUID
    provider: str
    platform: str
    token: str
    phone_ended: bool
    language: str
    push_enabled: bool
    push_content: str
    title: str | None
    message: str | None
    is_read: bool | None
    link: str | None
    route: str
    route_failures: int
    open_until: datetime | None


# By push_deliveries_due and primary keys. What is read is from before the UPDATE, but for its own columns.
CLAIM_DELIVERIES = """
WITH due AS (
  SELECT id FROM push_deliveries WHERE status IN ('queued', 'sending') AND next_attempt_at <= %(now)s
   ORDER BY next_attempt_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED),
claimed AS (
  UPDATE push_deliveries d SET status = 'sending', attempts = d.attempts + 1, next_attempt_at = %(lease_until)s
    FROM due WHERE d.id = due.id RETURNING d.*)
SELECT c.id, c.user_id, c.notification_id, c.kind, c.reason, c.attempts, c.expires_at,
       t.id, t.provider, t.platform, t.token, t.ended_at IS NOT NULL,
       u.language, u.notification_enabled, s.push_content, n.title, n.message, n.is_read, n.metadata ->> 'link',
       t.provider || '-' || t.platform, coalesce(r.failures, 0), CASE WHEN r.failures > 0 THEN r.open_until END
  FROM claimed c JOIN push_tokens t ON t.id = c.phone_id JOIN users u ON u.id = c.user_id
  JOIN notification_settings s ON s.user_id = c.user_id
  LEFT JOIN notifications n ON n.id = c.notification_id
  LEFT JOIN push_routes r ON r.name = t.provider || '-' || t.platform"""

SETTLE_DELIVERIES = """
UPDATE push_deliveries d SET status = s.status, reason = s.reason, detail = s.detail, attempts = s.attempts,
       next_attempt_at = coalesce(s.next_attempt_at, d.next_attempt_at), sent_at = s.sent_at
  FROM jsonb_to_recordset(%s::jsonb) AS s (id uuid, claim integer, status text, reason text, detail text,
    attempts integer, next_attempt_at timestamptz, sent_at timestamptz)
 WHERE d.id = s.id AND d.status = 'sending' AND d.attempts = s.claim"""

# A failure while it is open is the same outage, seen by another worker.
COUNT_ROUTE_FAILURE = """
INSERT INTO push_routes AS r (name, failures, open_until, detail) VALUES (%(name)s, 1, %(now)s, '')
ON CONFLICT (name) DO UPDATE SET failures = r.failures + (r.open_until <= %(now)s OR r.failures = 0)::int
RETURNING failures"""


# By the primary key: the ids of version 7 begin with the time.
DELETE_DELIVERIES = """
DELETE FROM push_deliveries WHERE id IN (
  SELECT id FROM push_deliveries WHERE id < %s AND status NOT IN ('queued', 'sending') ORDER BY id LIMIT %s)"""


def claim_deliveries(*, now: datetime, lease_until: datetime, limit: int) -> list[Claimed]:
    with connection.cursor() as cursor:
        cursor.execute(CLAIM_DELIVERIES, {"now": now, "lease_until": lease_until, "limit": limit})
        return [Claimed(*row) for row in cursor.fetchall()]


def settle_deliveries(rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(SETTLE_DELIVERIES, (orjson.dumps(rows).decode(),))


def count_route_failure(name: str, *, now: datetime) -> int:
    """Failures in a row, this one included."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT_ROUTE_FAILURE, {"name": name, "now": now})
        return int(cursor.fetchone()[0])


def delete_deliveries(*, before: UUID, limit: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(DELETE_DELIVERIES, (before, limit))
        return int(cursor.rowcount)


class ReminderRow(NamedTuple):
    user_id: UUID
    enabled: bool
    is_active: bool
    times: list[time]
    skip_if_taken: bool
    timezone: str
    next_at: datetime | None
    replan_from: datetime | None
    # JSON; of each active dispenser its id, name, type, plan (as JSON again), version, time zone.
    dispensers: str | None


# By devices_of_user.
REMINDER_COLUMNS = """
       s.user_id, s.reminder_enabled, u.is_active AND u.deleted_at IS NULL, s.reminder_times,
       s.reminder_skip_if_taken, u.timezone, s.next_reminder_at, s.replan_from,
       (SELECT json_agg(json_build_array(d.id, d.device_name, d.device_type, d.plan::text, d.plan_version,
                                         d.timezone) ORDER BY d.created_at, d.id)::text
          FROM devices d WHERE d.user_id = s.user_id AND d.is_active)"""

# By reminders_due. The people are locked against deletion; those who are going are left to it.
LOCK_DUE = f"""
SELECT {REMINDER_COLUMNS}, {AUDIENCE_COLUMNS} FROM notification_settings s JOIN users u ON u.id = s.user_id
 WHERE s.next_reminder_at <= %(now)s ORDER BY s.next_reminder_at LIMIT %(limit)s
   FOR UPDATE OF s SKIP LOCKED FOR KEY SHARE OF u SKIP LOCKED"""

# By reminders_unplanned.
LOCK_UNPLANNED = f"""
SELECT {REMINDER_COLUMNS} FROM notification_settings s JOIN users u ON u.id = s.user_id
 WHERE s.replan_from IS NOT NULL AND (%(user_ids)s::uuid[] IS NULL OR s.user_id = ANY(%(user_ids)s))
 ORDER BY s.replan_from LIMIT %(limit)s FOR UPDATE OF s SKIP LOCKED"""

# By the primary key.
WRITE_NEXT_REMINDERS = """
UPDATE notification_settings s SET next_reminder_at = n.next_at, replan_from = NULL
  FROM json_to_recordset(%s::json) AS n (user_id uuid, next_at timestamptz) WHERE s.user_id = n.user_id"""


def lock_due(*, now: datetime, limit: int) -> list[tuple[ReminderRow, Audience]]:
    width = len(ReminderRow._fields)
    with connection.cursor() as cursor:
        cursor.execute(LOCK_DUE, {"now": now, "limit": limit})
        return [(ReminderRow(*row[:width]), audience(row[0], *row[width:])) for row in cursor.fetchall()]


def lock_unplanned(user_ids: Collection[UUID] | None, *, limit: int) -> list[ReminderRow]:
    with connection.cursor() as cursor:
        chosen = list(user_ids) if user_ids is not None else None
        cursor.execute(LOCK_UNPLANNED, {"user_ids": chosen, "limit": limit})
        return [ReminderRow(*row) for row in cursor.fetchall()]


def write_next_reminders(moments: Mapping[UUID, datetime | None]) -> None:
    if not moments:
        return
    rows = [{"user_id": user_id, "next_at": next_at} for user_id, next_at in moments.items()]
    with connection.cursor() as cursor:
        cursor.execute(WRITE_NEXT_REMINDERS, (orjson.dumps(rows).decode(),))


# A phone that reminds by itself has to fetch what has changed; one such push at a time is enough.
PHONES_TO_WAKE = """
SELECT t.user_id, t.id FROM push_tokens t
 WHERE t.user_id = ANY(%s::uuid[]) AND t.local_reminders AND t.ended_at IS NULL
   AND NOT EXISTS (SELECT FROM push_deliveries d
                    WHERE d.phone_id = t.id AND d.kind = 'changes' AND d.status = 'queued')"""


def phones_to_wake(user_ids: Collection[UUID]) -> list[tuple[UUID, UUID]]:
    with connection.cursor() as cursor:
        cursor.execute(PHONES_TO_WAKE, (list(user_ids),))
        found: list[tuple[UUID, UUID]] = cursor.fetchall()
    return found


# What a sample of a level may change.
LEVEL_COLUMNS = (
    "severity",
    "episodes",
    "low_told_at",
    "critical_told_at",
    "full_level",
    "full_at",
    "refill_told_at",
)


def upsert_alert_states(states: list[AlertState]) -> None:
    if states:
        AlertState.objects.bulk_create(
            states, update_conflicts=True, unique_fields=("device", "kind"), update_fields=LEVEL_COLUMNS
        )


# A first sample begins the forecast; later ones count when it comes near, which the level before tells too.
WATCHED = """
SELECT d.id FROM devices d
  LEFT JOIN alert_states s ON s.device_id = d.id AND s.kind = 'supplement'
  LEFT JOIN alert_states b ON b.device_id = d.id AND b.kind = 'battery'
 WHERE d.id = ANY(%(device_ids)s::uuid[])
   AND (s.full_at IS NULL OR coalesce(s.severity, b.severity) IS NOT NULL
        OR coalesce(s.low_told_at, s.critical_told_at, b.low_told_at, b.critical_told_at) IS NOT NULL
        OR s.refill_told_at IS NULL AND s.full_level > d.supplement_level
           AND %(now)s - s.full_at >= %(least)s::interval
           AND (%(now)s - s.full_at) * d.supplement_level
               <= %(near)s::interval * (s.full_level - d.supplement_level))"""


# The level of now may be one sample further than the one that is known.
NEAR = f"{2 * NOTICE // timedelta(days=1)} days"
LEAST = f"{LEAST_HISTORY // timedelta(days=1)} days"


def watched_devices(device_ids: list[UUID], *, now: datetime) -> set[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(WATCHED, {"device_ids": device_ids, "now": now, "near": NEAR, "least": LEAST})
        return {device_id for (device_id,) in cursor.fetchall()}


# Those whose plan has times are looked at when a window closes; by the constraint one_alert_per_kind.
WATCH_WINDOWS = """
INSERT INTO alert_states AS a (device_id, kind, episodes, since, next_at)
SELECT id, 'missed', 0, %(now)s, %(now)s FROM unnest(%(device_ids)s::uuid[]) AS id
ON CONFLICT (device_id, kind) DO UPDATE SET next_at = excluded.next_at"""


def watch_windows(device_ids: Collection[UUID], *, now: datetime) -> None:
    if not device_ids:
        return
    with connection.cursor() as cursor:
        cursor.execute(WATCH_WINDOWS, {"device_ids": list(device_ids), "now": now})


# The days around those that are new, so far back that the longest streak that is rewarded fits in, and what
# was taken in all. By the primary key and intake_days_unseen; the new days are locked and from now on seen.
NEW_DAYS = """
WITH fresh AS (
  SELECT user_id, local_date, unseen FROM intake_days
   WHERE user_id = %(user_id)s AND unseen > 0 ORDER BY local_date FOR UPDATE),
seen AS (
  UPDATE intake_days i SET unseen = 0 FROM fresh f WHERE (i.user_id, i.local_date) = (f.user_id, f.local_date)
  RETURNING i.local_date)
SELECT coalesce((SELECT sum(unseen) FROM fresh), 0),
       (SELECT coalesce(sum(taken), 0) FROM intake_days WHERE user_id = %(user_id)s),
       (SELECT coalesce(json_agg(json_build_array(i.local_date, i.taken, i.unseen, i.unknown)
                                 ORDER BY i.local_date), '[]')
          FROM intake_days i WHERE i.user_id = %(user_id)s AND EXISTS (SELECT FROM fresh)
           AND i.local_date >= (SELECT min(local_date) FROM fresh) - %(back)s::integer),
       EXISTS (SELECT FROM push_tokens t
                WHERE t.user_id = %(user_id)s AND t.local_reminders AND t.ended_at IS NULL)"""

WITH_UNSEEN = "SELECT DISTINCT user_id FROM intake_days WHERE unseen > 0 LIMIT %s"


def new_days(user_id: UUID, *, back: int) -> tuple[int, int, list[list[Any]], bool]:
    """How many doses are new, how many there are, the days as (date, taken, of these new, unknown), and
    whether a phone of the person reminds by itself."""
    with connection.cursor() as cursor:
        cursor.execute(NEW_DAYS, {"user_id": user_id, "back": back})
        found: tuple[int, int, list[list[Any]], bool] = cursor.fetchone()
    return found


def people_with_new_doses(*, limit: int) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(WITH_UNSEEN, (limit,))
        return [user_id for (user_id,) in cursor.fetchall()]
