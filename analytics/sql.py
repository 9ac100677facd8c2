"""The statements of analytics, one a function; each is bounded by the days it is asked about."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections

from analytics import rollups
from analytics.adherence import DayDoses, Expectation, History

FIGURES = ", ".join(f"r.{name}" for name in rollups.FIGURES)

# The expectations that hold on some of the days: by expected_doses_of_user and one_expectation_from_a_day_on.
EXPECTATIONS = """
SELECT coalesce(json_agg(json_build_array(e.device_id, e.device_type, e.registered_on, e.first_day, e.per_day,
                                          e.max_per_day)), '[]')
  FROM expected_doses e
 WHERE e.user_id = %(user_id)s AND e.first_day <= %(last)s
   AND (%(device_id)s::uuid IS NULL OR e.device_id = %(device_id)s)
   AND NOT EXISTS (SELECT FROM expected_doses later WHERE later.device_id = e.device_id
                      AND later.first_day > e.first_day AND later.first_day <= %(first)s)"""
# By one_rollup_a_day.
DOSES = f"""
SELECT coalesce(json_agg(json_build_array(r.local_date, r.device_id, r.supplement, {FIGURES})), '[]')
  FROM dose_rollups r
 WHERE r.user_id = %(user_id)s AND r.local_date BETWEEN %(first)s AND %(last)s
   AND (%(device_id)s::uuid IS NULL OR r.device_id = %(device_id)s)"""
HISTORY = f"SELECT ({EXPECTATIONS})::text, ({DOSES})::text"

# Runs of days with a dose after the mark, where there is one (analytics.streaks); between two of them is a break
# where plans expected more days than those of which nobody can say. Today stands at the end. By
# expected_doses_of_user and one_rollup_a_day.
STREAK = """
WITH mark AS MATERIALIZED (
       SELECT m.day, coalesce(m.current, 0) AS current, coalesce(m.longest, 0) AS longest
         FROM (SELECT) AS one LEFT JOIN streak_marks m ON m.user_id = %(user_id)s AND m.day < %(through)s),
     span AS MATERIALIZED (
       SELECT greatest(first_day, registered_on + 1) AS began, per_day,
              lead(first_day) OVER (PARTITION BY device_id ORDER BY first_day) AS until
         FROM expected_doses WHERE user_id = %(user_id)s),
     acted AS MATERIALIZED (
       SELECT local_date AS day, bool_or(taken > 0) AS took FROM dose_rollups
        WHERE user_id = %(user_id)s AND local_date <= %(through)s
          AND local_date > coalesce((SELECT day FROM mark), '-infinity')
          AND (taken > 0 OR unknown > 0 OR pending > 0)
        GROUP BY local_date),
     unsure AS MATERIALIZED (SELECT day FROM acted WHERE NOT took),
     steps AS (
       SELECT day, lag(day, 1, (SELECT day FROM mark)) OVER (ORDER BY day) AS before, true AS took
         FROM acted WHERE took
        UNION ALL
       SELECT %(today)s, coalesce(max(day), (SELECT day FROM mark)), false FROM acted WHERE took
       HAVING coalesce(max(day), (SELECT day FROM mark)) < %(today)s),
     walked AS (
       SELECT took, count(*) FILTER (WHERE day > before + 1 AND EXISTS (
                SELECT FROM span s
                 WHERE s.per_day > 0 AND least(s.until, day) - greatest(s.began, before + 1)
                     > (SELECT count(*) FROM unsure u WHERE u.day >= greatest(s.began, before + 1)
                                                        AND u.day < least(s.until, steps.day))
              )) OVER (ORDER BY day) AS island
         FROM steps),
     runs AS (
       SELECT island, count(*) FILTER (WHERE took) + CASE island WHEN 0 THEN (SELECT current FROM mark) ELSE 0 END
                AS days
         FROM walked GROUP BY island)
