"""Doses of one person and day that arrive at the same moment all count."""

from datetime import UTC, datetime

import pytest

from analytics import audit
from analytics.models import DoseRollup
from telemetry import manual
from tests import make
from tests.threads import together

NOON = datetime(2026, 3, 10, 9, tzinfo=UTC)
AT_ONCE = 8


@pytest.mark.django_db(transaction=True)
def test_doses_of_one_moment_add_up() -> None:
    """Of a person without a dispenser, so that no lock of a family puts them in a row."""
    user = make.person().user
    said = {"action": "dose_taken_manual", "supplement": "vitamin_d", "dose_amount": "1000IU"}
    together(lambda _: manual.create(user.pk, timezone="Europe/Istanbul", now=NOON, **said), range(AT_ONCE))
    row = DoseRollup.objects.get()
    assert (row.manual, row.taken, row.supplement) == (AT_ONCE, AT_ONCE, "vitamin_d")
    assert not audit.faults_of(user.pk)
