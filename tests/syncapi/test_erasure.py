"""The job behind a deletion: nothing that names the person is left, in no table and no folder (api.md 2)."""

import threading
import time
import uuid
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import OperationalError, connection
from pytest_django import Settings

from accounts.models import User
from devices.models import Device
from notifications.models import Notification
from syncapi import erasure, exports, sql, tasks
from telemetry.models import ActivityLog, DeviceState
from tests import everything, files, make
from tests.clients import Phone, Unit
from tests.syncapi.test_deletion import GOOD, woken  # noqa: F401  (a fixture for every test here too)
from tests.threads import together
from zinzino import clock
from zinzino.ids import uuid7

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def folder(settings: Settings, tmp_path: Path) -> Path:
    return files.use(settings, tmp_path)


def lived_in(phone: Phone) -> list[uuid.UUID]:
    """Everything that a household leaves behind; answers the ids of its dispensers, the removed one last."""
    kitchen, removed = phone.dispenser(), phone.dispenser(device_type="vitamin_d")
    for unit in (kitchen, removed):
        unit.cup(True)
        unit.status(battery_level=5)
        unit.cup(False)
    phone.delete(f"/devices/{removed.id}")
    files.upload(phone, files.photo())
    phone.post("/sync/full", {"client_id": str(uuid.uuid4())})
    phone.post("/profile/export", HTTP_IDEMPOTENCY_KEY=str(uuid.uuid4()))
    exports.make_waiting(now=clock.now())
    everything.fill(User.objects.get(pk=phone.user.pk), Device.objects.get(pk=kitchen.id))
    return [kitchen.id, removed.id]


def needles(phone: Phone, devices: list[uuid.UUID]) -> list[Any]:
    own = Device.objects.filter(user=phone.user).values_list("mac_address", "serial_number")
    said = [each for pair in own for each in pair]
    return [phone.user.pk, *devices, phone.user.email, phone.user.full_name, *said]


def settled(now: datetime) -> datetime:
    return now + erasure.SETTLED + timedelta(seconds=1)


def test_nothing_in_any_table_names_the_person_after_the_job(folder: Path) -> None:
    alice, bob = Phone(make.person("alice@example.com", full_name="Alice Aydın")), Phone(make.person())
    hers, his = lived_in(alice), lived_in(bob)
    known, of_bob = needles(alice, hers), needles(bob, his)
    assert [where for where, rows in everything.rows_naming(alice.user.pk, hers).items() if not rows] == []
    before, his_files = everything.mentions(*of_bob), len(files.there(folder)) // 2

    alice.delete("/profile", GOOD)
    tasks.erase_accounts()
    left = {where for where, rows in everything.rows_naming(alice.user.pk, hers).items() if rows}
    assert left <= {(table, "user_id") for table in AFTER_THE_FIRST_PASS}
    assert "alice@example.com" not in str(everything.mentions("alice@example.com"))
    assert len(files.there(folder)) == his_files

    erasure.sweep(now=settled(clock.now()))
    assert everything.mentions(*known) == {}
    assert set(everything.rows_naming(alice.user.pk, hers).values()) == {0}
    assert everything.mentions(*of_bob) == before
    assert len(files.there(folder)) == his_files == 3


# Small rows of a nobody, which go with the row of the person two minutes later.
AFTER_THE_FIRST_PASS = {
    "notification_settings",
    "sync_clock",
    "sync_change",
    "live_watch",
    "users_groups",
    "users_user_permissions",
    "django_admin_log",
}


def test_the_job_says_what_it_removed(folder: Path) -> None:
    alice = Phone(make.person())
    lived_in(alice)
    alice.delete("/profile", GOOD)
    counts = erasure.counted(alice.user.pk)
    gone = erasure.erase(alice.user.pk, now=settled(clock.now()))
    assert gone["files"] == 3
    assert (gone["devices"], gone["users"], gone["device_states"]) == (1, 1, 4)
    assert {name: gone[name] for name in counts if name != "sessions"} == {
        name: rows for name, rows in counts.items() if name != "sessions"
    }
    assert sum(erasure.erase(alice.user.pk, now=settled(clock.now())).values()) == 0


def test_the_living_are_never_erased(folder: Path) -> None:
    alice = Phone(make.person())
    unit = alice.dispenser()
    unit.cup(True)
    assert sum(erasure.erase(alice.user.pk, now=clock.now()).values()) == 0
    assert erasure.sweep(now=settled(clock.now())) == 0
    assert alice.get("/profile").status_code == 200
    assert ActivityLog.objects.count() == 1


def test_long_histories_go_in_chunks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = Phone(make.person())
    unit, now = alice.dispenser(), clock.now()
    moments = [now - timedelta(hours=number) for number in range(95)]
    # Rows of one moment cannot be told apart by their time, and go together.
    moments += [now] * 5
    ActivityLog.objects.bulk_create(
        ActivityLog(id=uuid7(at), user_id=alice.user.pk, action="note", local_date=at.date(), timestamp=at)
        for at in moments
    )
    DeviceState.objects.bulk_create(
        DeviceState(id=uuid7(at), device_id=unit.id, cup_placed=True, timestamp=at, received_at=at)
        for at in moments
    )
    Notification.objects.bulk_create(
        Notification(id=uuid7(at), user=alice.user, type="reminder", dedupe_key=str(number), created_at=at)
        for number, at in enumerate(moments)
    )
    monkeypatch.setattr(erasure, "CHUNK_ROWS", 10)
    sizes: Counter[str] = Counter()
    for name in ("delete_chunk", "delete_history"):
        real = getattr(sql, name)

        def counted(table: str, *rest: Any, real: Any = real) -> int:
            rows: int = real(table, *rest)
            assert rows <= 16
            sizes[table] += rows > 0
            return rows

        monkeypatch.setattr(sql, name, counted)
    alice.delete("/profile", GOOD)
    gone = erasure.erase(alice.user.pk, now=settled(clock.now()))
    assert (gone["activity_logs"], gone["device_states"], gone["notifications"]) == (100, 100, 100)
    assert min(sizes[name] for name in ("activity_logs", "device_states", "notifications")) >= 9