SELECT coalesce((SELECT days FROM runs ORDER BY island DESC LIMIT 1), mark.current),
       greatest(mark.longest, (SELECT max(days) FROM runs))
  FROM mark"""
# By activity_logs_of_user, newest partition first.
LAST_DOSE = """
SELECT timestamp FROM activity_logs
 WHERE user_id = %(user_id)s AND action IN ('dose_dispensed', 'dose_taken_manual')
 ORDER BY timestamp DESC LIMIT 1"""
# By the local hour of the person; the months of the span alone.
HOURS = """
SELECT coalesce(json_object_agg(hour, doses), '{}')::text FROM (
  SELECT extract(hour FROM timestamp AT TIME ZONE %(zone)s)::int AS hour, count(*) AS doses FROM activity_logs
   WHERE user_id = %(user_id)s AND action IN ('dose_dispensed', 'dose_taken_manual')
     AND timestamp >= %(first)s::date - interval '2 days' AND timestamp < %(last)s::date + interval '3 days'
     AND local_date BETWEEN %(first)s AND %(last)s
     AND (%(device_id)s::uuid IS NULL OR device_id = %(device_id)s)
   GROUP BY 1) hours"""
HEALTH = f"{HISTORY}, ({HOURS}), ({LAST_DOSE}), s.* FROM ({STREAK}) AS s (current, longest)"
REPORT = f"{HISTORY}, ({HOURS}), (SELECT full_name FROM users WHERE id = %(user_id)s)"
# Of one dispenser; days by one_device_rollup_a_day, doses by one_rollup_a_day.
PERFORMANCE = """
SELECT d.user_id, json_build_object(
    'battery_level', d.battery_level, 'supplement_level', d.supplement_level,
    'firmware_version', d.firmware_version, 'last_seen', iso_ms(d.last_seen), 'timezone', d.timezone,
    'created_ms', epoch_ms(d.created_at), 'levels_ms', epoch_ms(d.levels_at),
    'was_seen', d.setup_state = 'online',
    'since_ms', (SELECT epoch_ms(r.connected_since) FROM device_rollups r
                  WHERE r.device_id = d.id AND r.connected_since IS NOT NULL),
    'days', (SELECT coalesce(json_agg(json_build_array(r.local_date, r.connected_ms, r.disconnects, r.battery_used,
                                                       r.supplement_used)), '[]')
               FROM device_rollups r WHERE r.device_id = d.id AND r.local_date BETWEEN %(first)s AND %(last)s),
    'doses', (SELECT json_build_array(coalesce(sum(r.taken - r.manual), 0), coalesce(sum(r.failed), 0))
                FROM dose_rollups r WHERE r.user_id = d.user_id AND r.device_id = d.id
                 AND r.local_date BETWEEN %(first)s AND %(last)s))::text
  FROM devices d WHERE d.id = %(device_id)s"""
# A reminder is answered by the first dose after it within a day; by notifications_newest, activity_logs_of_user.
ENGAGEMENT = """
WITH told AS MATERIALIZED (
       SELECT type, is_read, created_at FROM notifications
        WHERE user_id = %(user_id)s AND created_at >= %(since)s AND created_at < %(until)s),
     answered AS (
       SELECT (SELECT min(a.timestamp) FROM activity_logs a
                WHERE a.user_id = %(user_id)s AND a.action IN ('dose_dispensed', 'dose_taken_manual')
                  AND a.timestamp >= t.created_at AND a.timestamp < t.created_at + interval '1 day')
              - t.created_at AS after
         FROM told t WHERE t.type = 'reminder')
