"""What waits for a lock holds nothing that its holder wants, and looks again once it has it."""

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction

from devices.models import Device
from telemetry import manual
from tests import make
from tests.clients import Phone

FIRST, SECOND = (uuid.UUID(int=number) for number in (1, 2))


def until_it_waits() -> None:
    deadline = time.monotonic() + 20
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute("SELECT FROM pg_locks WHERE NOT granted")
            if cursor.rowcount:
                return
            time.sleep(0.02)
    raise AssertionError("nobody waits for a lock")


def apart(work: Callable[[], Any]) -> Any:
    """The result of the work, which runs in a thread and on a connection of its own."""
    try:
        return work()
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_a_request_with_a_journal_waits_for_a_household_without_holding_a_part_of_it() -> None:
    alice = Phone(make.person())
    alice.dispenser(id=FIRST, device_type="vitamin_d")
    kitchen = alice.dispenser(id=SECOND)
    event = {"id": str(uuid.uuid4()), "k": "dose", "d": {"outcome": "dispensed", "amount": 5}}
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            # As an entry by hand does, which locks them all.
            Device.objects.select_for_update().get(pk=FIRST)
            asked = pool.submit(apart, lambda: kitchen.ask(unsynced=[event]))
            until_it_waits()
            Device.objects.select_for_update(nowait=True).get(pk=SECOND)
        assert asked.result(timeout=20).data["reason"] == "cup_not_emptied"


@pytest.mark.django_db(transaction=True)
def test_an_entry_that_is_deleted_while_somebody_answers_it_is_gone() -> None:
    alice = Phone(make.person())
    kitchen = alice.dispenser()
    said = {"action": "dose_taken_manual", "device_id": str(kitchen.id)}
    entry = uuid.UUID(alice.post("/activities", said).data["id"])
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            manual.delete(entry, alice.user.id, timezone="Europe/Istanbul")
            answered = pool.submit(apart, lambda: alice.post(f"/activities/{entry}/resolve", {"outcome": "taken"}))
            until_it_waits()
        assert answered.result(timeout=20).status_code == 404
