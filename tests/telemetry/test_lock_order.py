"""Whoever locks several dispensers of a person locks them by ascending id, whatever else is to come."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction

from devices.models import Device
from tests import make
from tests.clients import Phone, Unit

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


def answer(unit: Unit, event: dict[str, Any]) -> Any:
    try:
        return unit.ask(unsynced=[event])
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
            asked = pool.submit(answer, kitchen, event)
            until_it_waits()
            Device.objects.select_for_update(nowait=True).get(pk=SECOND)
        assert asked.result(timeout=20).data["reason"] == "cup_not_emptied"
