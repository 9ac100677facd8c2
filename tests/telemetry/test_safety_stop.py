"""`manage.py safety_stop`: dispensers are held back at once, with a name under it (iot.md 5)."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from devices.models import Device, ManufacturedUnit
from telemetry.models import SafetyStop
from tests.clients import Phone, Unit
from zinzino import clock


def safety_stop(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command("safety_stop", *arguments, "--by", "ops@example.com", "--json", stdout=out)
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


def reasons(*units: Unit) -> list[str]:
    return [unit.cup(True).data["reason"] for unit in units]


def test_a_stop_of_all_holds_back_every_dispenser_until_it_is_lifted(alice: Phone, bob: Phone) -> None:
    units = alice.dispenser(), bob.dispenser(device_type="vitamin_d")
    told = safety_stop("--scope", "all", "--reason", "Restored from a backup")
    assert (told["dispensers"], told["ordered_by"]) == (2, "ops@example.com")
    assert reasons(*units) == ["safety_stop", "safety_stop"]

    assert safety_stop("--scope", "all", "--lift")["lifted_at"]
    assert reasons(*units) == ["due", "due"]


@pytest.mark.parametrize(
    ("scope", "value", "reason"),
    [
        ("type", "fish_oil", "safety_stop"),
        ("firmware", "2.1.0", "firmware_blocked"),
        ("lot", "L-7", "lot_recalled"),
        ("unit", "znz-stopped", "safety_stop"),
    ],
)
def test_a_stop_holds_back_what_it_names(alice: Phone, scope: str, value: str, reason: str) -> None:
    stopped = alice.dispenser(serial_number="ZNZ-STOPPED")
    other = alice.dispenser(device_type="vitamin_d")
    for lot, unit in (("L-7", stopped), ("L-8", other)):
        row = Device.objects.get(pk=unit.id)
        ManufacturedUnit.objects.create(
            serial_number=row.serial_number, mac_address=row.mac_address, lot=lot, imported_at=clock.now()
        )
    stopped.status(firmware_version="2.1.0")
    other.status(firmware_version="2.1.1")
    assert safety_stop("--scope", scope, "--value", value, "--reason", "Too much")["dispensers"] == 1
    assert reasons(stopped, other) == [reason, "due"]


def test_the_owner_reads_why(alice: Phone, kitchen: Unit) -> None:
    safety_stop("--scope", "all", "--reason", "Restored from a backup")
    answer = kitchen.cup(True).data
    assert (answer["reason_class"], answer["next_dose_at"]) == ("service", None)
    decisions = alice.get(f"/devices/{kitchen.id}/decisions", HTTP_ACCEPT_LANGUAGE="en").data["decisions"]
    assert (
        decisions[0]["explanation"]
        == "Dispensing has been stopped for safety. Said about it: Restored from a backup"
    )


def test_a_stop_with_an_end_is_over_by_itself(kitchen: Unit) -> None:
    until = clock.now() + timedelta(hours=6)
    safety_stop("--scope", "all", "--reason", "Restored", "--until", clock.iso(until))
    assert kitchen.cup(True).data["next_dose_at"] == clock.iso(until)
    SafetyStop.objects.update(until=clock.now() - timedelta(seconds=1))
    assert safety_stop() == {"standing": []}
    assert reasons(kitchen) == ["due"]


def test_a_yes_that_was_given_before_the_stop_is_not_repeated(kitchen: Unit) -> None:
    event = {"timestamp": clock.iso(clock.now())}
    assert kitchen.cup(True, **event).data["should_dispense"]
    safety_stop("--scope", "all", "--reason", "Now")
    again = kitchen.cup(True, **event).data
    assert (again["should_dispense"], again["reason"]) == (False, "already_answered")


def test_another_stop_of_the_same_scope_takes_the_place_of_the_first(kitchen: Unit) -> None:
    safety_stop("--scope", "all", "--reason", "First")
    safety_stop("--scope", "all", "--reason", "Second")
    assert [stop["reason"] for stop in safety_stop()["standing"]] == ["Second"]
    assert SafetyStop.objects.count() == 2


def test_a_preview_stops_nothing(kitchen: Unit) -> None:
    told = safety_stop("--scope", "all", "--reason", "Try", "--dry-run")
    assert told == {"dispensers": Device.objects.count(), "dry_run": True}
    assert not SafetyStop.objects.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--scope", "all"),
        ("--scope", "all", "--value", "x", "--reason", "r"),
        ("--scope", "type", "--reason", "r"),
        ("--scope", "type", "--value", "rum", "--reason", "r"),
        ("--scope", "all", "--reason", "r", "--until", "tomorrow"),
        ("--scope", "all", "--reason", "r", "--until", "2020-01-01T00:00:00Z"),
        ("--scope", "all", "--reason", "x" * 501),
        ("--scope", "all", "--lift"),
        ("--scope", "world", "--reason", "r"),
    ],
)
@pytest.mark.django_db
def test_nonsense_is_refused_with_a_sentence(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError) as refused:
        safety_stop(*arguments)
    assert str(refused.value)
    assert not SafetyStop.objects.exists()


def test_before_the_first_migration_it_says_what_is_missing(db: None) -> None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL search_path TO nowhere")
        with pytest.raises(CommandError, match=r"run `manage.py migrate`\.$"):
            call_command("safety_stop")
        transaction.set_rollback(True)
