"""The shape of a notification and the statements of its lists."""

from typing import Any
from uuid import UUID

from django.db import connection

from zinzino.api.pagination import Listing

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
SELECT ({SETTINGS_JSON}::jsonb || jsonb_build_object(
    'timezone', u.timezone, 'push_token', p.token, 'push_platform', p.platform))::text
  FROM notification_settings n JOIN users u ON u.id = n.user_id
  LEFT JOIN LATERAL (SELECT t.token, t.platform FROM push_tokens t
    WHERE t.user_id = n.user_id AND t.session_id = %(session_id)s AND t.ended_at IS NULL
    ORDER BY t.registered_at DESC, t.id DESC LIMIT 1) p ON true
 WHERE n.user_id = %(user_id)s"""

# By the index notifications_newest.
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
)


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


def settings_of_phone(user_id: UUID, session_id: UUID) -> str:
    with connection.cursor() as cursor:
        cursor.execute(SETTINGS_OF_PHONE, {"user_id": user_id, "session_id": session_id})
        return str(cursor.fetchone()[0])
