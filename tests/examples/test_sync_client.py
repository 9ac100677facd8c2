"""The reference client: whatever is lost on the way or crashes, its copy and its outbox come out right."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from devices.models import Device
from examples import sync_client
from examples.sync_client import Refused, SyncClient
from syncapi.models import SyncMutation
from telemetry.models import ActivityLog
from tests import make
from tests.clients import Phone, Unit
from tests.syncapi.phone import SyncedPhone
from zinzino import clock

pytestmark = pytest.mark.django_db(transaction=True)


class Flaky(SyncedPhone):
    """Loses answers, or dies between an answer and the end of its being applied, as often as it is told; its line
    breaks after so many requests."""

    lost = 0
    crashes = 0

    left = 10**6

    def carry(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if self.left == 0:
            raise ConnectionResetError
        self.left -= 1
        answer = super().carry(method, path, body)
        if self.lost:
            self.lost -= 1
            raise TimeoutError
        return answer

    def _remember(self, name: str, value: str | None) -> None:
        if self.crashes and name == "last_sync":
            self.crashes -= 1
            raise sqlite3.OperationalError("the phone has no power left")
        super()._remember(name, value)


@pytest.fixture
def phone(alice: Phone, kitchen: Unit) -> Flaky:
    phone = Flaky(alice)
    phone.sync()
    return phone


def settled(phone: SyncedPhone) -> None:
    assert phone.copy == SyncedPhone(phone.api).full()
    assert phone.verified()


def test_an_edit_shows_at_once_and_stays_until_it_is_a_row(phone: Flaky, kitchen: Unit) -> None:
    id = str(kitchen.id)
    phone.edit("device", "update", id, device_name="Salon")
    assert phone.shown("device")[id]["device_name"] == "Salon"
    assert phone.rows("device")[id]["device_name"] == "Mutfak Dispenseri"
    phone.sync()
    assert phone.shown("device") == phone.rows("device")
    assert phone.rows("device")[id]["device_name"] == "Salon"
    phone.edit("device", "delete", id)
    assert phone.shown("device") == {}
    settled(phone)


def test_an_edit_is_never_out_of_sight_between_two_pages(phone: Flaky, kitchen: Unit, settings: Settings) -> None:
    for level in (5, 50, 5, 50):
        kitchen.status(battery_level=level)
    settings.SYNC_PAGE_ROWS = 1
    phone.edit("device", "update", str(kitchen.id), device_name="Salon")
    seen = set()
    more = True
    while more:
        more = phone.next_page()
        seen.add(phone.shown("device")[str(kitchen.id)]["device_name"])
    assert seen == {"Salon"}
    settled(phone)


@pytest.mark.parametrize("fault", ["lost", "crashes"])
def test_a_change_takes_effect_once_whatever_happens_to_the_answer(
    phone: Flaky, kitchen: Unit, fault: str
) -> None:
    phone.edit("device", "update", str(kitchen.id), device_name="Salon")
    setattr(phone, fault, 2)
    for _ in range(2):
        with pytest.raises((TimeoutError, sqlite3.OperationalError)):
            phone.sync()
    phone.sync()
    assert phone.pages[-1]["applied"][0]["status"] == "duplicate"
    assert SyncMutation.objects.count() == 1
    assert (phone.waiting(), phone.problems()) == ([], [])
    settled(phone)


def test_a_crash_in_the_middle_of_a_full_sync_leaves_the_old_copy(
    phone: Flaky, kitchen: Unit, settings: Settings
) -> None:
    before = phone.copy
    for level in (5, 50, 5):
        kitchen.status(battery_level=level)
    settings.SYNC_PAGE_ROWS = 2
    phone.crashes = 1
    with pytest.raises(sqlite3.OperationalError):
        phone.fetch_all()
    assert phone.copy == before
    phone.sync()
    settled(phone)


def test_a_long_copy_goes_on_where_it_was_interrupted(alice: Phone, kitchen: Unit, settings: Settings) -> None:
    for level in (5, 50) * 6:
        kitchen.status(battery_level=level)
    settings.SYNC_PAGE_ROWS = 2
    phone = Flaky(alice)
    phone.left = 3
    with pytest.raises(ConnectionResetError):
        phone.sync()
    assert (phone.last_sync, phone.rows("notification")) == (None, {})
    kitchen.status(battery_level=5)
    ActivityLog.objects.latest("timestamp").delete()

    phone.left = 100
    phone.fetch_all()
    assert len({page["sync_timestamp"] for page in phone.pages}) == 1
    assert len({page["cursor"] for page in phone.pages}) == len(phone.pages) > 4
    phone.sync()
    settled(phone)
    phone.pages.clear()
    phone.fetch_all()
    assert phone.pages[0]["profile"] is not None


def test_it_waits_for_as_long_as_it_is_asked_to(
    phone: Flaky, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"sync": 1}
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    with pytest.raises(Refused, match="429") as refused:
        phone.sync()
    assert refused.value.is_worth_another_try
    refused.value.wait()
    asked_for = refused.value.error["details"]["retry_after"]
    assert 0 < asked_for <= slept[0] <= asked_for + 1
    assert not Refused(422, {}).is_worth_another_try


def test_the_copy_survives_the_app(alice: Phone, kitchen: Unit, tmp_path: Path) -> None:
    path = str(tmp_path / "copy.sqlite")
    first = SyncedPhone(alice, path)
    first.sync()
    first.edit("device", "update", str(kitchen.id), device_name="Salon")
    first.db.close()
    again = SyncedPhone(alice, path)
    assert again.client_id == first.client_id
    again.sync()
    assert Device.objects.get().device_name == "Salon"
    settled(again)


def test_what_cannot_be_done_is_kept_for_people_to_see(phone: Flaky, kitchen: Unit) -> None:
    phone.edit("device", "update", str(kitchen.id), device_name="Salon")
    phone.edit("device", "update", str(kitchen.id), device_name="")
    phone.edit("profile", "update", full_name="Alice A.")
    phone.api.put("/profile", {"full_name": "A. Aydın"})
    phone.sync()
    [(first, conflict), (second, rejected)] = phone.problems()
    assert (first, conflict["fields"]["full_name"]["server"]) == ("conflicts", "A. Aydın")
    assert (second, rejected["code"]) == ("rejected", "VALIDATION_ERROR")
    assert phone.waiting() == []
    settled(phone)


def test_a_lost_base_is_fetched_anew_and_its_edits_conflict(
    phone: Flaky, kitchen: Unit, settings: Settings
) -> None:
    phone.edit("device", "update", str(kitchen.id), device_name="Salon")
    while clock.iso(clock.now()) <= str(phone.last_sync):
        pass
    settings.SYNC_EPOCH = clock.now()
    phone.sync()
    assert [outcome for outcome, _ in phone.problems()] == ["conflicts"]
    assert Device.objects.get().device_name == "Mutfak Dispenseri"
    settled(phone)


def test_many_changes_go_in_portions(phone: Flaky, kitchen: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(130):
        phone.edit("device", "update", str(kitchen.id), device_name=f"Name {number}")
    phone.pages.clear()
    phone.sync()
    assert [len(page["applied"]) for page in phone.pages] == [100, 30]
    assert (phone.problems(), Device.objects.get().device_name) == ([], "Name 129")

    monkeypatch.setattr(sync_client, "MOST_BYTES", 500)
    for number in range(3):
        phone.edit("device", "update", str(kitchen.id), location=f"{number}" * 200)
    assert len(phone.waiting()) == 1


def test_a_copy_that_lost_a_row_is_found_out(phone: Flaky, kitchen: Unit) -> None:
    kitchen.status(battery_level=5)
    phone.sync()
    assert phone.verified()
    phone.db.execute("DELETE FROM copy WHERE kind = 'notification'")
    assert not phone.verified()


def test_other_refusals_are_the_app_s(phone: Flaky) -> None:
    phone.api.token = "spent"
    with pytest.raises(Refused, match="401") as refused:
        phone.sync()
    assert refused.value.reason == "token_invalid"


@pytest.mark.enable_socket
def test_it_runs_against_a_server(
    live_server: LiveServer, alice: Phone, kitchen: Unit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "copy.sqlite")
    sync_client.main(f"{live_server.url}/v1", "alice@example.com", make.PASSWORD, path)
    told = json.loads(capsys.readouterr().out)
    assert told["verified"] is True
    assert (told["device"], told["state"], told["profile"], told["notification_settings"]) == (1, 1, 1, 1)
    with pytest.raises(Refused, match="404"):
        SyncClient(":memory:", sync_client.over_http(f"{live_server.url}/v2")).sync()
