"""The statements that take events in bulk, of many dispensers at once (performance.md 10)."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, NamedTuple, cast
from uuid import UUID

import orjson
from django.db import connection

from telemetry.sql import HARDLY, LockedDevice

# The dispensers of the batch, and where doses are among its events all others of the same people: their doses
# count against each other. In the order of their ids, as `telemetry.family` locks them.
LOCK = f"""
SELECT {", ".join(LockedDevice._fields)} FROM devices
 WHERE id = ANY(ARRAY(SELECT unnest(%(ids)s::uuid[])
                      UNION SELECT other.id FROM devices own JOIN devices other ON other.user_id = own.user_id
                             WHERE own.id = ANY(%(dosing)s::uuid[])))
 ORDER BY id FOR UPDATE"""

# The keys of telemetry.events.event_key; answers those that were taken before.
TAKE_KEYS = """
WITH sent AS (SELECT * FROM unnest(%(device_ids)s::uuid[], %(ids)s::uuid[]) AS x (device_id, id)),
     new AS (INSERT INTO event_keys (device_id, key, created_at)
             SELECT device_id, 'event:' || id, %(now)s FROM sent ON CONFLICT DO NOTHING RETURNING device_id, key)
SELECT device_id, id FROM sent WHERE (device_id, 'event:' || id) NOT IN (SELECT device_id, key FROM new)"""

STORE_STATES = """
INSERT INTO device_states (id, timestamp, time_quality, device_time, device_id, cup_placed, sensor_reading,
                           received_at)
SELECT x.*, %s FROM unnest(%s::uuid[], %s::timestamptz[], %s::text[], %s::timestamptz[], %s::uuid[], %s::bool[],
                           %s::numeric[]) AS x"""

STORE_SAMPLES = """
INSERT INTO device_samples (id, timestamp, time_quality, device_time, device_id, battery_level, supplement_level,
                            rssi, received_at)
SELECT x.*, %s FROM unnest(%s::uuid[], %s::timestamptz[], %s::text[], %s::timestamptz[], %s::uuid[], %s::int2[],
                           %s::int2[], %s::int2[]) AS x"""

STORE_REPORTS = """
INSERT INTO device_reports (id, timestamp, time_quality, device_time, device_id, kind, data, received_at)
SELECT x.*, %s FROM unnest(%s::uuid[], %s::timestamptz[], %s::text[], %s::timestamptz[], %s::uuid[], %s::text[],
                           %s::jsonb[]) AS x"""

STORE_REFILLS = """
INSERT INTO activity_logs (id, user_id, device_id, action, triggered_by, local_date, metadata, timestamp)
SELECT id, user_id, device_id, 'refill', 'manual', local_date, metadata, at
  FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::date[], %s::jsonb[], %s::timestamptz[])
    AS x (id, user_id, device_id, local_date, metadata, at)"""

# One guarded statement for the latest state of all. The rows are locked and were read by LOCK; counters are
# relative, because a dose of the same batch moves them too.
APPLY = """
UPDATE devices d SET
  cup_placed = x.cup_placed, sensor_reading = x.sensor_reading, last_state_change = x.last_state_change,
  last_event_at = x.last_event_at, last_removal_at = x.last_removal_at, event_count = d.event_count + x.states,
  battery_level = x.battery_level, supplement_level = x.supplement_level, levels_at = x.levels_at,
  is_connected = true, setup_state = 'online', contact_at = at.now,
  -- It is indexed: a row whose end of presence hardly moves keeps its place on the page.
  silent_at = CASE WHEN d.silent_at > at.silent - at.hardly THEN d.silent_at ELSE at.silent END,
  last_seen = x.shown_at, last_sync = x.shown_at,
  updated_at = CASE WHEN x.events > 0 OR NOT d.is_connected OR d.last_seen IS DISTINCT FROM x.shown_at
                    THEN at.now ELSE d.updated_at END
  FROM (SELECT %s::timestamptz AS now, %s::timestamptz AS silent, %s::interval AS hardly) AS at,
       unnest(%s::uuid[], %s::bool[], %s::numeric[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[],
              %s::int[], %s::int2[], %s::int2[], %s::timestamptz[], %s::timestamptz[], %s::int[])
    AS x (id, cup_placed, sensor_reading, last_state_change, last_event_at, last_removal_at, states,
          battery_level, supplement_level, levels_at, shown_at, events)
 WHERE d.id = x.id"""
READ_ACKS = """
SELECT a.device_id, a.boot, a.acked, a.taken
  FROM journal_acks a JOIN unnest(%s::uuid[], %s::bigint[]) AS x (device_id, boot) USING (device_id, boot)"""

WRITE_ACKS = """
INSERT INTO journal_acks (device_id, boot, acked, taken, updated_at)
SELECT device_id, boot, acked, taken::bigint[], %s
  FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::text[]) AS x (device_id, boot, acked, taken)
