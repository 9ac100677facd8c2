"""The statements of analytics, one a function; each is bounded by the days it is asked about."""

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from django.db import connections

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


def history(user_id: UUID, *, first: date, last: date, today: date, device_id: UUID | None = None) -> History:
    """The doses and plans of a person, or of one dispenser, on local days."""
    parameters = {"user_id": user_id, "device_id": device_id, "first": first, "last": last}
    expected, doses = row(HISTORY, parameters)
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


def row(statement: str, parameters: dict[str, Any]) -> tuple[Any, ...]:
    """From the replica, where there is one."""
    with connections[READS].cursor() as cursor:
        cursor.execute(statement, parameters)
        found: tuple[Any, ...] = cursor.fetchone()
    return found


READS = "default"
