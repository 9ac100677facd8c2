"""The statements of the hot path, one a function, and the shape of a profile."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from zinzino.prepared import prepared


def literal(text: str) -> str:
    """A constant in a statement that also has parameters."""
    return "'" + text.replace("'", "''").replace("%", "%%") + "'"


# The row holds the name of a file of ours, or a provider's address; the API shows addresses only
# (`pictures.address` says the same in Python).
PICTURE = f"""CASE WHEN starts_with(u.profile_picture, 'https://') THEN u.profile_picture
    ELSE {literal(settings.MEDIA_URL)} || nullif(u.profile_picture, '') END"""

# The JSON of a profile, the same in /profile and in sync (mission 2.1, api.md 2).
PROFILE_JSON = f"""json_build_object(
    'id', u.id, 'email', u.email, 'full_name', u.full_name, 'profile_picture', {PICTURE},
    'phone', u.phone, 'notification_enabled', u.notification_enabled,
    'theme_preference', u.theme_preference, 'language', u.language, 'timezone', u.timezone,
    'is_verified', u.is_verified, 'created_at', iso_ms(u.created_at), 'updated_at', iso_ms(u.updated_at))"""

# By the primary keys of refresh_tokens, sessions and users.
LIVE_SESSION = """
SELECT s.id, s.ended_at, s.last_seen_at, r.access_used_at, u.is_active, u.deleted_at, u.language, u.timezone
  FROM refresh_tokens r JOIN sessions s ON s.id = r.session_id JOIN users u ON u.id = s.user_id
 WHERE r.token_id = %s AND s.id = %s AND u.id = %s"""

SESSION_STATE = """
SELECT s.ended_at, u.is_active, u.deleted_at FROM sessions s JOIN users u ON u.id = s.user_id
 WHERE s.id = %s AND u.id = %s"""


def live_session(token_id: str, session_id: str, user_id: str) -> tuple[Any, ...] | None:
    with prepared() as cursor:
        cursor.execute(LIVE_SESSION, (token_id, session_id, user_id))
        row: tuple[Any, ...] | None = cursor.fetchone()
    return row


def session_state(session_id: UUID, user_id: UUID) -> tuple[Any, ...] | None:
    """When the session ended, whether the account is active, when it was deleted."""
    with connection.cursor() as cursor:
        cursor.execute(SESSION_STATE, (session_id, user_id))
        row: tuple[Any, ...] | None = cursor.fetchone()
    return row


def profile(user_id: UUID) -> str:
    """The JSON text of one profile."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {PROFILE_JSON}::text FROM users u WHERE u.id = %s", (user_id,))
        return str(cursor.fetchone()[0])
