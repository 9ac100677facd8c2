from datetime import timedelta

import pytest
import time_machine

from telemetry import retention
from telemetry.models import ActivityLog, Decision, Dispense, EventKey
from tests.clients import Unit
from zinzino import clock


def test_decisions_go_after_90_days_and_what_was_poured_stays(kitchen: Unit) -> None:
    now = clock.now()
    for days in (91, 90, 89):
        with time_machine.travel(now - timedelta(days=days, seconds=-1), tick=False):
            kitchen.cup(False)
            kitchen.cup(True)
    assert retention.prune(now=now) == {"decisions": 1, "event_keys": 0, "dead_letters": 0, "journal_acks": 0}
    assert (Decision.objects.count(), Dispense.objects.count(), ActivityLog.objects.count()) == (2, 3, 3)


def test_keys_of_events_outlive_every_retry(kitchen: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    now = clock.now()
    for days in (401, 399):
        at = now - timedelta(days=days)
        with time_machine.travel(at, tick=False):
            kitchen.cup(False, timestamp=clock.iso(at))
    monkeypatch.setattr(retention, "CHUNK_ROWS", 1)
    assert retention.prune(now=now)["event_keys"] == 1
    assert EventKey.objects.get().created_at == now - timedelta(days=399)
