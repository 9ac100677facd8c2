"""`manage.py seed_demo`: demo data, made once."""

import io
import json
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import time_machine
from django.core.management import CommandError, call_command

from accounts.models import User
from devices.models import Device
from notifications.models import Notification, NotificationSettings
from telemetry.models import ActivityLog
from telemetry.tasks import send_reminders
from tests.clients import Api, Unit
from tests.threads import together
from zinzino import clock
from zinzino.demo.seed import DEMO, PASSWORD, STAFF, seed


@pytest.fixture(autouse=True)
def _data_dir(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path


def command(*words: str) -> str:
    out = io.StringIO()
    call_command("seed_demo", *words, stdout=out)
    return out.getvalue()


def kept(tmp_path: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((tmp_path / "demo.json").read_text())
    return found


def unit(said: dict[str, str]) -> Unit:
    return Unit(UUID(said["device_id"]), said["device_token"])


def signed_in(email: str = DEMO) -> Api:
    answer = Api().post("/auth/login", {"email": email, "password": PASSWORD})
    return Api(answer.data["token"])


@pytest.fixture
def noon() -> Iterator[None]:
    """In Istanbul, yesterday. Before midnight the same doses fall into one day less."""
    with time_machine.travel(clock.now().replace(hour=9, minute=0) - timedelta(days=1), tick=False):
        yield


def test_the_history_shows_in_every_list(db: None, noon: None) -> None:
    command()
    phone = signed_in()
    kitchen, bedroom = phone.get("/devices").data
    assert [kitchen["device_type"], bedroom["device_type"]] == ["fish_oil", "vitamin_d"]
    assert (kitchen["total_doses_dispensed"], bedroom["total_doses_dispensed"]) == (13, 14)
    details = phone.get(f"/devices/{bedroom['id']}").data
    assert details["statistics"] == {"daily_average": 0.9, "weekly_total": 6, "monthly_total": 14}
    shown = phone.get("/notifications").data
    types = [row["type"] for row in shown["notifications"]]
    assert [each for each in types if each != "achievement"] == ["low_supplement", "low_battery"]
    codes = {row["metadata"]["code"] for row in shown["notifications"] if row["type"] == "achievement"}
    assert codes == {"first_dose", "streak_7"}
    assert phone.get("/notifications/unread-count").data["by_type"]["low_supplement"] == 1
    history = phone.get(f"/devices/{kitchen['id']}/history").data["activities"]
    assert {row["confirmation"] for row in history if row["action"] == "dose_dispensed"} == {"assumed"}
    full = phone.post("/sync/full", {}).data
    assert (len(full["devices"]), len(full["activity_logs"]), full["has_more"]) == (2, 29, False)


def test_the_first_dispenser_pours_today_with_its_token(db: None, tmp_path: Path) -> None:
    command()
    file = tmp_path / "demo.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    answer = unit(kept(tmp_path)).cup(True).data
    assert (answer["should_dispense"], answer["dispense_amount"]) == (True, "5ml")


@pytest.mark.parametrize("hour", [0, 12, 22])
def test_it_can_be_made_at_any_hour(db: None, hour: int) -> None:
    seed(now=datetime(2026, 3, 2, hour, 30, tzinfo=UTC))
    doses = Device.objects.order_by("created_at").values_list("total_doses_dispensed", flat=True)
    assert list(doses) == [13, 14]


def test_no_reminder_of_the_fortnight_is_late(db: None, noon: None, caplog: pytest.LogCaptureFixture) -> None:
    command()
    told = Notification.objects.filter(type="reminder").count()
    assert send_reminders() == 0
    assert "late" not in caplog.text
    assert Notification.objects.filter(type="reminder").count() == told
    next_at = NotificationSettings.objects.get(user__email=DEMO).next_reminder_at
    assert next_at is not None
    assert clock.now() < next_at < clock.now() + timedelta(days=1)


def test_staff_can_enter_the_back_office(db: None) -> None:
    command()
    staff = User.objects.get(email=STAFF)
    assert (staff.is_staff, staff.is_superuser, staff.check_password(PASSWORD)) == (True, True, True)


def test_a_second_time_changes_nothing(db: None, tmp_path: Path) -> None:
    command()
    before = everything(), (tmp_path / "demo.json").read_text()
    assert command() == "demo data: nothing to do\n"
    assert (everything(), (tmp_path / "demo.json").read_text()) == before


def everything() -> list[int]:
    return [model.objects.count() for model in (User, Device, ActivityLog, Notification)]


def test_a_dry_run_makes_nothing(db: None, tmp_path: Path) -> None:
    answer = json.loads(command("--dry-run", "--json"))
    assert (answer["made"], answer["dry_run"]) == ([STAFF, DEMO, "demo.json"], True)
    assert everything() == [0, 0, 0, 0]
    assert not (tmp_path / "demo.json").exists()


DAMAGES = ("", "{", "[]", '{"device_id": 1}', '{"device_token": 7}', '{"device_token": "x"}')


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_lost_or_foreign_file_is_written_anew(db: None, tmp_path: Path, damage: str) -> None:
    command()
    first = kept(tmp_path)
    (tmp_path / "demo.json").write_text(damage)
    assert command() == "made demo.json\n"
    assert kept(tmp_path)["device_id"] == first["device_id"]
    assert unit(kept(tmp_path)).status().status_code == 200
    assert unit(first).status().status_code == 401


def test_a_person_who_removed_the_dispensers_keeps_it_so(db: None, tmp_path: Path) -> None:
    command()
    Device.objects.all().delete()
    (tmp_path / "demo.json").unlink()
    assert command() == "demo data: nothing to do\n"
    assert not (tmp_path / "demo.json").exists()


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_production_never_has_demo_accounts(db: None, settings: Any, environment: str) -> None:
    settings.ENVIRONMENT, settings.PRODUCTION = environment, True
    with pytest.raises(CommandError, match=f"never made in {environment}"):
        command()
    assert not User.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_that_start_together_make_it_once(tmp_path: Path) -> None:
    made = together(lambda _: seed(now=clock.now()).made, range(3))
    assert sorted(made, key=len) == [[], [], [STAFF, DEMO, "demo.json"]]
    assert everything()[:2] == [2, 2]


@pytest.mark.parametrize("mode", ["registry", "code"])
def test_it_is_made_whatever_adding_a_dispenser_takes(db: None, settings: Any, mode: str) -> None:
    settings.DEVICE_CLAIM_MODE = mode
    command()
    assert Device.objects.count() == 2
