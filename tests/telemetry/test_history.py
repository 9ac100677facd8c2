from datetime import UTC, datetime, timedelta

import pytest

from telemetry.models import ActivityLog
from tests import make
from tests.clients import Phone, Unit
from zinzino.ids import uuid7

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def logged(alice: Phone, kitchen: Unit) -> list[str]:
    """Seven doses, one a day at 12:00 UTC; their ids, newest first."""
    rows = [
        ActivityLog(
            id=uuid7(START + timedelta(days=day)),
            user_id=alice.user.pk,
            device_id=kitchen.id,
            action="dose_dispensed",
            dose_amount="5ml",
            triggered_by="automatic",
            confirmation="device",
            local_date=(START + timedelta(days=day)).date(),
            timestamp=START + timedelta(days=day),
        )
        for day in range(7)
    ]
    ActivityLog.objects.bulk_create(rows)
    return [str(row.id) for row in reversed(rows)]


def test_history_is_newest_first_with_the_documented_shape(
    alice: Phone, kitchen: Unit, logged: list[str], statements: make.Statements
) -> None:
    alice.get("/profile")
    with statements(3):
        data = alice.get(f"/devices/{kitchen.id}/history?limit=2").data
    assert [row["id"] for row in data["activities"]] == logged[:2]
    assert data["activities"][0]["metadata"] == {"dose_amount": "5ml", "triggered_by": "automatic"}
    assert data["pagination"].items() >= {"total": 7, "limit": 2, "offset": 0, "has_more": True}.items()


def test_a_cursor_walks_without_skips_or_repeats_while_rows_arrive(
    alice: Phone, kitchen: Unit, logged: list[str]
) -> None:
    seen, cursor = [], ""
    for _ in range(4):
        data = alice.get(f"/devices/{kitchen.id}/history?limit=2{cursor}").data
        seen += [row["id"] for row in data["activities"]]
        kitchen.cup(True)
        kitchen.cup(False)
        cursor = f"&cursor={data['pagination']['next_cursor']}"
    assert seen == logged
    assert data["pagination"]["has_more"] is False


def test_a_day_means_the_users_local_day_and_is_included(alice: Phone, kitchen: Unit, logged: list[str]) -> None:
    def between(query: str) -> int:
        return len(alice.get(f"/devices/{kitchen.id}/history?{query}").data["activities"])

    assert between("start_date=2026-03-02&end_date=2026-03-03") == 2
    assert between("start_date=2026-03-02T12:00:00Z&end_date=2026-03-03T12:00:00Z") == 1
    assert between("start_date=2026-03-02T15:00:00%2B03:00") == 6
    assert between("start_date=2026-03-09") == 0


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "offset=-1", "offset=10001", "limit=x", "start_date=soon", "cursor=abc"]
)
def test_a_wrong_query_is_422(alice: Phone, kitchen: Unit, query: str) -> None:
    assert alice.get(f"/devices/{kitchen.id}/history?{query}").status_code == 422
