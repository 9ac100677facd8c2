"""The reference dispenser updates itself against the server, and refuses whatever it cannot prove."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import time_machine

from devices.firmware import jobs, releases, rollouts
from devices.firmware.models import FirmwareJob, FirmwareRelease, FirmwareRollout
from devices.models import Device
from examples.dispenser import Dispenser
from examples.firmware import Updater
from tests.clients import Api, Phone, Unit
from tests.examples.test_dispenser import World
from tests.firmware.conftest import BY, HARDWARE, Engineer, image_of, rolled_out
from zinzino import clock

IMAGE = image_of("2.2.0")


class Field(World):
    """Where a unit stands, with lines that break."""

    def __init__(self, folder: Path, keys: dict[str, bytes]) -> None:
        super().__init__()
        self.folder, self.keys = folder, keys
        self.fetched: list[tuple[str, int]] = []
        # After so many bytes the line breaks, each time once.
        self.breaks: list[int] = []
        # All that there is of the image.
        self.cut_at: int | None = None

    def fetch(self, url: str, headers: dict[str, str]) -> tuple[int, dict[str, str], Iterator[bytes]]:
        sent = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
        answer = Api(self.booted.state["token"]).get(url.partition("/v1")[2], **sent)
        said = {name.lower(): value for name, value in answer.headers.items()}
        status, data = answer.status_code, answer.file
        if self.cut_at is not None:
            start = len(IMAGE) - len(data)
            beyond = start >= self.cut_at and (start or self.fetched)
            status, data = (416, b"") if beyond else (status, IMAGE[start : self.cut_at])
        self.fetched.append((headers.get("Range", ""), status))
        return status, said, self.pieces(data)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        until = self.breaks.pop(0) if self.breaks else len(data)
        for start in range(0, min(until, len(data)), 4096):
            yield data[start : min(start + 4096, until)]
        if until < len(data):
            raise OSError("the line broke")

    def boot(self) -> Updater:
        self.booted = self.unit(self.folder / "flash")
        return Updater(self.booted, self.fetch, keys=self.keys, hardware=HARDWARE, slot=self.folder / "slot")


@pytest.fixture
def field(alice: Phone, engineer: Engineer, tmp_path: Path) -> Field:
    field = Field(tmp_path, {engineer.key_id: engineer.public})
    Dispenser.set_up(tmp_path / "flash", alice.dispenser().token)
    updater = field.boot()
    updater.kept |= {"version": "2.1.0", "counter": 11}
    updater.unit.write()
    field.boot().unit.hello()
    return field


def job() -> tuple[str, str | None]:
    found = FirmwareJob.objects.get()
    return found.status, found.code


def updated(field: Field) -> Updater:
    updater = field.boot()
    assert updater.look()
    assert updater.update() is True
    return field.boot()


def test_it_updates_itself_and_says_so(field: Field, rollout: FirmwareRollout) -> None:
    again = updated(field)
    assert job() == ("rebooting", None)
    assert again.running == "2.2.0"
    assert (field.folder / "slot").read_bytes() == IMAGE
    assert again.after_boot(lambda: True) is True
    assert (again.kept, job()) == ({"version": "2.2.0", "counter": 12, "update": None}, ("succeeded", None))
    assert Device.objects.get().firmware_version == "2.2.0"
    assert field.boot().look() is False
    rollout.refresh_from_db()
    assert (rollout.succeeded, rollout.failed) == (1, 0)


def test_a_broken_line_goes_on_where_it_broke(field: Field, rollout: FirmwareRollout) -> None:
    field.breaks = [50_000, 60_001]
    updated(field)
    assert field.fetched == [("", 200), ("bytes=50000-", 206), ("bytes=110001-", 206)]
    assert (field.folder / "slot").read_bytes() == IMAGE


def test_a_power_cut_loses_no_byte(field: Field, rollout: FirmwareRollout) -> None:
    updater = field.boot()
    updater.look()
    field.breaks = [70_000, 0, 0, 0, 0]
    with pytest.raises(OSError, match="broke"):
        updater.update()
    updated(field)
    assert field.fetched[-1] == ("bytes=70000-", 206)
    assert (field.folder / "slot").read_bytes() == IMAGE


def tampered(field: Field, **manifest: Any) -> Updater:
    """An offer that somebody on the way has changed."""
    updater = field.boot()
    assert updater.look()
    update = updater.kept["update"]
    signature = manifest.pop("signature", update["signature"])
    updater.keep({**update, "manifest": {**update["manifest"], **manifest}, "signature": signature})
    return updater


@pytest.mark.parametrize(
    "manifest",
    [{"counter": 99}, {"sha256": "0" * 64}, {"size": 5}, {"fw": "9.9"}, {"signature": "AAAA"}, {"signature": "ü"}],
    ids=str,
)
def test_a_wrong_signature_is_refused_before_a_byte_is_fetched(
    field: Field,
    rollout: FirmwareRollout,
    manifest: dict[str, Any],
) -> None:
    updater = tampered(field, **manifest)
    assert updater.update() is False
    assert (job(), field.fetched, updater.kept["update"]) == (("failed", "wrong_signature"), [], None)
    assert not updater.slot.exists()


def test_an_image_that_another_signed_is_refused(field: Field, rollout: FirmwareRollout) -> None:
    field.keys = {"2026-a": Engineer("somebody else").public}
    updater = field.boot()
    updater.look()
    assert updater.update() is False
    assert job() == ("failed", "wrong_signature")


def test_a_key_that_it_does_not_know_is_refused(field: Field, rollout: FirmwareRollout) -> None:
    field.keys = {}
    updater = field.boot()
    updater.look()
    assert updater.update() is False
    assert job() == ("failed", "unknown_key")


def test_an_older_counter_is_refused(field: Field, rollout: FirmwareRollout) -> None:
    """A server that was taken over brings back an image with a known hole, properly signed in its day."""
    for counter in (12, 99):
        updater = field.boot()
        updater.kept["counter"] = counter
        assert updater.look()
        assert updater.update() is False
        assert (job(), field.fetched) == (("failed", "older_counter"), [])
        FirmwareJob.objects.all().delete()


def test_a_replayed_offer_of_before_is_refused(engineer: Engineer, field: Field) -> None:
    old = engineer.publish(fw="2.1.5", counter=10)
    rolled_out(engineer.publish())
    updated(field).after_boot(lambda: True)
    updater = field.boot()
    offer = {
        "job_id": str(UUID(int=1)),
        "manifest": old.manifest.as_json(),
        "signature": old.signature,
        "url": "/",
    }
    updater.keep({**offer, "seq": 0})
    assert updater.update() is False
    assert (updater.running, updater.kept["counter"]) == ("2.2.0", 12)


@pytest.mark.parametrize(
    ("changes", "code"), [({"hw": "d2"}, "wrong_hardware"), ({"min_from": "2.1.1"}, "wrong_version")]
)
def test_an_image_that_is_not_for_it_is_refused(
    engineer: Engineer,
    field: Field,
    rollout: FirmwareRollout,
    changes: dict[str, Any],
    code: str,
) -> None:
    signed = engineer.signed(IMAGE, **changes)
    updater = tampered(field, **signed.manifest.as_json(), signature=signed.signature)
    assert updater.update() is False
    assert job() == ("failed", code)


def stored() -> Path:
    return Path(releases.store().path(FirmwareRelease.objects.get().file))


@pytest.mark.parametrize("cut_at", [0, 4_096, 90_001, len(IMAGE) - 1])
def test_a_cut_file_is_refused(field: Field, rollout: FirmwareRollout, cut_at: int) -> None:
    """Whoever gives it out has only a part, and says that this is all."""
    field.cut_at = cut_at
    updater = field.boot()
    updater.look()
    assert updater.update() is False
    assert field.fetched[-1] == (f"bytes={cut_at}-", 416) if cut_at else field.fetched == [("", 200), ("", 416)]
    assert (job(), updater.slot.exists()) == (("failed", "cut"), False)


def test_a_damaged_file_is_refused(field: Field, rollout: FirmwareRollout) -> None:
    stored().write_bytes(IMAGE[:-1] + b"\0")
    updater = field.boot()
    updater.look()
    assert updater.update() is False
    assert (job(), updater.slot.exists()) == (("failed", "damaged"), False)


def test_what_changes_in_flash_before_the_install_is_refused(field: Field, rollout: FirmwareRollout) -> None:
    updater = field.boot()
    updater.look()
    report = updater.report

    def meanwhile(state: str, **said: Any) -> Any:
        if state == "installing":
            updater.slot.write_bytes(IMAGE[:-1] + b"\0")
        return report(state, **said)

    updater.report = meanwhile  # type: ignore[method-assign]
    assert updater.update() is False
    assert (job(), updater.trial) == (("failed", "damaged"), None)


# --- the boot -----------------------------------------------------------------------------------


def test_a_self_test_that_fails_brings_the_old_image_back(field: Field, rollout: FirmwareRollout) -> None:
    again = updated(field)
    assert again.after_boot(lambda: False) is False
    assert (job(), again.running) == (("rolled_back", "self_test"), "2.1.0")
    assert field.boot().look() is False
    field.boot().unit.hello()
    assert (Device.objects.get().firmware_version, job()[0]) == ("2.1.0", "rolled_back")


def test_an_image_that_crashes_is_left_at_the_next_boot(field: Field, rollout: FirmwareRollout) -> None:
    again = updated(field)

    def crashes() -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        again.after_boot(crashes)
    after = field.boot()
    assert after.after_boot(lambda: True) is False
    assert (job()[0], after.running, after.kept["counter"]) == ("rolled_back", "2.1.0", 11)


def test_an_image_that_cannot_reach_the_server_is_left(field: Field, rollout: FirmwareRollout) -> None:
    again = updated(field)
    field.lost = ["/iot/hello"] * 5
    assert again.after_boot(lambda: True) is False
    assert again.running == "2.1.0"


def test_a_pause_holds_it_and_keeps_what_it_has(field: Field, rollout: FirmwareRollout) -> None:
    field.breaks = [50_000, 0, 0, 0, 0]
    updater = field.boot()
    updater.look()
    with pytest.raises(OSError, match="broke"):
        updater.update()
    rollouts.act(rollout.pk, "pause", reason="Reboots", by=BY, now=clock.now())
    fetched = len(field.fetched)
    assert updater.look() is False
    assert updater.update() is False
    assert (updater.have(), len(field.fetched)) == (50_000, fetched)
    rollouts.act(rollout.pk, "resume", reason="Was nothing", by=BY, now=clock.now())
    updated(field)
    assert field.fetched[-1] == ("bytes=50000-", 206)


def test_what_was_aborted_is_forgotten(field: Field, rollout: FirmwareRollout) -> None:
    updater = field.boot()
    updater.look()
    rollouts.act(rollout.pk, "abort", reason="Reboots", by=BY, now=clock.now())
    assert updater.update() is False
    jobs.cancel_left_over(now=clock.now())
    assert updater.update() is False
    assert (updater.kept["update"], field.fetched, job()[0]) == (None, [], "cancelled")


def test_it_does_not_install_while_a_dose_may_be_poured(field: Field, rollout: FirmwareRollout) -> None:
    updater = field.boot()
    updater.look()
    device = Device.objects.get()
    assert Unit(device.pk, updater.unit.state["token"]).ask().data["should_dispense"] is True
    assert updater.update() is False
    assert (job()[0], updater.trial, updater.have()) == ("verified", None, len(IMAGE))
    with time_machine.travel(clock.now() + timedelta(seconds=61), tick=False):
        assert updater.update() is True


def test_where_no_answer_comes_nothing_is_installed(field: Field, rollout: FirmwareRollout) -> None:
    updater = field.boot()
    updater.look()
    address = f"/iot/firmware/jobs/{updater.kept['update']['job_id']}/status"
    field.lost = [address] * 4  # downloading, downloaded, verified, and the permission
    assert updater.update() is False
    assert (job()[0], updater.trial) == ("installing", None)
    assert updater.update() is True
