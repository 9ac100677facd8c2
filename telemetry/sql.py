"""The statements of a device event and of the histories, one a function."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from devices.models import Device
from zinzino.api.pagination import Listing
from zinzino.prepared import columns_of, prepared, read, typed

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


# For an event on which nothing is decided.
NO_DECISION: dict[str, Any] = dict.fromkeys(("decision_id", "reason", "trace", "last_decision"))
NO_DOSE: dict[str, Any] = dict.fromkeys(
    (
        "dispense_id",
        "family",
        "amount",
        "unit",
        "dose_text",
        "plan_version",
        "activity_id",
        "local_date",
        "expires_at",
        "protocol",
        "slot_date",
        "slot_id",
        "request_id",
        "triggered_by",
    )
)


# By the index decisions_newest.
DECISIONS = Listing(
    row_json="""json_build_object('id', id, 'decided_at', iso_ms(decided_at), 'should_dispense', should_dispense,
        'reason', reason, 'trace', trace, 'dispense_id', dispense_id)""",
    source="decisions",
    where="device_id = %(device_id)s",
    key="decided_at",
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
    created_at: datetime
    updating_until: datetime | None
    total_doses_dispensed: int
    levels_at: datetime | None


class FamilySituation(NamedTuple):
    """What a decision must know of a family; JSON values, newest dose first."""

    # (epoch milliseconds, amount, slot date and slot id where this device served one)
    doses: list[list[Any]]
    # (scope, reason, epoch milliseconds of its end)
    stops: list[list[Any]]
    fault: bool
    # When the device's open dispense expires.
    open_until: datetime | None
    # What is recorded under one of the keys.
    recorded: dict[str, Any] | None


# One lock for all dispensers of one supplement: their doses count against each other. The rows are
# always locked in the order of their ids, and a row that we waited for is read anew.
LOCK_FAMILY = f"""
SELECT {", ".join(LockedDevice._fields)} FROM devices
 WHERE user_id = %s AND device_type = ANY(%s) ORDER BY id FOR UPDATE"""

# By dispenses_of_family, dispenses_at_fault, the few stops that stand, and the keys of event_keys and decisions.
FAMILY_SITUATION = """
SELECT (SELECT coalesce(json_agg(json_build_array(
                   epoch_ms(d.authorized_at), coalesce(d.actual_amount, d.amount),
                   CASE WHEN d.device_id = %(device_id)s THEN d.slot_date END, d.slot_id)
               ORDER BY d.authorized_at DESC), '[]')
          FROM dispenses d
         WHERE d.user_id = %(user_id)s AND d.family = %(family)s
           AND d.authorized_at > %(since)s AND d.authorized_at < %(until)s AND d.counts),
       (SELECT coalesce(json_agg(json_build_array(s.scope, s.reason, epoch_ms(s.until))), '[]')
          FROM safety_stops s JOIN devices x ON x.id = %(device_id)s
         WHERE s.lifted_at IS NULL AND (s.until IS NULL OR s.until > %(now)s)
           AND s.value = CASE s.scope WHEN 'all' THEN ''
                                      WHEN 'type' THEN x.device_type
                                      WHEN 'firmware' THEN x.firmware_version
                                      WHEN 'lot' THEN (SELECT u.lot FROM manufactured_units u
                                                        WHERE u.serial_number = x.serial_number)
                                      WHEN 'unit' THEN x.serial_number END),
       EXISTS (SELECT FROM dispenses f
                WHERE f.user_id = %(user_id)s AND f.family = %(family)s
                  AND f.is_fault AND f.acknowledged_at IS NULL),
       (SELECT o.expires_at
          FROM dispenses o WHERE o.device_id = %(device_id)s AND o.status = 'authorized'),
       (SELECT json_build_object('reason', coalesce(c.reason, 'cup_not_placed'), 'event_count', c.event_count,
                                 'dispense_id', c.dispense_id, 'authorized_ms', epoch_ms(p.authorized_at))
          FROM event_keys k LEFT JOIN decisions c ON c.id = k.decision_id
                            LEFT JOIN dispenses p ON p.id = c.dispense_id
         WHERE k.device_id = %(device_id)s AND k.key = ANY(%(keys)s::text[]) LIMIT 1)"""

# The part of the time to silence by which it may end early.
HARDLY = 1 / 40
# The end of presence is indexed: a row for which it hardly moves keeps its place on the page.
CONTACT = f"""contact_at = %(now)s, silent_at = CASE
    WHEN silent_at <= %(silent_at)s AND silent_at > %(silent_at)s - (%(silent_at)s - %(now)s) * {HARDLY}
    THEN silent_at ELSE %(silent_at)s END"""
ONLINE = f"""is_connected = true, setup_state = 'online', {CONTACT},
  last_seen = %(shown_at)s, last_sync = %(shown_at)s, updated_at = %(now)s"""

# What a contact says of itself, and what phones see of that. NULL says nothing.
SAID = {
    "battery_level": "coalesce(%(battery_level)s, battery_level)",
    "supplement_level": "coalesce(%(supplement_level)s, supplement_level)",
    "firmware_version": "coalesce(%(firmware_version)s, firmware_version)",
    "is_connected": "%(is_connected)s",
    "setup_state": "'online'",
    "last_seen": "CASE WHEN last_seen > %(shown_before)s THEN last_seen ELSE %(now)s END",
    "last_sync": "CASE WHEN last_sync > %(shown_before)s THEN last_sync ELSE %(now)s END",
}
CHANGED = (*SAID, "updated_at", "contact_at", "levels_at", "silent_at")
# It locks the row and tells what it was: alerts are judged by both. As one value, for its columns bear the names
# of those of now.
HEARD = typed(
    f"""
