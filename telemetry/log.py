"""Reading a person's log: the list, one line, the summary (api.md 6)."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import DateTimeField, Subquery, Value
from django.db.models.functions import Coalesce

from telemetry.models import ActivityKey, ActivityLog
from telemetry.sql import NAMED_ACTIVITY_JSON
from zinzino.api.errors import NotFound, NotOwner
from zinzino.api.pagination import Listing
from zinzino.ids import moment_of

# The local days of a summary, today included.
DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}
# A line's local date is that of a zone at most so far from UTC.
FARTHEST_ZONE = timedelta(days=1)

# By the index activity_logs_of_user.
SPAN = """user_id = %(user_id)s
        AND timestamp >= coalesce(%(start)s::timestamptz, '-infinity')
        AND timestamp < coalesce(%(end)s::timestamptz, 'infinity')"""
NARROWED_BY = {
    "device_id": "device_id = %(device_id)s::uuid",
    "action": "action = ANY(%(action)s::text[])",
    "triggered_by": "triggered_by = ANY(%(triggered_by)s::text[])",
}

# By the primary key of one partition: what a person wrote has a key, and any other id names its month.
ONE = f"""
SELECT user_id, {NAMED_ACTIVITY_JSON}::text FROM activity_logs
 WHERE id = %(id)s
   AND timestamp = coalesce((SELECT timestamp FROM activity_keys WHERE id = %(id)s), %(named)s::timestamptz)"""

# By activity_logs_of_user, over the months of the span alone.
SUMMARY = """
WITH doses AS MATERIALIZED (
       SELECT local_date, device_id, triggered_by FROM activity_logs
        WHERE user_id = %(user_id)s AND action IN ('dose_dispensed', 'dose_taken_manual')
          AND timestamp >= %(from)s AND timestamp < %(to)s AND local_date BETWEEN %(first)s AND %(last)s
          AND (%(device_id)s::uuid IS NULL OR device_id = %(device_id)s)),
     days AS (SELECT local_date, count(*) AS doses FROM doses GROUP BY local_date),
     units AS (SELECT device_id, count(*) AS doses FROM doses GROUP BY device_id)
SELECT json_build_object(
    'period', %(period)s::text, 'start_date', %(first)s::date, 'end_date', %(last)s::date,
    'total_doses', (SELECT count(*) FROM doses),
    'by_day', (SELECT json_agg(json_build_object('date', day::date, 'doses', coalesce(days.doses, 0)) ORDER BY day)
                 FROM generate_series(%(first)s::timestamp, %(last)s::timestamp, interval '1 day') AS day
                 LEFT JOIN days ON days.local_date = day::date),
    'by_device', (SELECT coalesce(json_agg(json_build_object(
                      'device_id', u.device_id, 'device_name', d.device_name, 'doses', u.doses)
                      ORDER BY u.doses DESC, u.device_id), '[]')
                    FROM units u LEFT JOIN devices d ON d.id = u.device_id),
    'by_trigger', (SELECT json_build_object(
                       'automatic', count(*) FILTER (WHERE triggered_by = 'automatic'),
                       'scheduled', count(*) FILTER (WHERE triggered_by = 'scheduled'),
                       'manual', count(*) FILTER (WHERE triggered_by = 'manual')) FROM doses))::text"""


def which(chosen: Mapping[str, Any]) -> str:
    """The lines that are chosen. What nobody asks about is not compared: the index alone can count the others."""
    asked = [condition for name, condition in NARROWED_BY.items() if chosen[name] is not None]
    return " AND ".join((SPAN, *asked))


def listing(chosen: Mapping[str, Any]) -> Listing:
    return Listing(row_json=NAMED_ACTIVITY_JSON, source="activity_logs", where=which(chosen), key="timestamp")


def one(activity_id: UUID) -> tuple[UUID, str] | None:
    """The owner and the JSON of one line."""
    with connection.cursor() as cursor:
        cursor.execute(ONE, {"id": activity_id, "named": moment_of(activity_id)})
        found: tuple[UUID, str] | None = cursor.fetchone()
    return found


def own_line(activity_id: UUID, user_id: UUID) -> ActivityLog:
    """A person's own line, to be changed. Raises NotFound, NotOwner."""
    key = ActivityKey.objects.filter(pk=activity_id).values("timestamp")
    named = Value(moment_of(activity_id), output_field=DateTimeField())
    line = ActivityLog.objects.filter(pk=activity_id, timestamp=Coalesce(Subquery(key), named)).first()
    if line is None:
        raise NotFound
    if line.user_id != user_id:
        raise NotOwner
    return line


def summary(user_id: UUID, *, period: str, today: date, device_id: UUID | None = None) -> str:
    """The JSON of the doses of one of DAYS, ending today: dispensed and taken by hand."""
    with connection.cursor() as cursor:
        cursor.execute(SUMMARY, {"user_id": user_id, "device_id": device_id, **span_of(today, period)})
        return str(cursor.fetchone()[0])


def span_of(today: date, period: str) -> dict[str, Any]:
    """The local days of a period, and instants between which their lines stand in any zone."""
    first = today - timedelta(days=DAYS[period] - 1)
    start, end = (datetime.combine(day, time(), UTC) for day in (first, today + timedelta(days=1)))
    return {
        "period": period,
        "first": first,
        "last": today,
        "from": start - FARTHEST_ZONE,
        "to": end + FARTHEST_ZONE,
    }
