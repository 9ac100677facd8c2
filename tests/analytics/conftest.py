"""A leap day, and a person who has had a dispenser for a month."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from tests.clients import Phone, Unit

NOON = datetime(2028, 2, 29, 9, tzinfo=UTC)


@pytest.fixture
def leap_day() -> Any:
    with time_machine.travel(NOON, tick=False):
        yield


def dosed(unit: Unit, at: datetime, **outcome: Any) -> None:
    """A dose of the full protocol, confirmed."""
    with time_machine.travel(at, tick=False):
        unit.cup(False)
        asked = unit.ask().data
        assert asked["should_dispense"], asked
        unit.confirm(asked["dispense_id"], **{"outcome": "dispensed", **outcome})


@pytest.fixture
def month(alice: Phone, leap_day: None) -> Unit:
    """A dispenser of 40 days ago: doses on the last 20 days but one, at 09:00 UTC; none today."""
    with time_machine.travel(NOON - timedelta(days=40), tick=False):
        unit = alice.dispenser()
    for days in (*range(20, 5, -1), *range(4, 0, -1)):
        dosed(unit, NOON - timedelta(days=days))
    return unit