WITH before AS (SELECT device AS was FROM devices AS device WHERE id = %(device_id)s FOR UPDATE)
UPDATE devices SET
  {", ".join(f"{name} = {value}" for name, value in SAID.items())},
  updated_at = CASE WHEN ({", ".join(SAID)}) IS DISTINCT FROM ({", ".join(SAID.values())})
                    THEN %(now)s ELSE updated_at END,
  levels_at = CASE WHEN coalesce(%(battery_level)s, %(supplement_level)s) IS NULL
                   THEN levels_at ELSE %(now)s END, {CONTACT}
  FROM before WHERE id = (before.was).id
RETURNING {columns_of(Device, of="(before.was)")}, {", ".join(CHANGED)}""",
    {
        "uuid": "device_id",
        "smallint": "battery_level supplement_level",
        "text": "firmware_version",
        "boolean": "is_connected",
        "timestamptz": "now shown_before silent_at",
    },
)

# NULL has no type of its own, and of what is selected for an INSERT none follows.
RECORDED_TYPES = {
    "uuid": "device_id user_id decision_id state_id dispense_id activity_id request_id",
    "timestamptz": """now at device_time expires_at silent_at shown_at last_state_change last_event_at
                      last_removal_at""",
    "text": "reason family unit dose_text protocol slot_id triggered_by",
    "jsonb": "trace last_decision",
    "numeric": "sensor_reading now_sensor amount",
    "date": "slot_date local_date",
    "boolean": "cup_placed now_placed",
    "bigint": "event_count plan_version",
}
RECORD = typed(
    f"""
WITH key AS (
  INSERT INTO event_keys (device_id, key, decision_id, created_at)
  SELECT %(device_id)s, name, %(decision_id)s, %(now)s FROM unnest(%(keys)s::text[]) AS name),
state AS (
  INSERT INTO device_states (id, device_id, cup_placed, sensor_reading, timestamp, received_at, device_time)
  SELECT %(state_id)s, %(device_id)s, %(cup_placed)s, %(sensor_reading)s, %(at)s, %(now)s, %(device_time)s
   WHERE %(state_id)s::uuid IS NOT NULL),
decision AS (
  INSERT INTO decisions (id, device_id, decided_at, should_dispense, reason, trace, dispense_id, event_count)
  SELECT %(decision_id)s, %(device_id)s, %(now)s, %(dispense_id)s::uuid IS NOT NULL, %(reason)s, %(trace)s,
         %(dispense_id)s, %(event_count)s WHERE %(decision_id)s::uuid IS NOT NULL),
