"""When an event really happened (iot.md 2)."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from telemetry.envelopes import MAX_EPOCH_MS
from telemetry.events import DeviceClock, JournalEvent, Sent, corrected
from zinzino import clock

NOW = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)
REGISTERED = NOW - timedelta(days=30)
HOUR = 3_600_000
EPOCH, YEAR_9000 = clock.from_epoch_ms(0), clock.from_epoch_ms(MAX_EPOCH_MS)


def event(at: datetime | None = None, boot: int | None = None, up: int | None = None) -> JournalEvent:
    return JournalEvent(id=uuid4(), kind="dose", data={}, at=at, boot=boot, up=up)


def hours(count: float) -> datetime:
    return NOW + timedelta(hours=count)


@pytest.mark.parametrize(
    ("happened", "sent", "at", "quality"),
    [
        pytest.param(event(hours(-2)), Sent(NOW), hours(-2), "ok", id="a clock that is right"),
        pytest.param(event(hours(-5)), Sent(hours(-3)), hours(-2), "corrected", id="a clock that is 3 h slow"),
        pytest.param(event(hours(2)), Sent(hours(3)), hours(-1), "corrected", id="a clock that is 3 h fast"),
        pytest.param(
            event(None, 7, HOUR), Sent(None, 7, 3 * HOUR, DeviceClock.NONE), hours(-2), "corrected", id="uptime"
        ),
        pytest.param(event(hours(-2), 7, HOUR), Sent(NOW, 7, 3 * HOUR), hours(-2), "ok", id="both agree"),
        pytest.param(event(hours(-9), 7, HOUR), Sent(NOW, 7, 3 * HOUR), hours(-2), "corrected", id="uptime wins"),
        pytest.param(event(hours(-9), 6, HOUR), Sent(NOW, 7, 3 * HOUR), hours(-9), "ok", id="of an earlier boot"),
        pytest.param(
            event(hours(-2)), Sent(NOW, clock=DeviceClock.NONE), NOW, "unknown", id="a clock that is not set"
        ),
        pytest.param(event(None), Sent(NOW), NOW, "unknown", id="no time at all"),
        pytest.param(event(EPOCH), Sent(YEAR_9000), NOW, "unknown", id="sent thousands of years ahead"),
        pytest.param(
            event(None, 7, 0), Sent(None, 7, MAX_EPOCH_MS), NOW, "unknown", id="up for thousands of years"
        ),
        pytest.param(event(hours(-2)), Sent(None), NOW, "unknown", id="no time of sending"),
        pytest.param(event(hours(1)), Sent(NOW), NOW, "clamped", id="not in the future"),
        pytest.param(
            event(hours(-24 * 40)),
            Sent(NOW),
            REGISTERED - timedelta(days=1),
            "clamped",
            id="not before it was ours",
        ),
    ],
)
def test_when_it_happened(happened: JournalEvent, sent: Sent, at: datetime, quality: str) -> None:
    assert corrected(happened, sent, received=NOW, registered=REGISTERED) == (at, quality)
