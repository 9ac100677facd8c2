"""What is known of the whole fleet: as it is now, and from the sums of its days (`analytics.fleet`)."""

from datetime import date, timedelta
from typing import Any

import orjson

from analytics import sql

DAYS = timedelta(days=30)
COHORTS = 12
# A dispenser may call its firmware what it likes.
VERSIONS = 20
LOW_PERCENT = 20

# One walk over the dispensers, whatever is asked of them.
NOW = """
WITH counted AS (
       SELECT grouping(device_type) = 0 AS by_type, grouping(battery) = 0 AS by_battery,
              grouping(supplement) = 0 AS by_supplement, grouping(firmware) = 0 AS by_firmware,
              device_type, battery, supplement, firmware, count(*) AS devices,
              count(*) FILTER (WHERE is_connected) AS connected,
              count(*) FILTER (WHERE low_battery) AS low_battery,
              count(*) FILTER (WHERE low_supplement) AS low_supplement
         FROM (SELECT device_type, least(battery_level / 10, 9) AS battery,
                      least(supplement_level / 10, 9) AS supplement,
                      coalesce(firmware_version, '') AS firmware, is_connected,
                      battery_level <= %(low)s AS low_battery, supplement_level <= %(low)s AS low_supplement
                 FROM devices WHERE is_active) AS d
        GROUP BY GROUPING SETS ((device_type), (battery), (supplement), (firmware)))
SELECT json_build_object(
    'types', (SELECT coalesce(json_agg(json_build_object('device_type', device_type, 'devices', devices,
        'connected', connected, 'low_battery', low_battery, 'low_supplement', low_supplement)
        ORDER BY device_type), '[]') FROM counted WHERE by_type),
    'battery', (SELECT coalesce(json_object_agg(battery, devices), '{}') FROM counted WHERE by_battery),
    'supplement', (SELECT coalesce(json_object_agg(supplement, devices), '{}') FROM counted WHERE by_supplement),
    'firmware', (SELECT coalesce(json_agg(json_build_object('version', firmware, 'devices', devices)
        ORDER BY devices DESC, firmware), '[]') FROM counted WHERE by_firmware))::text"""
# Of the sums alone, by the keys of their tables.
SUMS = """
SELECT json_build_object(
    'days', (SELECT coalesce(json_agg(d ORDER BY d.day), '[]') FROM (
        SELECT day, sum(devices) AS devices, sum(active) AS active, sum(dispensed) AS dispensed,
               sum(failed) AS failed, sum(unknown) AS unknown, sum(disconnects) AS disconnects
          FROM fleet_days WHERE day > %(since)s GROUP BY day) d),
    'failures', (SELECT coalesce(json_agg(f ORDER BY failed DESC, device_type, firmware_version), '[]') FROM (
        SELECT device_type, firmware_version, sum(dispensed) AS dispensed, sum(failed) AS failed,
               sum(unknown) AS unknown
          FROM fleet_days WHERE day > %(since)s GROUP BY 1, 2 HAVING sum(dispensed + failed) > 0
         ORDER BY sum(failed) DESC, 1, 2 LIMIT %(versions)s) f),
    'adherence', (SELECT coalesce(json_agg(a ORDER BY a.cohort), '[]') FROM (
        SELECT cohort, max(people) AS people, sum(expected) AS expected, sum(taken) AS taken,
               sum(unknown) AS unknown FROM adherence_days WHERE day > %(since)s GROUP BY cohort
         ORDER BY cohort DESC LIMIT %(cohorts)s) a),
    'retention', (SELECT coalesce(json_agg(json_build_object('cohort', cohort, 'month', month, 'people', people,
        'active', active) ORDER BY cohort, month), '[]')
        FROM cohort_months WHERE cohort >= %(first_cohort)s))::text"""


def figures(*, today: date) -> dict[str, Any]:
    """Two statements, from the replica where there is one. Rates without data are null."""
    first_cohort = (today.replace(day=1) - timedelta(days=30 * COHORTS)).replace(day=1)
    (now,) = sql.row(NOW, {"low": LOW_PERCENT})
    parameters = {"since": today - DAYS, "versions": VERSIONS, "cohorts": COHORTS, "first_cohort": first_cohort}
    (sums,) = sql.row(SUMS, parameters)
    found = orjson.loads(now) | orjson.loads(sums)
    for name in ("battery", "supplement"):
        found[name] = [found[name].get(str(tenth), 0) for tenth in range(10)]
    found["firmware"] = top(found["firmware"])
    for each in (*found["days"], *found["failures"]):
        each["failure_rate"] = rate(each["failed"], each["dispensed"] + each["failed"])
    for each in found["adherence"]:
        each["percent"] = percent(each["taken"], each["expected"])
    for each in found["retention"]:
        each["percent"] = percent(each["active"], each["people"])
    return {"as_of": today, **found}


def top(versions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The most frequent ones; the rest together, without a version."""
    rest = sum(each["devices"] for each in versions[VERSIONS:])
    return [*versions[:VERSIONS], *([{"version": None, "devices": rest}] if rest else [])]


def rate(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 1) if whole else None
