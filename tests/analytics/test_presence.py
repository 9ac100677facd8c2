"""What is kept of a dispenser's presence and levels, day by day."""

from datetime import UTC, date, datetime, timedelta

import pytest

from analytics.models import DeviceRollup
from devices import services as devices
from devices.models import Device
from telemetry import presence
from telemetry.presence import Status
from tests import make
from tests.clients import Phone
from tests.make import Dispenser

HOUR_MS = 3_600_000


@pytest.fixture
def unit(db: None) -> Dispenser:
    began = datetime(2026, 3, 1, tzinfo=UTC)
    return make.dispenser(make.person(timezone="Europe/Berlin", now=began).user, now=began)


def reported(unit: Dispenser, at: datetime, **status: object) -> None:
    presence.report_status(unit.id, Status(**status), now=at)  # type: ignore[arg-type]


def days(unit: Dispenser, *names: str) -> dict[date, tuple[int, ...]]:
    found = DeviceRollup.objects.filter(device_id=unit.id).order_by("local_date")
    return {each.local_date: tuple(getattr(each, name) for name in names) for each in found}


def test_presence_is_split_at_the_midnights_of_its_zone_also_when_clocks_change(unit: Dispenser) -> None:
    reported(unit, datetime(2026, 3, 28, 20, tzinfo=UTC))
    reported(unit, datetime(2026, 3, 30, 1, tzinfo=UTC), is_connected=False)
    assert days(unit, "connected_ms", "disconnects") == {
        date(2026, 3, 28): (3 * HOUR_MS, 0),
        date(2026, 3, 29): (23 * HOUR_MS, 0),
        date(2026, 3, 30): (3 * HOUR_MS, 1),
    }
    assert not DeviceRollup.objects.exclude(connected_since=None).exists()


def test_silence_ends_a_presence_and_the_next_word_begins_another(unit: Dispenser) -> None:
    began = datetime(2026, 3, 10, 8, tzinfo=UTC)
    reported(unit, began)
    presence.sweep(now=began + timedelta(hours=2))
    reported(unit, began + timedelta(hours=3))
    row = DeviceRollup.objects.get()
    assert (row.connected_ms, row.disconnects) == (2 * HOUR_MS, 1)
    assert row.connected_since == began + timedelta(hours=3)


def test_only_falling_levels_are_use_and_the_first_report_is_none(unit: Dispenser) -> None:
    began = datetime(2026, 3, 10, 8, tzinfo=UTC)
    levels = [(80, 60), (75, 58), (76, 59), (74, 57), (100, 100), (97, 99)]
    for hours, (battery, supplement) in enumerate(levels):
        at = began + timedelta(hours=hours)
        reported(unit, at, battery_level=battery, supplement_level=supplement)
    assert days(unit, "battery_used", "supplement_used") == {date(2026, 3, 10): (6 + 3, 3 + 1)}


def test_a_day_ends_with_the_levels_that_were_heard_last(unit: Dispenser) -> None:
    """Also with the first, which may be what a new dispenser is taken to have; a day without a change has none."""
    began = datetime(2026, 3, 10, 8, tzinfo=UTC)
    for hours, levels in ((0, (100, 100)), (30, (90, 80)), (31, (100, 79)), (60, (100, 79))):
        battery, supplement = levels
        at = began + timedelta(hours=hours)
        reported(unit, at, battery_level=battery, supplement_level=supplement)
    found = days(unit, "battery_level", "supplement_level", "battery_used", "supplement_used")
    assert found == {date(2026, 3, 10): (100, 100, 0, 0), date(2026, 3, 11): (100, 79, 0, 21)}


def test_a_removed_dispenser_leaves_no_presence(unit: Dispenser) -> None:
    reported(unit, datetime(2026, 3, 10, tzinfo=UTC))
    devices.remove(unit.id, unit.row.user_id, now=datetime(2026, 3, 11, tzinfo=UTC))
    assert not DeviceRollup.objects.exists()


def test_the_end_of_an_account_switches_off(alice: Phone) -> None:
    kitchen = alice.dispenser()
    kitchen.status(battery_level=50)
    devices.let_go(alice.user.pk, now=datetime.now(UTC))
    assert Device.objects.get().is_connected is False
    assert DeviceRollup.objects.get().disconnects == 1