dispense AS (
  INSERT INTO dispenses (id, user_id, device_id, family, status, amount, unit, plan_version, activity_id,
                         authorized_at, expires_at, protocol, slot_date, slot_id, request_id)
  SELECT %(dispense_id)s, %(user_id)s, %(device_id)s, %(family)s, 'authorized', %(amount)s, %(unit)s,
         %(plan_version)s, %(activity_id)s, %(now)s, %(expires_at)s, %(protocol)s,
         %(slot_date)s, %(slot_id)s, %(request_id)s WHERE %(dispense_id)s::uuid IS NOT NULL),
activity AS (
  INSERT INTO activity_logs (id, user_id, device_id, action, dose_amount, triggered_by, confirmation,
                             local_date, metadata, timestamp)
  SELECT %(activity_id)s, %(user_id)s, %(device_id)s, 'dose_dispensed', %(dose_text)s, %(triggered_by)s, 'pending',
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
  {ONLINE}
WHERE id = %(device_id)s""",
    RECORDED_TYPES,
)


# A dose that no decision allowed: a dispenser gave it by itself. Nothing where its id is taken.
UNASKED = f"""
WITH dose AS (
  INSERT INTO dispenses (id, user_id, device_id, family, status, counts, decided_by, protocol, amount,
                         actual_amount, unit, plan_version, time_quality, reported_at, activity_id,
                         authorized_at, expires_at, finished_at)
  VALUES (%(dispense_id)s, %(user_id)s, %(device_id)s, %(family)s, %(status)s, %(counts)s, 'device', 'full',
          %(amount)s, %(actual_amount)s, %(unit)s, %(plan_version)s, %(time_quality)s, %(reported_at)s,
          %(activity_id)s, %(at)s, %(at)s, %(at)s)
  ON CONFLICT (id) DO NOTHING RETURNING id),
line AS (
  INSERT INTO activity_logs (id, user_id, device_id, action, dose_amount, triggered_by, confirmation, local_date,
                             metadata, timestamp)
  SELECT %(activity_id)s, %(user_id)s, %(device_id)s, %(action)s, %(dose_text)s, 'automatic', %(confirmation)s,
         %(local_date)s, %(metadata)s::jsonb, %(at)s FROM dose),
day AS (
  INSERT INTO dose_days (user_id, device_id, local_date, doses)
  SELECT %(user_id)s, %(device_id)s, %(local_date)s, 1 FROM dose WHERE %(poured)s
  ON CONFLICT (device_id, local_date) DO UPDATE SET doses = dose_days.doses + 1)
UPDATE devices SET
  total_doses_dispensed = total_doses_dispensed + %(poured)s::int, event_count = event_count + 1,
  last_dose_event_at = CASE WHEN %(poured)s THEN greatest(last_dose_event_at, %(at)s) ELSE last_dose_event_at END,
  {ONLINE}
FROM dose WHERE devices.id = %(device_id)s"""

# One dose ends: itself, its line in the log, its day, its dispenser. A dose that never came out gives
# back what the decision counted, and the cup that still waits for it may be asked about again.
SETTLE = f"""
WITH dose AS (
  UPDATE dispenses SET status = %(status)s, counts = %(counts)s, is_fault = %(is_fault)s,
         actual_amount = %(actual_amount)s, reported_at = %(reported_at)s, finished_at = %(finished_at)s
   WHERE id = %(dispense_id)s),
line AS (
  UPDATE activity_logs SET action = %(action)s, confirmation = %(confirmation)s, dose_amount = %(dose_text)s,
         metadata = metadata || jsonb_build_object('outcome', %(outcome)s::text)
   WHERE id = %(activity_id)s AND timestamp = %(authorized_at)s RETURNING local_date),
day AS (
  UPDATE dose_days SET doses = doses - 1 FROM line
   WHERE NOT %(poured)s AND device_id = %(device_id)s AND dose_days.local_date = line.local_date)
UPDATE devices SET
  total_doses_dispensed = total_doses_dispensed - (NOT %(poured)s)::int, event_count = event_count + 1,
  last_dose_event_at = CASE WHEN %(poured)s OR EXISTS (
      SELECT FROM dispenses later WHERE later.device_id = devices.id AND later.user_id = devices.user_id
         AND later.counts AND later.id <> %(dispense_id)s AND later.authorized_at > %(authorized_at)s)
    THEN last_dose_event_at END,
  {ONLINE}
WHERE id = %(device_id)s"""

# By dispenses_of_family; no local day begins or ends further away than this from one of its moments.
RELEASED_ON_DAY = """
SELECT count(*)
  FROM dispenses this
  JOIN activity_logs own ON own.id = this.activity_id AND own.timestamp = this.authorized_at
  JOIN dispenses d ON d.user_id = this.user_id AND d.family = this.family AND NOT d.counts
   AND d.authorized_at BETWEEN this.authorized_at - interval '50 hours'
                           AND this.authorized_at + interval '50 hours'
  JOIN activity_logs line ON line.id = d.activity_id AND line.timestamp = d.authorized_at
   AND line.local_date = own.local_date
 WHERE this.id = %s"""

# By device_states_of_device.
NEWEST_BY_OWN_CLOCK = """
SELECT coalesce(device_time, timestamp) FROM device_states
 WHERE device_id = %s ORDER BY timestamp DESC, id DESC LIMIT 1"""

TAKE_KEYS = """
INSERT INTO event_keys (device_id, key, created_at) SELECT %s, name, %s FROM unnest(%s::text[]) AS name
ON CONFLICT DO NOTHING RETURNING key"""


def lock_family(user_id: UUID, types: list[str]) -> list[LockedDevice]:
    with prepared() as cursor:
        cursor.execute(LOCK_FAMILY, (user_id, types))
        return [LockedDevice(*row) for row in cursor.fetchall()]


def family_situation(
    user_id: UUID, device_id: UUID, *, family: str, within: timedelta, keys: list[str], now: datetime
) -> FamilySituation:
    """`within`: doses closer than this to `now` are read, before and after it."""
    with prepared() as cursor:
        cursor.execute(
            FAMILY_SITUATION,
            {
                "user_id": user_id,
                "device_id": device_id,
                "family": family,
                "since": now - within,
                "until": now + within,
                "keys": keys,
                "now": now,
            },
        )
        return FamilySituation(*cursor.fetchone())


def newest_by_own_clock(device_id: UUID) -> datetime | None:
    """When the newest reading of a cup was taken, by the dispenser's own clock where that is known."""
    with connection.cursor() as cursor:
        cursor.execute(NEWEST_BY_OWN_CLOCK, (device_id,))
        row: tuple[datetime] | None = cursor.fetchone()
    return row[0] if row else None


def hear(device_id: UUID, **said: Any) -> tuple[Device, dict[str, Any]] | None:
    """A dispenser as it was before this contact, locked, and the columns that it changes; None if it is gone."""
    with prepared() as cursor:
        cursor.execute(HEARD, {"device_id": device_id, **said})
        row = cursor.fetchone()
    if row is None:
        return None
    size = len(CHANGED)
    return read(Device, row[:-size]), dict(zip(CHANGED, row[-size:], strict=True))


def record(**values: Any) -> None:
    """All that one event changes, in one statement."""
    with prepared() as cursor:
        cursor.execute(RECORD, values)


def record_unasked(**values: Any) -> bool:
    """All that a dose changes that no decision allowed, in one statement; whether its id was free."""
    with connection.cursor() as cursor:
        cursor.execute(UNASKED, values)
        return bool(cursor.rowcount)


def settle(**values: Any) -> None:
    """All that the end of one dose changes, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(SETTLE, values)


def released_on_day_of(dispense_id: UUID) -> int:
    """Doses of the same family that were given back on the local day on which this one was allowed."""
    with connection.cursor() as cursor:
        cursor.execute(RELEASED_ON_DAY, (dispense_id,))
        return int(cursor.fetchone()[0])


def take_keys(device_id: UUID, keys: list[str], *, now: datetime) -> set[str]:
    """The keys among these that are new, from now on taken."""
    with connection.cursor() as cursor:
        cursor.execute(TAKE_KEYS, (device_id, now, keys))
        return {key for (key,) in cursor.fetchall()}
