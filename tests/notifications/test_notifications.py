import uuid

import pytest

from notifications.models import Notification
from tests import make
from tests.clients import Phone, Unit


@pytest.fixture
def told(alice: Phone, kitchen: Unit) -> list[str]:
    """Alice's notifications, newest first."""
    for report in ({"battery_level": 15}, {"supplement_level": 15}, {"battery_level": 5}):
        kitchen.status(**report)
    return [row["id"] for row in alice.get("/notifications").data["notifications"]]


def test_the_list_has_the_documented_shape(alice: Phone, told: list[str], statements: make.Statements) -> None:
    with statements(3):
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


@pytest.mark.parametrize(("method", "path"), [("PUT", "/notifications/{}/read"), ("DELETE", "/notifications/{}")])
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
