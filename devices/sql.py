"""The statements of the hot path, one a function, and the shape of a device."""

from typing import Any
from uuid import UUID

from devices import plans
from zinzino.prepared import prepared

# The JSON of a plan (api.md 3). Its warnings depend on the reader's language: only its own endpoint has them.
PLAN_JSON = f"""(d.plan - '{{{",".join(plans.HIDDEN)}}}'::text[] || jsonb_build_object(
    'version', d.plan_version, 'timezone', d.timezone,
    'updated_at', coalesce(d.plan ->> 'updated_at', iso_ms(d.created_at))))"""

# The JSON of a device, the same in the list, the details and in sync (mission 3.1, api.md 3).
DEVICE_FIELDS = f"""
    'id', d.id, 'user_id', d.user_id, 'device_name', d.device_name, 'device_type', d.device_type,
    'mac_address', d.mac_address, 'location', d.location, 'battery_level', d.battery_level,
    'supplement_level', d.supplement_level, 'is_connected', d.is_connected,
    'last_sync', iso_ms(d.last_sync), 'last_seen', iso_ms(d.last_seen),
    'firmware_version', d.firmware_version, 'serial_number', d.serial_number,
    'total_doses_dispensed', d.total_doses_dispensed, 'is_active', d.is_active,
    'setup_state', d.setup_state, 'plan', {PLAN_JSON}, 'settings', d.settings,
    'last_decision', d.last_decision, 'created_at', iso_ms(d.created_at), 'updated_at', iso_ms(d.updated_at)"""
DEVICE_JSON = f"json_build_object({DEVICE_FIELDS})"

# The current cup state (mission 4.3); sync leaves the name out.
STATE_JSON = """json_build_object(
    'device_id', d.id, 'cup_placed', d.cup_placed, 'sensor_reading', d.sensor_reading,
    'last_state_change', iso_ms(d.last_state_change))"""
NAMED_STATE_JSON = STATE_JSON.replace("'cup_placed'", "'device_name', d.device_name, 'cup_placed'")

# The plan, and the targets of the owner's other dispensers; by the primary key and devices_of_user.
PLAN = f"""
SELECT d.user_id, json_build_object(
    'shown', {PLAN_JSON}, 'stored', d.plan, 'device_type', d.device_type,
    'others', (SELECT coalesce(json_agg(json_build_array(o.device_type, (o.plan ->> 'target_per_day')::int)), '[]')
                 FROM devices o WHERE o.user_id = d.user_id AND o.id <> d.id AND o.is_active))::text
  FROM devices d WHERE d.id = %s"""

# By the unique token_hash and a primary key.
LIVING_CREDENTIAL = """
SELECT c.id, c.first_used_at, d.id, d.user_id, d.device_type, c.by_device
  FROM device_credentials c JOIN devices d ON d.id = c.device_id
 WHERE c.token_hash = %s AND c.ended_at IS NULL"""

# Names in the order of the Turkish alphabet, whatever the database's own: `translate` gives each letter a
# character of its place. An ICU collation would do the same, but not every PostgreSQL is built with one.
ALPHABET = ("aâ", *"bcçdefgğhı", "iî", *"jklmnoöpqrsşt", "uû", *"üvwxyz")
CAPITALS = {"i": "İ", "ı": "I"}
LETTERS = "".join(letter + CAPITALS.get(letter, letter.upper()) for same in ALPHABET for letter in same)
PLACES = "".join(chr(0x100 + place) * 2 * len(same) for place, same in enumerate(ALPHABET))

SORTED = {
    "name": f"translate(d.device_name, '{LETTERS}', '{PLACES}') COLLATE \"C\" {{order}}, d.id",
    "created_at": "d.created_at {order}, d.id",
    "battery_level": "d.battery_level {order}, d.id",
}

# The zone that holds: a new one waits for the next local day (devices.plans).
ZONE = """CASE WHEN %(now)s < (d.plan #>> '{zone_change,at}')::timestamptz
               THEN d.plan #>> '{zone_change,former}' ELSE d.timezone END"""

# Doses of the last 7 and 30 local days, today included (api.md 3); by the key one_day_per_device.
DETAILS = f"""
WITH day AS (SELECT d.*, (%(now)s AT TIME ZONE {ZONE})::date AS today,
                    (d.created_at AT TIME ZONE d.timezone)::date AS registered
               FROM devices d WHERE d.id = %(device_id)s),
     doses AS (SELECT coalesce(sum(s.doses) FILTER (WHERE s.local_date > day.today - 7), 0) AS week,
                      coalesce(sum(s.doses), 0) AS month
                 FROM day LEFT JOIN dose_days s
                   ON s.device_id = day.id AND s.local_date > day.today - 30 AND s.local_date <= day.today)
SELECT d.user_id, json_build_object({DEVICE_FIELDS},
    'current_state', json_build_object('cup_placed', d.cup_placed,
                                       'last_state_change', iso_ms(d.last_state_change)),
    'statistics', json_build_object(
        'daily_average', round(doses.month::numeric / least(30, greatest(1, d.today - d.registered + 1)), 1),
        'weekly_total', doses.week, 'monthly_total', doses.month)) AS shown, d.plan AS stored_plan
  FROM day d, doses"""


def living_credential(hashed: str) -> tuple[Any, ...] | None:
    row: tuple[Any, ...] | None = _row(LIVING_CREDENTIAL, (hashed,))
    return row


def devices_of(user_id: UUID, *, sort: str, order: str, include_inactive: bool) -> str:
    """The JSON list of a user's devices, by the index devices_of_user."""
    ordering = SORTED[sort].format(order=order)
    return _text(
        f"""SELECT coalesce(json_agg({DEVICE_JSON} ORDER BY {ordering}), '[]')::text FROM devices d
             WHERE d.user_id = %s AND (d.is_active OR %s)""",
        (user_id, include_inactive),
    )


def device(device_id: UUID) -> tuple[UUID, str] | None:
    """The owner and the JSON of one device, by its primary key."""
    return _owned(f"SELECT d.user_id, {DEVICE_JSON}::text FROM devices d WHERE d.id = %s", (device_id,))


def plan(device_id: UUID) -> tuple[UUID, str] | None:
    """The owner of a device, and its plan with what its warnings need."""
    return _owned(PLAN, (device_id,))


def owner(device_id: UUID) -> tuple[UUID, UUID] | None:
    """The owner of a device, and its id."""
    found: tuple[UUID, UUID] | None = _row("SELECT user_id, id FROM devices WHERE id = %s", (device_id,))
    return found


def states_of(user_id: UUID) -> str:
    """The JSON list of the current cup states of a user's active devices."""
    return _text(
        f"""SELECT coalesce(json_agg({NAMED_STATE_JSON} ORDER BY d.created_at, d.id), '[]')::text
              FROM devices d WHERE d.user_id = %s AND d.is_active""",
        (user_id,),
    )


def _row(statement: str, parameters: Any) -> Any:
    with prepared() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchone()


def _owned(statement: str, parameters: Any) -> tuple[UUID, str] | None:
    found: tuple[UUID, str] | None = _row(statement, parameters)
    return found


def _text(statement: str, parameters: Any) -> str:
    return str(_row(statement, parameters)[0])
