from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection, transaction

from devices.models import Device
from notifications.models import AlertState, Notification, NotificationSettings
from telemetry import presence
from telemetry.models import ActivityLog
from tests import make
from tests.clients import Phone, Unit
from tests.threads import until_it_waits_or_is_done
from zinzino import clock


def test_a_report_answers_the_documented_shape(kitchen: Unit, statements: make.Statements) -> None:
    kitchen.status(battery_level=90, supplement_level=90)
    report: dict[str, Any] = {
        "battery_level": 82,
        "supplement_level": 65,
        "is_connected": True,
        "firmware_version": "1.2.4",
    }
    with statements(5):  # a version that is new may be an update's
        answer = kitchen.status(**report).data
    with statements(4):
        kitchen.status(**report)

    assert (
        answer.items()
        >= {
            "id": str(kitchen.id),
            "battery_level": 82,
            "supplement_level": 65,
            "is_connected": True,
            "notifications_sent": [],
            "heartbeat_s": 900,
            "plan_version": 1,
            "rotate_token": True,
        }.items()
    )
    device = Device.objects.get()
    assert (device.battery_level, device.firmware_version, device.setup_state) == (82, "1.2.4", "online")


def test_a_low_level_is_told_once_an_episode(alice: Phone, kitchen: Unit) -> None:
    sent = [
        kitchen.status(supplement_level=level).data["notifications_sent"]
        for level in (21, 20, 19, 11, 10, 9, 24, 25, 20)
    ]
    low = ["low_supplement"]
    assert sent == [[], low, [], [], low, [], [], [], low]
    rows = Notification.objects.order_by("created_at", "id")
    assert [row.metadata["severity"] for row in rows] == ["low", "critical", "low"]
    assert ActivityLog.objects.filter(action="supplement_low").count() == 3
    assert alice.get("/notifications").data["unread_count"] == 3


def test_a_first_sample_at_the_bottom_is_one_critical_row(kitchen: Unit) -> None:
    answer = kitchen.status(battery_level=3, supplement_level=8).data
    assert answer["notifications_sent"] == ["low_battery", "low_supplement"]
    assert [row.metadata["severity"] for row in Notification.objects.all()] == ["critical", "critical"]


def test_a_jump_arms_again_below_the_threshold(kitchen: Unit) -> None:
    levels = (2, 22, 19)
    sent = [kitchen.status(battery_level=level).data["notifications_sent"] for level in levels]
    assert sent == [["low_battery"], [], ["low_battery"]]


def test_a_switched_off_type_makes_no_row_but_the_episode_goes_on(alice: Phone, kitchen: Unit) -> None:
    NotificationSettings.objects.filter(user=alice.user).update(low_battery_enabled=False)
    assert kitchen.status(battery_level=15).data["notifications_sent"] == []
    assert not Notification.objects.exists()
    assert AlertState.objects.get().severity == "low"


def test_the_text_is_in_the_owners_language(alice: Phone, kitchen: Unit) -> None:
    kitchen.status(battery_level=15)
    row = Notification.objects.get()
    assert (row.title, row.message) == (
        "Pil azaldı",
        "Mutfak Dispenseri pil seviyesi %15. Lütfen şarj edin.",
    )
    alice.put("/profile", {"language": "en"})
    kitchen.status(supplement_level=15)
    assert Notification.objects.get(type="low_supplement").title == "Supplement running low"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("battery_level", 101),
        ("battery_level", -1),
        ("battery_level", "82"),
        ("battery_level", True),
        ("supplement_level", 1.5),
        ("is_connected", "yes"),
        ("firmware_version", "x" * 51),
    ],
)
def test_a_wrong_field_is_named_and_nothing_changes(kitchen: Unit, field: str, value: object) -> None:
    before = Device.objects.values().get()
    response = kitchen.status(**{field: value})
    after = Device.objects.values().get()
    assert (response.status_code, list(response.error["details"])) == (422, [field])
    assert after == before


def test_a_heartbeat_without_news_changes_nothing_that_phones_see(kitchen: Unit) -> None:
    now = clock.now()
    with time_machine.travel(now, tick=False):
        kitchen.status(battery_level=80)
    before = Device.objects.get()
    with time_machine.travel(now + timedelta(seconds=59), tick=False):
        kitchen.status(battery_level=80)
    after = Device.objects.get()
    assert (after.last_seen, after.last_sync, after.updated_at) == (
        before.last_seen,
        before.last_sync,
        before.updated_at,
    )
    assert after.contact_at == now + timedelta(seconds=59)


def test_reports_in_quick_succession_leave_the_row_on_its_page(kitchen: Unit) -> None:
    """The end of presence is indexed, so that it moves only when it moves by more than hardly."""
    now = clock.now()
    ends = []
    for seconds, promise in ((0, None), (30, None), (90, None), (100, 7200), (110, None)):
        status = presence.Status(next_contact_s=promise)
        presence.report_status(kitchen.id, status, now=now + timedelta(seconds=seconds))
        ends.append(Device.objects.get().silent_at)
    assert ends == [now + timedelta(seconds=after) for after in (2250, 2250, 90 + 2250, 100 + 18_000, 110 + 2250)]


@pytest.mark.django_db(transaction=True)
def test_a_report_that_waited_for_another_sees_what_that_has_left(kitchen: Unit) -> None:
    def hear() -> int:
        try:
            heard = presence.hear(kitchen.id, presence.Status(battery_level=80), now=clock.now())
            assert heard
            return heard[0].battery_level
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Device.objects.filter(pk=kitchen.id).update(battery_level=5)
            later = pool.submit(hear)
            until_it_waits_or_is_done(later)
        assert later.result() == 5
    assert Device.objects.get().battery_level == 80


def test_presence_ends_by_word_and_by_silence(alice: Phone, kitchen: Unit) -> None:
    def connected() -> bool:
        return bool(alice.get("/devices").data[0]["is_connected"])

    assert not connected()
    kitchen.cup(False)
    assert connected()
    kitchen.status(is_connected=False)
    assert not connected()
    kitchen.status()
    assert connected()
    silence = clock.now() + timedelta(seconds=2.5 * 900)
    assert presence.sweep(now=silence - timedelta(minutes=1)) == 0
    assert presence.sweep(now=silence + timedelta(seconds=1)) == 1
    assert not connected()


def test_an_announced_contact_postpones_the_silence(kitchen: Unit) -> None:
    kitchen.status(next_contact_s=7200)
    assert presence.sweep(now=clock.now() + timedelta(hours=2)) == 0
