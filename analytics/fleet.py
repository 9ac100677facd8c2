"""Sums of the whole fleet by day and month, so that its report reads hundreds of rows, not millions.

A job makes the last days anew, since doses arrive late; what lies further back stays as it was, also of people
who have left since.
"""

from datetime import date, timedelta

from django.db import connection, transaction

from devices import plans

# A local day is over everywhere when the second UTC day after it has begun.
OVER_AFTER = timedelta(days=2)
LATE = timedelta(days=8)
# A fleet that was never summed begins so far back.
REACH = timedelta(days=400)
ONE_DAY = timedelta(days=1)

# By dose_rollups_of_day (BRIN) and the keys of devices and device_rollups.
DEVICES = """
INSERT INTO fleet_days (day, device_type, firmware_version, devices, active, dispensed, failed, unknown,
                        disconnects, battery_used, supplement_used)
SELECT %(day)s, d.device_type, coalesce(d.firmware_version, ''), count(*), count(s.device_id),
       coalesce(sum(s.dispensed), 0), coalesce(sum(s.failed), 0), coalesce(sum(s.unknown), 0),
       coalesce(sum(r.disconnects), 0), coalesce(sum(r.battery_used), 0), coalesce(sum(r.supplement_used), 0)
  FROM devices d
  LEFT JOIN (SELECT device_id, sum(dispensed) AS dispensed, sum(failed) AS failed, sum(unknown) AS unknown
               FROM dose_rollups WHERE local_date = %(day)s AND device_id IS NOT NULL AND dispensed + failed > 0
              GROUP BY device_id) s ON s.device_id = d.id
  LEFT JOIN device_rollups r ON r.device_id = d.id AND r.local_date = %(day)s
 WHERE d.created_at < %(day)s::date + 1
 GROUP BY 2, 3"""
FAMILY = "CASE {} " + " ".join(f"WHEN '{kind}' THEN '{of}'" for kind, of in plans.FAMILIES.items()) + " END"
# `analytics.adherence.FamilyDay` of everybody, by the month of their registration.
ADHERENCE = f"""
WITH plan AS MATERIALIZED (
       SELECT DISTINCT ON (device_id) user_id, device_id, {FAMILY.format("device_type")} AS family, registered_on,
              per_day, max_per_day
         FROM expected_doses WHERE first_day <= %(day)s ORDER BY device_id, first_day DESC),
     dose AS MATERIALIZED (
       SELECT user_id, device_id, supplement, taken, unknown, pending FROM dose_rollups
        WHERE local_date = %(day)s AND taken + unknown + pending > 0),
     planned AS (
       SELECT p.user_id, p.family, least(sum(p.per_day), max(p.max_per_day)) AS planned
         FROM plan p LEFT JOIN dose d ON d.user_id = p.user_id AND d.device_id = p.device_id
        WHERE p.per_day > 0 AND (p.registered_on < %(day)s OR d.device_id IS NOT NULL) GROUP BY 1, 2),
     had AS (
       SELECT d.user_id, coalesce(p.family, {FAMILY.format("d.supplement")}) AS family, sum(d.taken) AS taken,
              sum(d.unknown) AS unknown, sum(d.pending) AS pending
         FROM dose d LEFT JOIN plan p ON p.device_id = d.device_id GROUP BY 1, 2),
     fulfilled AS (
       SELECT user_id, family, coalesce(p.planned, 0) AS planned,
              least(coalesce(h.taken, 0), coalesce(p.planned, 0)) AS taken, coalesce(h.unknown, 0) AS unknown,
              coalesce(h.unknown + h.pending, 0) AS uncertain
         FROM planned p FULL JOIN had h USING (user_id, family) WHERE family IS NOT NULL)
INSERT INTO adherence_days (day, family, cohort, people, expected, taken, unknown)
SELECT %(day)s, f.family, date_trunc('month', u.created_at AT TIME ZONE 'UTC')::date, count(*),
       sum(f.planned - least(f.uncertain, f.planned - f.taken)), sum(f.taken), sum(f.unknown)
  FROM fulfilled f JOIN users u ON u.id = f.user_id GROUP BY 2, 3"""
# How many of those who registered in one month had a dose in another. Who leaves is not forgotten: a cohort
# never gets smaller.
RETENTION = """
INSERT INTO cohort_months AS m (cohort, month, people, active)
SELECT c.cohort, %(month)s, count(*), count(a.user_id)
  FROM (SELECT id, date_trunc('month', created_at AT TIME ZONE 'UTC')::date AS cohort FROM users
         WHERE deleted_at IS NULL AND NOT is_staff) c
  LEFT JOIN (SELECT DISTINCT user_id FROM dose_rollups
              WHERE local_date >= %(month)s AND local_date < %(month)s::date + interval '1 month'
                AND dispensed + manual > 0) a ON a.user_id = c.id
 WHERE c.cohort <= %(month)s GROUP BY c.cohort
ON CONFLICT (cohort, month) DO UPDATE SET people = greatest(m.people, excluded.people), active = excluded.active"""
SUMMED = "SELECT max(day) FROM fleet_days"
FIRST = "SELECT greatest(min(first_day), %(since)s) FROM expected_doses"


def sum_up(*, today: date) -> int:
    """Sum the days that are over and not summed yet, and the last ones anew; how many. `today` is UTC's."""
    last = today - OVER_AFTER
    first = max(today - REACH, min(started(today=today), last - LATE))
    days = [first + ONE_DAY * place for place in range((last - first).days + 1)]
    for day in days:
        sum_day(day)
    for month in sorted({day.replace(day=1) for day in days}):
        sum_month(month)
    return len(days)


def started(*, today: date) -> date:
    """The day after the last that is summed; of a new fleet its first."""
    with connection.cursor() as cursor:
        cursor.execute(SUMMED)
        (summed,) = cursor.fetchone()
        if summed is None:
            cursor.execute(FIRST, {"since": today - REACH})
            (first,) = cursor.fetchone()
    return summed + ONE_DAY if summed else first or today


@transaction.atomic
def sum_day(day: date) -> None:
    with connection.cursor() as cursor:
        # One worker at a time: two would each put their rows beside the other's.
        cursor.execute("LOCK TABLE fleet_days IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute("DELETE FROM fleet_days WHERE day = %s", (day,))
        cursor.execute("DELETE FROM adherence_days WHERE day = %s", (day,))
        cursor.execute(DEVICES, {"day": day})
        cursor.execute(ADHERENCE, {"day": day})


def sum_month(month: date) -> None:
    with connection.cursor() as cursor:
        cursor.execute(RETENTION, {"month": month})
