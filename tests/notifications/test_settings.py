"""`/notifications/settings` (api.md 7)."""

from typing import Any

import pytest

from notifications.models import NotificationSettings
from tests import make
from tests.clients import Phone

DEFAULTS: dict[str, Any] = {
    "reminder_enabled": True,
    "reminder_time": "08:00",
    "reminder_times": ["08:00"],
    "reminder_skip_if_taken": True,
    "low_battery_enabled": True,
    "low_supplement_enabled": True,
    "achievement_enabled": True,
    "device_offline_enabled": True,
    "dose_missed_enabled": True,
    "refill_due_enabled": True,
    "push_content": "full",
    "quiet_hours": {"enabled": False, "start": "22:00", "end": "08:00"},
    "timezone": "Europe/Istanbul",
    "push_token": None,
    "push_platform": None,
}


def shown(phone: Phone) -> dict[str, Any]:
    data: dict[str, Any] = phone.get("/notifications/settings").data
    return {name: data[name] for name in DEFAULTS}


def test_a_new_person_has_the_documented_settings(alice: Phone, statements: make.Statements) -> None:
    alice.get("/notifications/settings")
    with statements(2):
        answer = alice.get("/notifications/settings")
    assert shown(alice) == DEFAULTS
    assert set(answer.data) == {*DEFAULTS, "next_reminder_at", "updated_at"}


def test_a_change_is_partial_and_answers_the_whole(alice: Phone, bob: Phone) -> None:
    wishes = {
        "low_battery_enabled": False,
        "push_content": "private",
        "quiet_hours": {"enabled": True, "start": "23:30"},
        "timezone": "Asia/Tokyo",
    }
    answer = alice.put("/notifications/settings", wishes)
    assert answer.status_code == 200
    expected = DEFAULTS | {
        "low_battery_enabled": False,
        "push_content": "private",
        "quiet_hours": {"enabled": True, "start": "23:30", "end": "08:00"},
    }
    assert {name: answer.data[name] for name in DEFAULTS} == shown(alice) == expected
    assert shown(bob) == DEFAULTS


@pytest.mark.parametrize("sent", [{}, {"reminder_time": "08:00", "push_token": "mine"}, DEFAULTS])
def test_what_says_nothing_new_moves_nothing(alice: Phone, sent: dict[str, Any]) -> None:
    alice.get("/notifications/settings")
    since = alice.post("/sync/full").data["sync_timestamp"]
    before = NotificationSettings.objects.values().get(user=alice.user)
    assert alice.put("/notifications/settings", sent).status_code == 200
    assert NotificationSettings.objects.values().get(user=alice.user) == before
    delta = alice.post("/sync/delta", {"last_sync": since}).data
    assert delta["updated_notification_settings"] is None


@pytest.mark.parametrize(
    ("stored", "sent", "expected"),
    [
        (["08:00"], {"reminder_time": "09:15"}, ["09:15"]),
        (["08:00", "20:00"], {"reminder_time": "09:15"}, ["09:15"]),
        (["08:00"], {"reminder_times": ["20:00", "07:30", "20:00"]}, ["07:30", "20:00"]),
        # An app that sends the whole object back has changed one of the two.
        (["08:00", "20:00"], {"reminder_time": "09:15", "reminder_times": ["08:00", "20:00"]}, ["09:15"]),
        (["08:00"], {"reminder_time": "08:00", "reminder_times": ["07:00", "20:00"]}, ["07:00", "20:00"]),
        (["08:00"], {"reminder_time": "07:00", "reminder_times": ["07:00", "20:00"]}, ["07:00", "20:00"]),
        (["08:00"], {"reminder_time": "08:00:00"}, ["08:00"]),
    ],
)
def test_reminder_time_is_the_first_of_the_times(
    alice: Phone, stored: list[str], sent: dict[str, Any], expected: list[str]
) -> None:
    alice.put("/notifications/settings", {"reminder_times": stored})
    data = alice.put("/notifications/settings", sent).data
    assert (data["reminder_times"], data["reminder_time"]) == (expected, expected[0])


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"reminder_time": "8:00"}, "reminder_time"),
        ({"reminder_time": "24:00"}, "reminder_time"),
        ({"reminder_time": "08:00:30"}, "reminder_time"),
        ({"reminder_time": 8}, "reminder_time"),
        ({"reminder_times": []}, "reminder_times"),
        ({"reminder_times": [f"{hour:02}:00" for hour in range(13)]}, "reminder_times"),
        ({"reminder_times": ["08:00", "x"]}, "reminder_times.1"),
        ({"reminder_time": "06:00", "reminder_times": ["07:00"]}, "reminder_time"),
        ({"low_battery_enabled": "yes"}, "low_battery_enabled"),
        ({"push_content": "none"}, "push_content"),
        ({"quiet_hours": {"start": "08:00"}}, "quiet_hours.end"),
        ({"quiet_hours": {"start": "late"}}, "quiet_hours.start"),
        ({"push_token": "two words", "push_platform": "ios"}, "push_token"),
    ],
)
def test_a_wrong_value_names_its_field_and_nothing_changes(alice: Phone, sent: dict[str, Any], field: str) -> None:
    alice.get("/notifications/settings")
    before = NotificationSettings.objects.values().get(user=alice.user)
    answer = alice.put("/notifications/settings", sent)
    assert (answer.status_code, list(answer.error["details"])) == (422, [field])
    assert NotificationSettings.objects.values().get(user=alice.user) == before
