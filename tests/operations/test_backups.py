"""Backups: that they are whole, that they restore, and what a restore sets off."""

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import User
from telemetry.models import Dispense
from tests.clients import Phone, Unit
from zinzino import backups, clock

pytestmark = pytest.mark.django_db(transaction=True)


def said(command: str, *words: object) -> dict[str, Any]:
    out = StringIO()
    call_command(command, *map(str, words), "--json", stdout=out, stderr=StringIO())
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


def databases() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE 'zinzino_check%'")
        return [name for (name,) in cursor.fetchall()]


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    yield
    assert databases() == []


def test_a_backup_restores_and_proves_itself(alice: Phone, kitchen: Unit, tmp_path: Path) -> None:
    kitchen.confirm(kitchen.ask().data["dispense_id"], "dispensed")
    made = said("backup_db", "--folder", tmp_path)
    dump = Path(made["file"])
    assert (dump.stat().st_mode & 0o777, dump.stat().st_size) == (0o600, made["bytes"])
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []
    User.objects.filter(pk=alice.user.pk).update(full_name="After the backup")
    proved = said("restore_check", "--folder", tmp_path)
    assert proved["taken_at"] == made["taken_at"]
    assert set(backups.ages_s(now=clock.now())) == {"backup_db", "restore_check"}
    assert (proved["rows"]["users"], proved["rows"]["devices"]) == (1, 1)
    assert User.objects.get().full_name == "After the backup"


def test_a_backup_whose_tables_contradict_each_other_is_refused(kitchen: Unit, tmp_path: Path) -> None:
    kitchen.confirm(kitchen.ask().data["dispense_id"], "dispensed")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM sync_change WHERE kind = 'device'")
    said("backup_db", "--folder", tmp_path)
    with pytest.raises(CommandError, match="The change log differs from the tables"):
        said("restore_check", "--folder", tmp_path)
    assert set(backups.ages_s(now=clock.now())) == {"backup_db"}


def test_a_dump_that_is_not_what_was_written_is_refused(alice: Phone, tmp_path: Path) -> None:
    dump = Path(said("backup_db", "--folder", tmp_path)["file"])
    dump.write_bytes(dump.read_bytes()[:-1] + b"!")
    with pytest.raises(CommandError, match="its sha256 is another"):
        said("restore_check", dump)
    with pytest.raises(CommandError, match="does not describe a dump"):
        said("restore_check", tmp_path / "zinzino-20260101T000000Z.dump")
    with pytest.raises(CommandError, match="There is no backup in"):
        said("restore_check", "--folder", tmp_path / "elsewhere")


def test_a_backup_that_fails_leaves_nothing_and_names_no_password(
    alice: Phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "PASSWORD", "hush-hush")
    real = connection.get_connection_params
    monkeypatch.setattr(connection, "get_connection_params", lambda: real() | {"dbname": "no_such_database"})
    with pytest.raises(CommandError, match="no_such_database") as refusal:
        said("backup_db", "--folder", tmp_path)
    assert "hush-hush" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_only_the_newest_are_kept(alice: Phone, tmp_path: Path, time_machine: Any) -> None:
    for hour in range(3):
        time_machine.move_to(f"2026-05-01T0{hour}:00:00Z")
        said("backup_db", "--folder", tmp_path)
    time_machine.move_to("2026-05-01T03:00:00Z")
    preview = said("backup_db", "--folder", tmp_path, "--keep", 1, "--dry-run")
    assert [Path(name).stem for name in preview["deleted"]] == [
        "zinzino-20260501T010000Z",
        "zinzino-20260501T000000Z",
    ]
    assert len(backups.made(tmp_path)) == 3
    said("backup_db", "--folder", tmp_path, "--keep", 2)
    assert [each.dump.stem for each in backups.made(tmp_path)] == [
        "zinzino-20260501T030000Z",
        "zinzino-20260501T020000Z",
    ]
    assert len(list(tmp_path.iterdir())) == 4


def test_a_restored_database_pours_nothing_until_somebody_has_looked(
    alice: Phone, kitchen: Unit, tmp_path: Path
) -> None:
    dump = said("backup_db", "--folder", tmp_path)["file"]
    with pytest.raises(CommandError, match="has tables"):
        said("restore_db", dump)
    with backups.scratch_database():
        restored = said("restore_db", dump)
        assert restored["set"].startswith("SYNC_EPOCH=2")
        answer = kitchen.cup(placed=True)
        assert (answer.data["should_dispense"], answer.data["reason"]) == (False, "safety_stop")
        call_command("safety_stop", "--scope", "all", "--lift", stdout=StringIO())
        assert kitchen.ask().data["should_dispense"] is True
        assert Dispense.objects.count() == 1
    assert Dispense.objects.count() == 0