ON CONFLICT (device_id, boot) DO UPDATE
   SET acked = excluded.acked, taken = excluded.taken, updated_at = excluded.updated_at"""

KEEP_DEAD_LETTERS = """
INSERT INTO dead_letters (id, device_id, event_id, code, message, payload, fingerprint, received_at)
SELECT x.*, %s FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[]) AS x
ON CONFLICT (device_id, fingerprint) DO NOTHING"""

# At COMMIT the capture would take the clocks of all people whose rows have changed, one after the other. Whoever
# writes to several takes them in the order of their ids; who waits here holds nothing that a clock's holder wants.
REPORT = "SELECT sync_report(%s::uuid[], %s::uuid[], %s::text[], %s::uuid[])"


def lock(ids: Collection[UUID], *, dosing: Collection[UUID]) -> dict[UUID, LockedDevice]:
    with connection.cursor() as cursor:
        cursor.execute(LOCK, {"ids": list(ids), "dosing": list(dosing)})
        return {row[0]: LockedDevice(*row) for row in cursor.fetchall()}


def take_keys(keys: Sequence[tuple[UUID, UUID]], *, now: datetime) -> Sequence[tuple[UUID, UUID]]:
    """Take the events of dispensers, by their ids; those of them that were taken before."""
    if not keys:
        return ()
    device_ids, ids = columns(keys)
    with connection.cursor() as cursor:
        cursor.execute(TAKE_KEYS, {"device_ids": device_ids, "ids": ids, "now": now})
        return cast("Sequence[tuple[UUID, UUID]]", cursor.fetchall())


def store(statement: str, rows: Sequence[tuple[Any, ...]], *, now: datetime) -> None:
    """Insert the rows by one of the STORE statements."""
    if rows:
        _run(statement, (now, *columns(rows)))


def store_refills(rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        _run(STORE_REFILLS, columns(rows))


class Applied(NamedTuple):
    """What a batch makes of one dispenser."""

    id: UUID
    cup_placed: bool
    sensor_reading: Decimal | float | None
    last_state_change: datetime | None
    last_event_at: datetime | None
    last_removal_at: datetime | None
    states: int
    battery_level: int
    supplement_level: int
    levels_at: datetime | None
    shown_at: datetime
    events: int


def apply(rows: Sequence[Applied], *, now: datetime, silent_at: datetime) -> None:
    """At least one row."""
    hardly = (silent_at - now) * HARDLY
    _run(APPLY, (now, silent_at, hardly, *columns(rows)))


def read_acks(places: Collection[tuple[UUID, int]]) -> dict[tuple[UUID, int], tuple[int, list[int]]]:
    """What was acknowledged of each dispenser's boot, and what was taken of it."""
    if not places:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(READ_ACKS, columns(places))
        return {(device_id, boot): (acked, taken) for device_id, boot, acked, taken in cursor.fetchall()}


def write_acks(acks: Mapping[tuple[UUID, int], tuple[int, list[int]]], *, now: datetime) -> None:
    if acks:
        rows = [(*place, acked, "{" + ",".join(map(str, taken)) + "}") for place, (acked, taken) in acks.items()]
        _run(WRITE_ACKS, (now, *columns(rows)))


def keep_dead_letters(rows: Sequence[tuple[Any, ...]], *, now: datetime) -> None:
    store(KEEP_DEAD_LETTERS, rows, now=now)


def report(user_ids: Collection[UUID], changes: Sequence[tuple[UUID, str, UUID]]) -> None:
    """Take the clocks of these people, and stamp what has changed for them: owner, kind of object, object.

    Of one person alone there is nothing to order, and COMMIT stamps as cheaply.
    """
    if len(user_ids) > 1:
        _run(REPORT, (literal(list(user_ids)), *(columns(changes) if changes else ("{}",) * 3)))


def columns(rows: Collection[Sequence[Any]]) -> list[str]:
    """The rows, at least one, turned on their side, as unnest takes them."""
    return [literal(column) for column in zip(*rows, strict=True)]


def literal(values: Sequence[Any]) -> str:
    """An array as PostgreSQL writes it; the driver's own way costs as much as all the rest of a batch."""
    written = ["NULL" if value is None else WRITTEN[type(value)](value) for value in values]
    return "{" + ",".join(written) + "}"


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


WRITTEN: dict[type, Callable[[Any], str]] = {
    UUID: attrgetter("hex"),
    datetime: datetime.isoformat,
    date: date.isoformat,
    bool: str,
    int: str,
    float: repr,
    Decimal: str,
    str: quoted,
}


def json_of(value: Any) -> str:
    return orjson.dumps(value).decode()


def _run(statement: str, parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
