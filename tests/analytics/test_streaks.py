"""Streaks cost what the days since their mark cost, and a mark never outlives what it says."""

import re
import threading
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction

from analytics import sql, streaks
from analytics.models import StreakMark
from devices.planning import edit_plan
from telemetry import manual
from tests import make

TODAY = date(2028, 3, 1)
NOON = datetime(2028, 3, 1, 9, tzinfo=UTC)
DOSES = """
INSERT INTO activity_logs (id, user_id, device_id, action, dose_amount, triggered_by, confirmation, local_date,
                           metadata, timestamp)
SELECT gen_random_uuid(), %(user_id)s, %(device_id)s, 'dose_dispensed', '5ml', 'automatic', 'device', at::date,
       '{}', at
  FROM generate_series(%(now)s - %(days)s * interval '1 day', %(now)s, interval '1 day') AS at
 WHERE extract(day FROM at) <> 10"""


def household(days: int) -> tuple[UUID, UUID]:
    """A person who has missed the tenth of each month for so many days, today included."""
    began = NOON - timedelta(days=days)
    user = make.person(now=began).user
    device = make.dispenser(user, now=began)
    with connection.cursor() as cursor:
        cursor.execute(DOSES, {"user_id": user.pk, "device_id": device.id, "now": NOON, "days": days})
    return user.pk, device.id


def cost(statement: str, parameters: dict[str, Any]) -> int:
    """Rows that were read from tables, those thrown away included."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) {statement}", parameters)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    scans = r"(?<!Bitmap Index)(?<!CTE) Scan (?:Backward )?(?:using \w+ )?on .*rows=([\d.]+) loops=(\d+)"
    removed = r"Rows Removed by (?:Filter|Index Recheck): (\d+)"
    read = sum(float(rows) * int(loops) for rows, loops in re.findall(scans, plan))
    return round(read + sum(map(int, re.findall(removed, plan))))


def asked(user_id: UUID, device_id: UUID) -> dict[str, tuple[str, dict[str, Any]]]:
    """Every statement of section 9, as a month is asked for."""
    first = TODAY - timedelta(days=29)
    days: dict[str, Any] = {
        "user_id": user_id,
        "device_id": None,
        "first": first,
        "last": TODAY,
        "today": TODAY,
        "through": TODAY,
    }
    days |= {"zone": "Europe/Istanbul", "now": NOON, "since": NOON - timedelta(days=30), "until": NOON}
    return {
        "usage": (sql.HISTORY, days),
        "health": (sql.HEALTH, days),
        "summary": (sql.SUMMARY, days),
        "report": (sql.REPORT, days),
        "engagement": (sql.ENGAGEMENT, days),
        "performance": (sql.PERFORMANCE, days | {"device_id": device_id}),
    }


@pytest.mark.django_db
def test_ten_years_read_what_two_months_read() -> None:
    few, many = household(60), household(3652)
    with connection.cursor() as cursor:
        # Among two people alone the index of everybody's days looks as good as that of one's own.
        cursor.execute("DROP INDEX dose_rollups_of_day")
        cursor.execute("ANALYZE dose_rollups, expected_doses, activity_logs")
    unmarked = cost(*asked(*many)["summary"])
    assert streaks.mark_all(today=TODAY) == 2
    short, long = asked(*few), asked(*many)
    costs = {name: (cost(*short[name]), cost(*long[name])) for name in short}
    # Which index is taken for a day or two more is the planner's choice.
    assert all(many <= few + 60 for few, many in costs.values()), costs
    assert max(many for _, many in costs.values()) < 250, costs
    assert unmarked > 3_000


@pytest.mark.django_db
def test_a_mark_changes_no_answer() -> None:
    user_id, _ = household(400)
    unmarked = sql.streak(user_id, today=TODAY)
    assert unmarked == (20, 30)
    for days in (1, 15, 20, 21, 22, 400, 500):
        streaks.mark(user_id, through=TODAY - timedelta(days=days))
        assert sql.streak(user_id, today=TODAY) == unmarked, days
    assert sql.streak(user_id, today=TODAY + timedelta(days=3)) == (0, 30)


@pytest.mark.django_db
def test_marks_are_set_anew_when_they_are_old() -> None:
    household(100)
    assert streaks.mark_all(today=TODAY) == 1
    assert StreakMark.objects.get().day == TODAY - streaks.BEHIND
    assert streaks.mark_all(today=TODAY) == 0
    assert streaks.mark_all(today=TODAY + timedelta(days=31)) == 1


@pytest.mark.django_db
def test_a_late_dose_drops_the_mark_and_todays_does_not() -> None:
    user_id, device_id = household(100)
    streaks.mark(user_id, through=TODAY - timedelta(days=15))
    taken: dict[str, Any] = {
        "action": "dose_taken_manual",
        "supplement": "fish_oil",
        "timezone": "UTC",
        "now": NOON,
    }
    manual.create(user_id, timestamp=NOON, **taken)
    edit_plan(device_id, user_id, {"target_per_day": 2}, now=NOON)
    assert StreakMark.objects.exists()
    manual.create(user_id, timestamp=NOON - timedelta(days=20), **taken)
    assert not StreakMark.objects.exists()
    # The tenth of February, which was missed, is mended.
    assert sql.streak(user_id, today=TODAY)[0] == 51


@pytest.mark.django_db(transaction=True)
def test_a_mark_waits_for_a_late_dose_under_way() -> None:
    user_id, _ = household(100)
    marking = threading.Thread(target=marked, args=(user_id,))
    with transaction.atomic():
        taken: dict[str, Any] = {
            "action": "dose_taken_manual",
            "supplement": "fish_oil",
            "timezone": "UTC",
            "now": NOON,
        }
        manual.create(user_id, timestamp=NOON - timedelta(days=20), **taken)
        marking.start()
        marking.join(0.5)
        assert marking.is_alive()
    marking.join(10)
    assert StreakMark.objects.get().current == 36
    assert sql.streak(user_id, today=TODAY) == (51, 51)


def marked(user_id: UUID) -> None:
    try:
        streaks.mark(user_id, through=TODAY - timedelta(days=15))
    finally:
        connection.close()