SELECT json_build_object(
    'active_days_7', (SELECT count(DISTINCT local_date) FROM dose_rollups
                       WHERE user_id = %(user_id)s AND local_date BETWEEN %(today)s::date - 6 AND %(today)s
                         AND dispensed + manual > 0),
    'active_days_30', (SELECT count(DISTINCT local_date) FROM dose_rollups
                        WHERE user_id = %(user_id)s AND local_date BETWEEN %(today)s::date - 29 AND %(today)s
                          AND dispensed + manual > 0),
    'sessions_30', (SELECT count(*) FROM sessions
                     WHERE user_id = %(user_id)s AND last_seen_at >= %(now)s::timestamptz - interval '30 days'),
    'notifications', (SELECT json_build_object('sent', count(*), 'read', count(*) FILTER (WHERE is_read),
        'read_rate', round(avg(is_read::int), 3)) FROM told),
    'reminder_response', (SELECT json_build_object(
        'median_minutes', round((extract(epoch FROM percentile_cont(0.5) WITHIN GROUP (ORDER BY after)) / 60), 1),
        'acted_within_1h_rate', round(avg((coalesce(after, '1 day') <= interval '1 hour')::int), 3)) FROM answered)
  )::text"""
HOME = """
SELECT json_build_object(
    'devices', (SELECT coalesce(json_agg(json_build_object(
        'id', d.id, 'device_name', d.device_name, 'device_type', d.device_type, 'is_connected', d.is_connected,
        'battery_level', d.battery_level, 'supplement_level', d.supplement_level,
        'doses_today', (SELECT coalesce(sum(r.dispensed + r.manual), 0) FROM dose_rollups r
                         WHERE r.user_id = d.user_id AND r.local_date = %(last)s AND r.device_id = d.id))
        ORDER BY d.created_at, d.id), '[]') FROM devices d WHERE d.user_id = %(user_id)s AND d.is_active),
    'unread', (SELECT count(*) FROM notifications WHERE user_id = %(user_id)s AND NOT is_read))::text"""
SUMMARY = f"{HISTORY}, ({LAST_DOSE}), s.*, ({HOME}) FROM ({STREAK}) AS s (current, longest)"


class Known(NamedTuple):
    """What a health answer is made of."""

    history: History
    hours: dict[int, int]
    last_dose_at: datetime | None
    current: int
    longest: int


def history(user_id: UUID, *, first: date, last: date, today: date, device_id: UUID | None = None) -> History:
    """The doses and plans of a person, or of one dispenser, on local days."""
    days = {"first": first, "last": last}
    expected, doses = row(HISTORY, {"user_id": user_id, "device_id": device_id, **days})
    return history_of(expected, doses, today=today, **days)


def health(
    user_id: UUID, *, first: date, last: date, today: date, zone: str, device_id: UUID | None = None
) -> Known:
    """The same with the hours of the doses, the streak and the last dose, in one statement."""
    days = {"first": first, "last": last}
    parameters = {
        "user_id": user_id,
        "device_id": device_id,
        "zone": zone,
        "today": today,
        "through": today,
        **days,
    }
    expected, doses, hours, last_dose_at, current, longest = row(HEALTH, parameters)
    known = history_of(expected, doses, today=today, **days)
    return Known(known, hours_of(hours), last_dose_at, current, longest)


def report(
    user_id: UUID, *, first: date, last: date, today: date, zone: str, device_id: UUID | None = None
) -> tuple[History, dict[int, int], str]:
    """The same days, the hours of their doses and the person's name, in one statement."""
    days = {"first": first, "last": last}
    parameters = {"user_id": user_id, "device_id": device_id, "zone": zone, **days}
    expected, doses, hours, name = row(REPORT, parameters)
    return history_of(expected, doses, today=today, **days), hours_of(hours), name or ""


def home(user_id: UUID, *, first: date, today: date) -> tuple[Known, dict[str, Any]]:
    """What the home screen shows, in one statement."""
    days = {"first": first, "last": today}
    found = row(SUMMARY, {"user_id": user_id, "device_id": None, "today": today, "through": today, **days})
    expected, doses, last_dose_at, current, longest, shown = found
    known = Known(history_of(expected, doses, today=today, **days), {}, last_dose_at, current, longest)
    return known, orjson.loads(shown)


def streak(user_id: UUID, *, today: date) -> tuple[int, int]:
    """Days of the streak that stands, and of the longest."""
    current, longest = row(STREAK, {"user_id": user_id, "today": today, "through": today})
    return current, longest


def performance(device_id: UUID, *, first: date, last: date) -> tuple[UUID, dict[str, Any]] | None:
    """The owner of a dispenser and what is known of its days."""
    found = row(PERFORMANCE, {"device_id": device_id, "first": first, "last": last})
    return (found[0], orjson.loads(found[1])) if found else None


def engagement(user_id: UUID, *, since: datetime, until: datetime, today: date, now: datetime) -> str:
    parameters = {"user_id": user_id, "since": since, "until": until, "today": today, "now": now}
    return str(row(ENGAGEMENT, parameters)[0])


def hours_of(found: str) -> dict[int, int]:
    return {int(hour): count for hour, count in orjson.loads(found).items()}


def history_of(expected: str, doses: str, *, first: date, last: date, today: date) -> History:
    return History(
        first=first,
        last=last,
        today=today,
        expectations=[expectation(each) for each in orjson.loads(expected)],
        doses=[day_doses(each) for each in orjson.loads(doses)],
    )


def expectation(each: list[Any]) -> Expectation:
    device_id, device_type, registered_on, first_day, per_day, max_per_day = each
    days = date.fromisoformat(registered_on), date.fromisoformat(first_day)
    return Expectation(UUID(device_id), device_type, *days, per_day, max_per_day)


def day_doses(each: list[Any]) -> DayDoses:
    day, device_id, supplement, *counts, amount_ml = each
    figures = dict(zip(rollups.FIGURES, (*counts, Decimal(str(amount_ml))), strict=True))
    return DayDoses(date.fromisoformat(day), UUID(device_id) if device_id else None, supplement, **figures)


def row(statement: str, parameters: dict[str, Any]) -> Any:
    """From the replica, where there is one."""
    alias = "analytics" if "analytics" in settings.DATABASES else DEFAULT_DB_ALIAS
    with connections[alias].cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchone()
