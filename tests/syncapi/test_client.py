"""The reference client where its line, or its server, does not do as it should."""

from typing import Any

import pytest
from pytest_django import Settings

from examples import sync_client
from examples.sync_client import Refused
from telemetry.models import ActivityLog
from tests.clients import Phone, Unit
from tests.syncapi.histories.world import truth
from tests.syncapi.phone import SyncedPhone

pytestmark = pytest.mark.django_db(transaction=True)


class Shaky(SyncedPhone):
    """Its line breaks after so many answers."""

    left = 10**6

    def carry(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if self.left == 0:
            raise ConnectionResetError
        self.left -= 1
        return super().carry(method, path, body)


def test_a_long_copy_goes_on_where_it_was_interrupted(alice: Phone, kitchen: Unit, settings: Settings) -> None:
    for level in (5, 50) * 6:
        kitchen.status(battery_level=level)
    settings.SYNC_PAGE_ROWS = 2
    phone = Shaky(alice)
    phone.left = 3
    with pytest.raises(ConnectionResetError):
        phone.sync()
    assert (phone.last_sync, phone.rows("notification")) == (None, {})
    first = [page["sync_timestamp"] for page in phone.pages]
    kitchen.status(battery_level=5)
    ActivityLog.objects.latest("timestamp").delete()

    phone.left = 10**6
    phone.fetch_all()
    assert {page["sync_timestamp"] for page in phone.pages} == {first[0]}
    assert len({page["cursor"] for page in phone.pages}) == len(phone.pages)
    phone.sync()
    assert phone.copy == truth(alice.user.pk)
    assert phone.verified()

    phone.pages.clear()
    phone.fetch_all()
    assert phone.pages[0]["profile"] is not None


def test_a_client_waits_for_as_long_as_it_is_asked_to(
    alice: Phone, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"sync": 2}
    phone = SyncedPhone(alice)
    slept: list[float] = []
    monkeypatch.setattr(sync_client.time, "sleep", slept.append)
    phone.sync()
    with pytest.raises(Refused) as refused:
        phone.sync()
    assert (refused.value.status, refused.value.is_worth_another_try) == (429, True)
    refused.value.wait()
    asked_for = refused.value.error["details"]["retry_after"]
    assert 0 < asked_for <= slept[0] <= asked_for + 1
    assert not Refused(422, {}).is_worth_another_try
