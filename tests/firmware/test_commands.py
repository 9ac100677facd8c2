"""The whole way of a release engineer, by the commands that they type."""

import json
import os
import stat
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from devices.firmware.models import FirmwareRelease, FirmwareRollout, FirmwareRolloutEvent
from tests import files
from tests.clients import Phone
from tests.firmware.conftest import HARDWARE, fleet, image_of, say

ROOT = Path(__file__).resolve().parent.parent.parent
SIGN = ("--key-id", "2026-a", "--hw", HARDWARE)


def run(*words: Any, **options: Any) -> dict[str, Any]:
    said = StringIO()
    call_command(*map(str, words), "--json", stdout=said, **options)
    found: dict[str, Any] = json.loads(said.getvalue())
    return found


@pytest.fixture
def folder(db: None, settings: Settings, tmp_path: Path) -> Path:
    files.use(settings, tmp_path)
    (tmp_path / "app.bin").write_bytes(image_of("2.2.0"))
    answer = run("firmware_key", "--key-id", "2026-a", "--output", tmp_path / "key.pem", "--unencrypted")
    key_id, _, key = answer["FIRMWARE_PUBLIC_KEYS"].partition(":")
    settings.FIRMWARE_PUBLIC_KEYS = {key_id: key}
    return tmp_path


def signed(folder: Path, fw: str = "2.2.0", counter: int = 12) -> Path:
    image = folder / "app.bin"
    run("firmware_sign", image, "--key", folder / "key.pem", *SIGN, "--fw", fw, "--counter", counter)
    return image


def test_from_the_key_to_the_units(folder: Path, alice: Phone) -> None:
    units = fleet(alice, 3)
    published = run("firmware_publish", signed(folder), "--notes-en", "Quieter motor")
    assert (published["release"], published["status"], published["counter"]) == ("2.2.0", "published", 12)
    made = run("firmware_rollout", "create", "--fw", "2.2.0", "--hw", HARDWARE, "--stages", "50,100")
    assert (made["status"], made["percent"], made["units"]) == ("draft", 50, 3)
    assert run("firmware_rollout", "start", "--hw", HARDWARE)["status"] == "running"
    assert run("firmware_rollout", "advance", "--hw", HARDWARE, "--reason", "Three of them")["percent"] == 100
    for unit in units:
        say(unit, unit.get("/iot/firmware/check").data["job_id"], "succeeded", version="2.2.0")
    watched = run("firmware_rollout", "status", "--hw", HARDWARE)
    assert (watched["units"], watched["updated"], watched["jobs"]) == (3, 3, {"succeeded": 3})
    assert (watched["stage_succeeded"], watched["stage_failed"]) == (3, 0)
    for act, status in (("pause", "paused"), ("resume", "running"), ("finish", "finished")):
        done = run("firmware_rollout", act, "--rollout", made["rollout"], "--reason", "Because", "--by", "eve")
        assert (done["status"], done["reason"]) == (status, "Because")
    assert list(FirmwareRolloutEvent.objects.order_by("pk").values_list("what", flat=True)) == [
        "create", "start", "stage 100%", "pause", "resume", "finish",
    ]  # fmt: skip
    assert FirmwareRolloutEvent.objects.latest("pk").by == "eve"
    assert [each["rollout"] for each in run("firmware_rollout", "status")["rollouts"]] == [made["rollout"]]


def test_a_dry_run_changes_nothing(folder: Path) -> None:
    image = signed(folder)
    assert run("firmware_publish", image, "--dry-run")["dry_run"] is True
    assert not FirmwareRelease.objects.exists()
    run("firmware_publish", image)
    create = ("firmware_rollout", "create", "--fw", "2.2.0", "--hw", HARDWARE)
    assert run(*create, "--dry-run")["stages"] == [1, 10, 50, 100]
    assert not FirmwareRollout.objects.exists()
    run(*create)
    assert run("firmware_rollout", "start", "--hw", HARDWARE, "--dry-run")["would"] == "start"
    assert (
        run("firmware_block", "--fw", "2.2.0", "--hw", HARDWARE, "--reason", "x", "--dry-run")["dry_run"] is True
    )
    assert (FirmwareRollout.objects.get().status, FirmwareRelease.objects.get().status) == ("draft", "published")


