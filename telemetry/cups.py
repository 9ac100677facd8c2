"""How cups stood on a dispenser: its newest readings, its history and the statistics of a span (mission 4)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from devices.sql import STATE_JSON

# A reading lasts until the next removal. Newest first, so that one running minimum finds it for every row.
LASTING = """min(timestamp) FILTER (WHERE NOT cup_placed)
         OVER (ORDER BY timestamp DESC, id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"""
# Absent while the cup stands, and on a removal itself.
DURATION = """CASE WHEN cup_placed AND removed_at IS NOT NULL
    THEN jsonb_build_object('duration_seconds', floor(extract(epoch FROM removed_at - timestamp))::bigint)
    ELSE '{}' END"""
IN_SPAN = """device_id = %(device_id)s AND timestamp >= coalesce(%(start)s::timestamptz, '-infinity')
        AND timestamp < coalesce(%(end)s::timestamptz, 'infinity')"""

# By device_states_of_device. Of somebody else's device no state is read.
CURRENT = f"""
WITH newest AS (SELECT id, cup_placed, timestamp FROM device_states WHERE device_id = %(device_id)s
                 ORDER BY timestamp DESC, id DESC LIMIT %(limit)s),
     lasting AS (SELECT *, {LASTING} AS removed_at FROM newest),
     history AS (SELECT jsonb_agg(jsonb_build_object('cup_placed', cup_placed, 'timestamp', iso_ms(timestamp))
                                  || {DURATION} ORDER BY timestamp, id) AS rows FROM lasting)
SELECT d.user_id, CASE WHEN d.user_id = %(user_id)s THEN
    {STATE_JSON}::jsonb || jsonb_build_object('state_history', coalesce((SELECT rows FROM history), '[]'))
  END::text
  FROM devices d WHERE d.id = %(device_id)s"""

# A placement is a change: a cup that is reported again while it stands is none. It belongs to the moment
# it happened, so that it may end after the span.
HISTORY = f"""
WITH span AS (
       SELECT id, cup_placed, sensor_reading, timestamp, {LASTING} AS removed_inside,
              lead(cup_placed) OVER (ORDER BY timestamp DESC, id DESC) AS before
         FROM device_states WHERE {IN_SPAN}),
     outside AS (
       SELECT (SELECT cup_placed FROM device_states WHERE device_id = %(device_id)s
                  AND timestamp < coalesce(%(start)s::timestamptz, '-infinity')
                ORDER BY timestamp DESC, id DESC LIMIT 1) AS before,
              (SELECT timestamp FROM device_states WHERE device_id = %(device_id)s AND NOT cup_placed
                  AND timestamp >= coalesce(%(end)s::timestamptz, 'infinity')
                ORDER BY timestamp, id LIMIT 1) AS removed_at),
     lasting AS (SELECT span.*, coalesce(removed_inside, outside.removed_at) AS removed_at,
                        cup_placed AND coalesce(span.before, outside.before) IS NOT TRUE AS is_placement
                   FROM span, outside),
     newest AS (SELECT * FROM lasting ORDER BY timestamp DESC, id DESC LIMIT %(limit)s),
     history AS (SELECT jsonb_agg(jsonb_build_object('cup_placed', cup_placed, 'sensor_reading', sensor_reading,
                                                     'timestamp', iso_ms(timestamp)) || {DURATION}
                                  ORDER BY timestamp, id) AS rows FROM newest),
     placements AS (SELECT count(*) AS total, extract(epoch FROM avg(removed_at - timestamp)) AS average_s,
                           coalesce(extract(epoch FROM sum(removed_at - timestamp)), 0) AS total_s
                      FROM lasting WHERE is_placement)
SELECT d.user_id, CASE WHEN d.user_id = %(user_id)s THEN jsonb_build_object(
    'device_id', d.id, 'history', coalesce((SELECT rows FROM history), '[]'),
    'statistics', (SELECT jsonb_build_object(
        'total_placements', total, 'average_duration_seconds', round(average_s),
        'total_duration_minutes', round(total_s / 60)) FROM placements))
  END::text
  FROM devices d WHERE d.id = %(device_id)s"""

SHOWN_WITH_STATE = 10


def current(device_id: UUID, *, asked_by: UUID) -> tuple[UUID, str] | None:
    """The owner of a device, and for the owner the JSON of its state with the newest readings, oldest first."""
    return _asked(CURRENT, device_id=device_id, user_id=asked_by, limit=SHOWN_WITH_STATE)


def history(
    device_id: UUID, *, asked_by: UUID, start: datetime | None, end: datetime | None, limit: int
) -> tuple[UUID, str] | None:
    """The owner of a device, and for the owner the JSON of the readings with `start <= time < end`: the newest
    `limit`, oldest first, and statistics over all of them."""
    return _asked(HISTORY, device_id=device_id, user_id=asked_by, start=start, end=end, limit=limit)


def _asked(statement: str, **parameters: Any) -> tuple[UUID, str] | None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        found: tuple[UUID, str] | None = cursor.fetchone()
    return found
