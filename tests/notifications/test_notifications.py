import uuid
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from notifications.models import Notification
from tests import make
from tests.clients import Phone, Unit
from zinzino import clock

HOUR = timedelta(hours=1)


@pytest.fixture
def told(alice: Phone, kitchen: Unit) -> list[str]:
    """Alice's notifications, newest first."""
    for report in ({"battery_level": 15}, {"supplement_level": 15}, {"battery_level": 5}):
        kitchen.status(**report)
    return [row["id"] for row in alice.get("/notifications").data["notifications"]]


def test_the_list_has_the_documented_shape(alice: Phone, told: list[str], statements: make.Statements) -> None:
    with statements(2):
        data = alice.get("/notifications").data
    assert set(data) == {"notifications", "unread_count", "pagination"}
    assert set(data["notifications"][0]) == {
        "id",
        "type",
        "title",
        "message",
        "device_id",
        "is_read",
        "read_at",
        "metadata",
        "created_at",
    }
    assert (data["unread_count"], len(told)) == (3, 3)


def test_filters(alice: Phone, told: list[str], kitchen: Unit) -> None:
    alice.put(f"/notifications/{told[0]}/read")

    def found(query: str) -> int:
        return len(alice.get(f"/notifications?{query}").data["notifications"])

    assert (found("is_read=true"), found("is_read=false")) == (1, 2)
    assert (found("type=low_battery"), found(f"device_id={kitchen.id}"), found(f"device_id={uuid.uuid4()}")) == (
        2,
        3,
        0,
    )
    assert alice.get("/notifications?type=gossip").status_code == 422


def test_reading_twice_keeps_the_first_time(alice: Phone, told: list[str]) -> None:
    alice.put(f"/notifications/{told[0]}/read")
    first = Notification.objects.get(pk=told[0]).read_at
    answer = alice.put(f"/notifications/{told[0]}/read")
    assert (answer.status_code, Notification.objects.get(pk=told[0]).read_at) == (200, first)
    assert alice.get("/notifications/unread-count").data == {
        "unread_count": 2,
        "by_type": {"low_battery": 1, "low_supplement": 1},
    }


def test_all_of_a_type_are_marked_at_once(alice: Phone, told: list[str]) -> None:
    assert alice.put("/notifications/read-all", {"type": "low_battery"}).data == {"marked_count": 2}
    assert alice.post("/notifications/mark-all-read").data == {"marked_count": 1}


def test_a_period_and_one_alone(alice: Phone, told: list[str], statements: make.Statements) -> None:
    yesterday, today = clock.now() - timedelta(days=1), clock.now().astimezone(ZoneInfo("Europe/Istanbul")).date()
    Notification.objects.filter(pk=told[2]).update(created_at=yesterday)

    def found(query: str) -> list[str]:
        return [row["id"] for row in alice.get(f"/notifications?{query}").data["notifications"]]

    assert found(f"start_date={today}") == told[:2]
    assert found(f"end_date={today - timedelta(days=1)}") == told[2:]
    assert found(f"start_date={clock.iso(yesterday)}&end_date={clock.iso(clock.now() - HOUR)}") == told[2:]
    with statements(2):
        one = alice.get(f"/notifications/{told[0]}").data
    assert one == alice.get("/notifications").data["notifications"][0]


def test_what_was_read_can_be_deleted_at_once(alice: Phone, bob: Phone, told: list[str]) -> None:
    alice.put(f"/notifications/{told[0]}/read")
    assert bob.delete("/notifications?is_read=true").data == {"deleted_count": 0}
    for unclear in ("", "?is_read=false", "?is_read=1"):
        assert alice.delete(f"/notifications{unclear}").status_code == 422
    assert alice.delete("/notifications?is_read=true").data == {"deleted_count": 1}
    assert [row["id"] for row in alice.get("/notifications").data["notifications"]] == told[1:]


def test_all_up_to_a_moment_are_marked(alice: Phone, told: list[str]) -> None:
    Notification.objects.filter(pk=told[2]).update(created_at=clock.now() - HOUR)
    before = clock.iso(clock.now() - HOUR / 2)
    assert alice.put("/notifications/read-all", {"before": before}).data == {"marked_count": 1}
    assert Notification.objects.get(is_read=True).pk == uuid.UUID(told[2])


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/notifications/{}"), ("PUT", "/notifications/{}/read"), ("DELETE", "/notifications/{}")],
)
def test_a_foreign_notification_is_403_and_nothing_changes(
    bob: Phone, told: list[str], method: str, path: str
) -> None:
    before = list(Notification.objects.order_by("pk").values())
    assert bob.send(method, path.format(told[0])).status_code == 403
    assert bob.send(method, path.format(uuid.uuid4())).status_code == 404
    assert list(Notification.objects.order_by("pk").values()) == before


def test_a_deleted_one_is_gone_and_no_endpoint_makes_one(alice: Phone, told: list[str]) -> None:
    assert alice.delete(f"/notifications/{told[0]}").status_code == 200
    assert len(alice.get("/notifications").data["notifications"]) == 2
    assert alice.post("/notifications", {}).status_code == 405
