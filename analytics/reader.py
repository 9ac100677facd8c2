"""A role of PostgreSQL for people who analyse: it reads figures, and can neither write nor learn who anybody is
(ADR 0034).

What is not named here is not readable, so that a new table or a new secret is withheld until somebody decides.
"""

from collections.abc import Mapping
from typing import Any

from django.db import connection, transaction
from psycopg.sql import SQL, Composed, Identifier, Literal

# By it we know our own: no other role is ever touched.
MARK = "zinzino analytics reader"
SETTINGS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
    "lock_timeout": "2s",
}
CONNECTIONS = 5

# People and dispensers are ids: no names, addresses, free text, tokens, nor anything that somebody typed.
COLUMNS: Mapping[str, str] = {
    "users": "id is_verified is_active is_staff language timezone created_at deleted_at",
    "sessions": "id user_id created_at last_seen_at ended_at end_reason platform app_version",
    "security_events": "id user_id kind occurred_at",
    "devices": "id user_id device_type is_active setup_state created_at battery_level supplement_level levels_at "
    "firmware_version hardware_rev is_connected contact_at last_seen last_sync timezone total_doses_dispensed",
    "removed_devices": "device_id user_id",
    "manufactured_units": "device_type batch lot hardware_rev imported_at",
    "supplement_profiles": "device_type amount unit concentration target_per_day max_per_day min_interval_min "
    "rolling_hours",
    "activity_logs": "id user_id device_id action dose_amount triggered_by confirmation local_date timestamp",
    "dispenses": "id user_id device_id family status amount unit actual_amount counts decided_by is_fault "
    "protocol authorized_at expires_at finished_at reported_at resolved_as resolved_at slot_date slot_id "
    "time_quality",
    "decisions": "id device_id decided_at should_dispense reason dispense_id",
    "device_commands": "id device_id type status created_at sent_at delivered_at finished_at code",
    "device_states": "id device_id cup_placed timestamp received_at time_quality",
    "device_samples": "id device_id battery_level supplement_level rssi timestamp received_at time_quality",
    "device_reports": "id device_id kind timestamp received_at time_quality",
    "dead_letters": "id device_id code received_at",
    "firmware_releases": "id version hardware min_from size counter status imported_at published_at blocked_at",
    "firmware_rollouts": "id release_id hardware status stages stage stage_since starts_at succeeded failed "
    "created_at",
    "firmware_jobs": "id rollout_id device_id status progress code from_version offered_at updated_at finished_at",
    "safety_stops": "id scope until ordered_at lifted_at",
    "notifications": "id user_id device_id type is_read read_at created_at",
    "push_deliveries": "id user_id notification_id kind status reason attempts created_at expires_at sent_at",
    "push_tokens": "id user_id provider platform created_at registered_at ended_at end_reason",
    "mails": "id user_id kind status attempts created_at sent_at",
    "alert_states": "id device_id kind severity episodes",
    "dose_days": "id user_id device_id local_date doses",
    "dose_rollups": "id user_id local_date device_id supplement dispensed manual failed taken unknown pending "
    "amount_ml",
    "device_rollups": "id user_id device_id local_date connected_ms disconnects battery_used supplement_used",
    "expected_doses": "id user_id device_id device_type registered_on first_day per_day max_per_day",
    "intake_days": "user_id local_date taken unknown",
    "streak_marks": "user_id day current longest",
    "fleet_days": "id day device_type firmware_version devices active dispensed failed unknown disconnects "
    "battery_used supplement_used",
    "adherence_days": "id day family cohort people expected taken unknown",
    "cohort_months": "id cohort month people active",
    "sync_mutation": "user_id outcome created_at",
    "sync_metadata": "id user_id last_full_sync last_delta_sync sync_status created_at",
}

KNOWN = """
SELECT rolsuper OR coalesce(shobj_description(oid, 'pg_authid'), '') <> %s FROM pg_roles WHERE rolname = %s"""


class NotOurs(Exception):
    """A role of that name exists, and was not made by us: its rights are not ours to change."""


@transaction.atomic
def make(name: str, *, dry_run: bool = False) -> list[str]:
    """Make the role, or give one of ours exactly these rights; the statements. Raises NotOurs.

    It has no password: whoever may set one does.
    """
    with connection.cursor() as cursor:
        cursor.execute(KNOWN, (MARK, name))
        found = cursor.fetchone()
        if found and found[0]:
            raise NotOurs(name)
        cursor.execute("SELECT current_database()")
        needed = statements(Identifier(name), Identifier(cursor.fetchone()[0]), is_new=found is None)
        texts = [statement.as_string(cursor.connection) for statement in needed]
        for text in () if dry_run else ("SET LOCAL lock_timeout = '2s'", *texts):
            cursor.execute(text)
    return texts


def statements(role: Identifier, database: Identifier, *, is_new: bool) -> list[Composed]:
    """From no right at all to those of COLUMNS, so that what is no longer named is taken away."""
    made = [
        SQL("CREATE ROLE {} LOGIN NOINHERIT").format(role),
        SQL("COMMENT ON ROLE {} IS {}").format(role, Literal(MARK)),
    ]
    return [
        *(made if is_new else []),
        SQL("ALTER ROLE {} CONNECTION LIMIT {}").format(role, Literal(CONNECTIONS)),
        *(SQL("ALTER ROLE {} SET {} = {}").format(role, Identifier(k), Literal(v)) for k, v in SETTINGS.items()),
        SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, role),
        SQL("GRANT USAGE ON SCHEMA public TO {}").format(role),
        SQL("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {}").format(role),
        *(granted(role, table, columns.split()) for table, columns in COLUMNS.items()),
    ]


def granted(role: Identifier, table: str, columns: list[str]) -> Composed:
    names: Any = SQL(", ").join(map(Identifier, columns))
    return SQL("GRANT SELECT ({}) ON {} TO {}").format(names, Identifier(table), role)
