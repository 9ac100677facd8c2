"""`delete_user` and `export_user`."""

import json
import uuid
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from accounts.models import User
from syncapi import archive, erasure
from syncapi.management.commands import export_user
from tests import files
from tests.clients import Phone, Unit


@pytest.fixture(autouse=True)
def folder(settings: Settings, tmp_path: Path) -> Path:
    return files.use(settings, tmp_path)


def said(command: str, *words: str) -> dict[str, Any]:
    out = StringIO()
    call_command(command, *words, "--json", stdout=out)
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


def test_delete_user_previews_asks_and_deletes(alice: Phone, bob: Phone, kitchen: Unit) -> None:
    kitchen.cup(True)
    seen = said("delete_user", "--email", "Alice@Example.com", "--dry-run")
    assert (seen["dry_run"], seen["devices"], seen["activity_logs"], seen["device_states"]) == (True, 1, 1, 1)
    with pytest.raises(CommandError, match="--yes"):
        said("delete_user", "--id", str(alice.user.pk))
    assert alice.get("/profile").status_code == 200

    done = said("delete_user", "--id", str(alice.user.pk), "--yes")
    assert (done["user"], done["devices"], done["activity_logs"]) == (str(alice.user.pk), 1, 1)
    assert done["sessions"] == seen["sessions"] == 1
    assert alice.get("/profile").error["details"] == {"reason": "account_deleted"}
    assert bob.get("/profile").status_code == 200
    with pytest.raises(CommandError, match="already"):
        said("delete_user", "--id", str(alice.user.pk), "--yes")


@pytest.mark.parametrize("who", [("--email", "nobody@example.com"), ("--id", str(uuid.uuid4()))])
def test_an_unknown_person_is_refused(db: None, tmp_path: Path, who: tuple[str, str]) -> None:
    with pytest.raises(CommandError, match="No account"):
        said("delete_user", *who, "--yes")
    with pytest.raises(CommandError, match="No account"):
        said("export_user", *who, "--output", str(tmp_path / "x.zip"))
    assert not (tmp_path / "x.zip").exists()


def test_nothing_is_deleted_of_whom_nobody_named(alice: Phone) -> None:
    with pytest.raises(CommandError):
        said("delete_user", "--yes")
    assert User.objects.get().deleted_at is None


def test_delete_user_tells_people_too(alice: Phone) -> None:
    out = StringIO()
    call_command("delete_user", "--email", "alice@example.com", "--yes", stdout=out)
    assert f"user: {alice.user.pk}" in out.getvalue()
    assert erasure.waiting() == [alice.user.pk]


def test_export_user_writes_a_genuine_zip_for_its_owner_only(alice: Phone, kitchen: Unit, tmp_path: Path) -> None:
    path = tmp_path / "alice.zip"
    done = said("export_user", "--email", "alice@example.com", "--output", str(path))
    assert (done["user"], done["bytes"]) == (str(alice.user.pk), path.stat().st_size)
    assert (done["profile.json"], done["devices.json"]) == (1, 1)
    assert path.stat().st_mode & 0o777 == 0o600
    assert said("export_user", "--verify", str(path)) == {"file": str(path), "genuine": True}
    with pytest.raises(CommandError, match="File exists"):
        said("export_user", "--id", str(alice.user.pk), "--output", str(path))

    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CommandError, match="changed"):
        said("export_user", "--verify", str(path))
    with pytest.raises(CommandError, match="No such file"):
        said("export_user", "--verify", str(tmp_path / "nothing.zip"))
    with pytest.raises(CommandError, match="--output"):
        said("export_user", "--id", str(alice.user.pk))


def test_nothing_is_left_of_an_export_that_broke(
    alice: Phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_args: Any, **_how: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(archive, "write", breaks)
    with pytest.raises(KeyboardInterrupt):
        export_user.write(alice.user, tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()