def test_what_is_refused_is_one_sentence(folder: Path) -> None:
    image = signed(folder)
    image.write_bytes(image.read_bytes()[:-1])
    with pytest.raises(CommandError, match="bytes instead of"):
        call_command("firmware_publish", str(image))
    image.write_bytes(image_of("2.2.0"))
    run("firmware_publish", image)
    signed(folder, "2.1.0", counter=12)
    for dry in ((), ("--dry-run",)):
        with pytest.raises(CommandError, match="must be above 12"):
            call_command("firmware_publish", str(image), *dry)
    for words, why in (
        (("firmware_publish", folder / "none.bin"), "none.bin"),
        (("firmware_publish", image, "--signed", image), "is no JSON"),
        (("firmware_rollout", "create", "--fw", "9.9", "--hw", "d1"), "no release 9.9 for d1"),
        (("firmware_rollout", "create", "--hw", "d1"), "Say which release"),
        (("firmware_rollout", "create", "--fw", "2.2.0", "--hw", "d1", "--stages", "1,x"), "percents"),
        (("firmware_rollout", "create", "--fw", "2.2.0", "--hw", "d1", "--stages", "50,10"), "more units"),
        (("firmware_rollout", "create", "--fw", "2.2.0", "--hw", "d1", "--at", "noon"), "ISO 8601"),
        (("firmware_rollout", "start"), "Say which one"),
        (("firmware_rollout", "start", "--hw", "d9"), "no rollout for d9"),
        (("firmware_rollout", "start", "--rollout", "x"), "no rollout x"),
        (("firmware_block", "--fw", "2.2.0", "--hw", "d1", "--reason", " "), "Say why"),
    ):
        with pytest.raises(CommandError, match=why):
            call_command(*map(str, words))


def test_a_blocked_release_halts_its_rollout(folder: Path) -> None:
    run("firmware_publish", signed(folder))
    made = run("firmware_rollout", "create", "--fw", "2.2.0", "--hw", HARDWARE)
    run("firmware_rollout", "start", "--hw", HARDWARE)
    blocked = run("firmware_block", "--fw", "2.2.0", "--hw", HARDWARE, "--reason", "Pours twice")
    assert blocked["halted"] == [made["rollout"]]
    with pytest.raises(CommandError, match="only a published release"):
        call_command("firmware_rollout", "resume", "--hw", HARDWARE, "--reason", "Again")


# --- beside the key --------------------------------------------------------------------------------


def test_signing_needs_no_settings_no_secrets_and_no_server(tmp_path: Path) -> None:
    """In production, where the server itself would not start without its secrets."""
    (tmp_path / "app.bin").write_bytes(image_of("2.2.0"))
    bare = {"PATH": os.environ["PATH"], "ENVIRONMENT": "production", "FIRMWARE_KEY_PASSPHRASE": "twelve letters"}

    def typed(*words: str) -> str:
        command = [sys.executable, str(ROOT / "manage.py"), *words]
        done = subprocess.run(command, cwd=tmp_path, env=bare, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    line = typed("firmware_key", "--key-id", "2026-a", "--output", "key.pem").strip()
    assert line.startswith("FIRMWARE_PUBLIC_KEYS=2026-a:")
    assert typed("firmware_key", "--key-id", "2026-a", "--public-of", "key.pem").strip() == line
    assert "BEGIN ENCRYPTED PRIVATE KEY" in (tmp_path / "key.pem").read_text()
    typed("firmware_sign", "app.bin", "--key", "key.pem", *SIGN, "--fw", "2.2.0", "--counter", "12")
    assert {path.name for path in tmp_path.iterdir()} == {"app.bin", "app.bin.signed.json", "key.pem"}


def test_a_key_is_for_its_owner_and_never_written_over(folder: Path) -> None:
    key = folder / "key.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes()
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("firmware_key", "--key-id", "b", "--output", str(key), "--unencrypted")
    assert key.read_bytes() == before


def test_keys_and_passphrases_that_do_not_fit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, locked = folder / "key.pem", folder / "locked.pem"
    make = ("firmware_key", "--key-id", "b", "--output", str(locked))
    monkeypatch.setattr("sys.stdin", StringIO())
    with pytest.raises(CommandError, match="set FIRMWARE_KEY_PASSPHRASE"):
        call_command(*make)
    monkeypatch.setenv("FIRMWARE_KEY_PASSPHRASE", "short")
    with pytest.raises(CommandError, match="at least 12"):
        call_command(*make)
    monkeypatch.setenv("FIRMWARE_KEY_PASSPHRASE", "twelve letters")
    call_command(*make, stdout=StringIO())
    monkeypatch.setenv("FIRMWARE_KEY_PASSPHRASE", "another one of them")
    (folder / "text").write_text("no key")
    sign = ("firmware_sign", str(folder / "app.bin"), *SIGN, "--fw", "2.2.0", "--counter", "1", "--key")
    for path, why in (
        (locked, "passphrase is wrong"),
        (folder / "text", "no private key"),
        (folder / "no", "read"),
    ):
        with pytest.raises(CommandError, match=why):
            call_command(*sign, str(path))
    with pytest.raises(CommandError, match="letters, digits"):
        call_command("firmware_key", "--key-id", "a/b", "--output", str(key))
    with pytest.raises(CommandError, match="counter must be"):
        call_command(*sign[:-1], "--counter", "0", "--key", str(key))


@pytest.mark.parametrize("name", ["key", "sign", "publish", "rollout", "block"])
def test_each_command_teaches(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        call_command(f"firmware_{name}", "--help")
    said = capsys.readouterr().out
    assert len(said) > 800
    assert "--json" in said
