"""`manage.py rebuild_rollups`: it finds what passed the triggers by, and mends it."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from analytics.models import DoseRollup, ExpectedDoses
from tests.clients import Phone, Unit
from tests.telemetry.lines import line
from zinzino import clock

PASSED_BY = {
    "missing": "DELETE FROM dose_rollups",
    "different": "UPDATE dose_rollups SET taken = taken + 1",
    "zombie": "UPDATE dose_rollups SET local_date = local_date - 9",
    "plans": "UPDATE expected_doses SET per_day = 3",
}


def ran(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command("rebuild_rollups", *arguments, "--json", stdout=out)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def wrong(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("fault", PASSED_BY)
def test_what_differs_is_found_and_mended(kitchen: Unit, fault: str) -> None:
    kitchen.cup(True)
    before = list(DoseRollup.objects.values("local_date", "dispensed", "taken", "pending", "amount_ml"))
    wrong(PASSED_BY[fault])
    with pytest.raises(CommandError) as refused:
        ran("--check")
    assert refused.value.returncode == 1
    looked = ran("--dry-run")
    assert (looked[fault], looked["rebuilt"]) == (1, False)

    assert ran()[fault] == 1
    assert ran("--check")[fault] == 0
    assert list(DoseRollup.objects.values("local_date", "dispensed", "taken", "pending", "amount_ml")) == before
    assert ExpectedDoses.objects.get().per_day == 1


def test_one_person_alone(alice: Phone, bob: Phone, kitchen: Unit) -> None:
    kitchen.cup(True), bob.dispenser().cup(True)
    wrong(PASSED_BY["missing"])
    ran("--email", "bob@example.com")
    assert set(DoseRollup.objects.values_list("user_id", flat=True)) == {bob.user.pk}


def test_a_day_without_lines_has_no_rollup(kitchen: Unit) -> None:
    kitchen.cup(True)
    wrong("DELETE FROM activity_logs")
    assert not DoseRollup.objects.exists()


def test_a_dose_without_a_confirmation_is_counted_as_neither_taken_nor_unknown(
    alice: Phone, kitchen: Unit
) -> None:
    line(alice, clock.now(), device_id=kitchen.id, confirmation=None)
    found = DoseRollup.objects.get()
    assert (found.dispensed, found.taken, found.unknown, found.pending) == (1, 0, 0, 0)
    ran("--check")


@pytest.mark.parametrize("table", ["dose_rollups", "device_rollups", "expected_doses"])
def test_no_dose_waits_for_its_sum(alice: Phone, kitchen: Unit, table: str) -> None:
    wrong(f"ALTER TABLE {table} ADD CONSTRAINT nothing_fits CHECK (false) NOT VALID")
    assert kitchen.cup(True).data["should_dispense"]
    assert alice.get("/activities").data["pagination"]["total"] == 1
    assert alice.put(f"/devices/{kitchen.id}", {"is_active": False}).status_code == 200
    wrong(f"ALTER TABLE {table} DROP CONSTRAINT nothing_fits")
    if table != "device_rollups":  # what a dispenser reported of itself is kept nowhere else
        with pytest.raises(CommandError):
            ran("--check")
        ran()
    ran("--check")