def test_an_interrupted_job_is_finished_by_the_next(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = Phone(make.person())
    hers = lived_in(alice)
    known = needles(alice, hers)
    alice.delete("/profile", GOOD)

    class Killed(BaseException):
        pass

    real = erasure.step
    for stop_at in range(1, 40):
        steps = iter(range(1, 1_000))

        def killed(user_id: uuid.UUID, work: Any, *, steps: Any = steps, stop_at: int = stop_at) -> int:
            if next(steps) >= stop_at:
                raise Killed
            return real(user_id, work)

        monkeypatch.setattr(erasure, "step", killed)
        try:
            erasure.erase(alice.user.pk, now=settled(clock.now()))
            break
        except Killed:
            pass
    assert stop_at > 10
    assert everything.mentions(*known) == {}
    assert files.there(folder) == []


def test_files_that_cannot_be_removed_now_are_removed_later(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob = Phone(make.person()), Phone(make.person())
    for phone in (alice, bob):
        files.upload(phone, files.photo())
        phone.delete("/profile", GOOD)
    real = FileSystemStorage.delete

    def refused(storage: Any, name: str) -> None:
        if str(alice.user.pk) in name:
            raise PermissionError
        real(storage, name)

    with monkeypatch.context() as patch:
        patch.setattr(FileSystemStorage, "delete", refused)
        assert erasure.sweep(now=settled(clock.now())) == 1
    assert [user.pk for user in User.objects.all()] == [alice.user.pk]
    assert erasure.sweep(now=settled(clock.now())) == 1
    assert files.there(folder) == []
    assert not User.objects.exists()


def test_a_file_that_a_killed_upload_left_goes_too(folder: Path) -> None:
    alice = Phone(make.person())
    default_storage.save(f"profiles/{alice.user.pk}/left.jpg", ContentFile(b"x"))
    exports.store().save(f"exports/{alice.user.pk}/left.zip", ContentFile(b"x"))
    alice.delete("/profile", GOOD)
    erasure.sweep(now=clock.now())
    assert [path for path in folder.rglob("*") if str(alice.user.pk) in path.name] == []


def test_four_workers_and_live_dispensers_do_not_get_in_each_other_s_way(folder: Path) -> None:
    people = [Phone(make.person()) for _ in range(3)]
    units = [phone.dispenser(device_type=kind) for phone in people for kind in ("fish_oil", "vitamin_d")]
    for unit in units:
        unit.cup(True)
    ids = [phone.user.pk for phone in people]

    def work(who: Any) -> list[int]:
        if isinstance(who, Unit):
            return [Unit(who.id, who.token).cup(turn % 2 == 0).status_code for turn in range(25)]
        if who == "deletes":
            return [phone.delete("/profile", GOOD).status_code for phone in people]
        for _ in range(25):
            erasure.sweep(now=settled(clock.now()))
        return []

    seen = together(work, [*units, "deletes", "sweeps", "sweeps", "sweeps"])
    assert {status for each in seen for status in each} <= {200, 401}
    erasure.sweep(now=settled(clock.now()))
    assert everything.mentions(*ids, *(unit.id for unit in units)) == {}


def test_a_sync_that_locks_the_other_way_round_is_not_harmed(folder: Path) -> None:
    """It holds the clock and waits for the person's row; the deletion holds the row and waits for the clock."""
    alice = Phone(make.person())
    failures: list[Exception] = []

    def close() -> None:
        try:
            erasure.close(alice.user.pk, now=clock.now())
        except Exception as error:  # noqa: BLE001
            failures.append(error)
        finally:
            connection.close()

    with psycopg.connect(**connection.get_connection_params()) as phone:
        # As `sql.TICK` does; its foreign key is checked at COMMIT.
        phone.execute("SELECT sync_tick(%s)", (alice.user.pk,))
        phone.execute(
            "INSERT INTO sync_metadata (user_id, client_id, device_info, sync_status, created_at)"
            " VALUES (%s, %s, '{}', 'success', now())",
            (alice.user.pk, uuid.uuid4()),
        )
        deletion = threading.Thread(target=close)
        deletion.start()
        time.sleep(0.2)
        phone.commit()
    deletion.join(timeout=20)
    assert failures == []
    assert User.objects.get().deleted_at is not None


def test_an_account_that_stays_busy_answers_503_and_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = Phone(make.person())
    monkeypatch.setattr(erasure, "LOCK_TIMEOUT_MS", 20)
    monkeypatch.setattr(erasure, "TRIES", 2)
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute("SELECT FROM users WHERE id = %s FOR UPDATE", (alice.user.pk,))
        answer = alice.delete("/profile", GOOD)
    assert (answer.status_code, answer.error["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert alice.get("/profile").status_code == 200


def test_the_sweep_goes_on_after_a_failure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    people = [Phone(make.person()) for _ in range(2)]
    for phone in people:
        phone.delete("/profile", GOOD)
    real = erasure.erase

    def fails_first(user_id: uuid.UUID, **how: Any) -> Any:
        if user_id == people[0].user.pk:
            raise OperationalError
        return real(user_id, **how)

    monkeypatch.setattr(erasure, "erase", fails_first)
    assert erasure.sweep(now=settled(clock.now())) == 1
    assert User.objects.get().pk == people[0].user.pk
