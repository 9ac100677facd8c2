"""The statements of a device event and of the histories, one a function."""

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from zinzino.api.pagination import Listing

# The JSON of one line of the log (api.md 6); sync leaves the device's name out.
ACTIVITY_FIELDS = """
    'action', action, 'dose_amount', dose_amount, 'triggered_by', triggered_by,
    'timestamp', iso_ms(timestamp), 'local_date', local_date, 'confirmation', confirmation,
    'metadata', metadata || jsonb_strip_nulls(
        jsonb_build_object('dose_amount', dose_amount, 'triggered_by', triggered_by))"""
ACTIVITY_JSON = f"json_build_object('id', id, 'device_id', device_id, {ACTIVITY_FIELDS})"
NAMED_ACTIVITY_JSON = f"""json_build_object('id', id, 'device_id', device_id,
    'device_name', (SELECT device_name FROM devices WHERE devices.id = device_id), {ACTIVITY_FIELDS})"""

# By the index activity_logs_of_device, newest partition first.
DEVICE_HISTORY = Listing(
    row_json=NAMED_ACTIVITY_JSON,
    source="activity_logs",
    where="""device_id = %(device_id)s AND user_id = %(user_id)s
        AND (%(start)s::timestamptz IS NULL OR timestamp >= %(start)s)
        AND (%(end)s::timestamptz IS NULL OR timestamp < %(end)s)""",
    key="timestamp",
)


class LockedDevice(NamedTuple):
    """The columns of a device that an event reads; their names are the statement's column list."""

    id: UUID
    user_id: UUID
    is_active: bool
    device_type: str
    battery_level: int
    supplement_level: int
    cup_placed: bool
    sensor_reading: Decimal | None
    last_state_change: datetime | None
    last_event_at: datetime | None
    last_removal_at: datetime | None
    last_dose_event_at: datetime | None
    event_count: int
    plan: str
    plan_version: int
    timezone: str
    last_seen: datetime | None


# One lock for all dispensers of one supplement: their doses count against each other. The rows are
# always locked in the order of their ids, and a row that we waited for is read anew.
LOCK_FAMILY = f"""
SELECT {", ".join(LockedDevice._fields)} FROM devices
 WHERE user_id = %s AND device_type = ANY(%s) ORDER BY id FOR UPDATE"""

# By dispenses_of_family and the keys of event_keys and decisions.
FAMILY_DOSES = """
SELECT (SELECT coalesce(json_agg(json_build_array(epoch_ms(d.authorized_at), coalesce(d.actual_amount, d.amount))
                                 ORDER BY d.authorized_at DESC), '[]')
          FROM dispenses d
         WHERE d.user_id = %(user_id)s AND d.family = %(family)s AND d.authorized_at > %(since)s
           AND d.counts),
       (SELECT o.expires_at
          FROM dispenses o WHERE o.device_id = %(device_id)s AND o.status = 'authorized'),
       (SELECT json_build_object('reason', coalesce(c.reason, 'cup_not_placed'), 'event_count', c.event_count,
                                 'dispense_id', c.dispense_id, 'authorized_ms', epoch_ms(p.authorized_at))
          FROM event_keys k LEFT JOIN decisions c ON c.id = k.decision_id
                            LEFT JOIN dispenses p ON p.id = c.dispense_id
         WHERE k.device_id = %(device_id)s AND k.key = ANY(%(keys)s::text[]) LIMIT 1)"""

RECORD = """
WITH key AS (
  INSERT INTO event_keys (device_id, key, decision_id, created_at)
  SELECT %(device_id)s, name, %(decision_id)s, %(now)s FROM unnest(%(keys)s::text[]) AS name),
state AS (
  INSERT INTO device_states (id, device_id, cup_placed, sensor_reading, timestamp, received_at)
  SELECT %(state_id)s, %(device_id)s, %(cup_placed)s, %(sensor_reading)s, %(at)s, %(now)s
   WHERE %(state_id)s::uuid IS NOT NULL),
decision AS (
  INSERT INTO decisions (id, device_id, decided_at, should_dispense, reason, trace, dispense_id, event_count)
  SELECT %(decision_id)s, %(device_id)s, %(now)s, %(dispense_id)s::uuid IS NOT NULL, %(reason)s, %(trace)s,
         %(dispense_id)s, %(event_count)s WHERE %(decision_id)s::uuid IS NOT NULL),
dispense AS (
  INSERT INTO dispenses (id, user_id, device_id, family, status, amount, unit, plan_version, activity_id,
                         authorized_at, expires_at)
  SELECT %(dispense_id)s, %(user_id)s, %(device_id)s, %(family)s, 'authorized', %(amount)s, %(unit)s,
         %(plan_version)s, %(activity_id)s, %(now)s, %(expires_at)s WHERE %(dispense_id)s::uuid IS NOT NULL),
activity AS (
  INSERT INTO activity_logs (id, user_id, device_id, action, dose_amount, triggered_by, confirmation,
                             local_date, metadata, timestamp)
  SELECT %(activity_id)s, %(user_id)s, %(device_id)s, 'dose_dispensed', %(dose_text)s, 'automatic', 'pending',
         %(local_date)s, jsonb_build_object('dispense_id', %(dispense_id)s::uuid), %(now)s
   WHERE %(dispense_id)s::uuid IS NOT NULL),
day AS (
  INSERT INTO dose_days (user_id, device_id, local_date, doses)
  SELECT %(user_id)s, %(device_id)s, %(local_date)s, 1 WHERE %(dispense_id)s::uuid IS NOT NULL
  ON CONFLICT (device_id, local_date) DO UPDATE SET doses = dose_days.doses + 1)
UPDATE devices SET
  cup_placed = %(now_placed)s, sensor_reading = coalesce(%(now_sensor)s, sensor_reading),
  last_state_change = %(last_state_change)s, last_event_at = %(last_event_at)s,
  last_removal_at = %(last_removal_at)s, event_count = %(event_count)s,
  last_dose_event_at = CASE WHEN %(dispense_id)s::uuid IS NULL THEN last_dose_event_at ELSE %(at)s END,
  total_doses_dispensed = total_doses_dispensed + (%(dispense_id)s::uuid IS NOT NULL)::int,
  last_decision = coalesce(%(last_decision)s::jsonb, last_decision),
  is_connected = true, setup_state = 'online', contact_at = %(now)s, silent_at = %(silent_at)s,
  last_seen = %(shown_at)s, last_sync = %(shown_at)s, updated_at = %(now)s
WHERE id = %(device_id)s"""


def lock_family(user_id: UUID, types: list[str]) -> list[LockedDevice]:
    with connection.cursor() as cursor:
        cursor.execute(LOCK_FAMILY, (user_id, types))
        return [LockedDevice(*row) for row in cursor.fetchall()]


def family_doses(
    user_id: UUID, device_id: UUID, *, family: str, since: datetime, keys: list[str]
) -> tuple[list[list[Any]], datetime | None, dict[str, Any] | None]:
    """The family's doses since then as (epoch milliseconds, amount), when the device's open dispense
    expires, and what is recorded under one of the keys."""
    parameters: dict[str, Any] = {
        "user_id": user_id,
        "device_id": device_id,
        "family": family,
        "since": since,
        "keys": keys,
    }
    with connection.cursor() as cursor:
        cursor.execute(FAMILY_DOSES, parameters)
        doses, opened, recorded = cursor.fetchone()
    return doses, opened, recorded


def record(**values: Any) -> None:
    """All that one event changes, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(RECORD, values)
