"""What units report of their updates: forward only, once each, and the version they run is the last word."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine

from devices.firmware import jobs, rollouts
from devices.firmware.models import FirmwareJob, FirmwareRollout
from devices.models import Device
from telemetry import updates
from telemetry.models import ActivityLog
from tests import make
from tests.clients import Phone, Unit
from tests.firmware.conftest import BY, HARDWARE, look, offered, say
from zinzino import clock


def stand() -> tuple[str, int, int]:
    """How the one job stands, and how its rollout counts."""
    rollout = FirmwareRollout.objects.get()
    return FirmwareJob.objects.get().status, rollout.succeeded, rollout.failed


def test_an_update_goes_its_way(unit: Unit, rollout: FirmwareRollout, statements: make.Statements) -> None:
    job_id = offered(unit)
    for seq, state in enumerate(("downloading", "downloaded", "verified"), 1):
        assert say(unit, job_id, state, seq).data == {"state": state, "cancel": False}
    with statements(9):
        assert say(unit, job_id, "installing", 4).data == {"state": "installing", "cancel": False}
    device, job = Device.objects.get(), FirmwareJob.objects.get()
    assert device.updating_until == job.due_at == job.updated_at + timedelta(hours=2)
    assert say(unit, job_id, "rebooting", 5).data["state"] == "rebooting"
    unit.post("/iot/hello", {"firmware_version": "2.2.0"})
    assert stand() == ("succeeded", 1, 0)
    device = Device.objects.get()
    assert (device.firmware_version, device.updating_until) == ("2.2.0", None)
    line = ActivityLog.objects.get(action="firmware_updated")
    assert (line.metadata, line.device_id) == ({"from": "2.1.0", "to": "2.2.0"}, unit.id)
    # Said once more, by the unit itself: nothing is counted or logged twice.
    assert say(unit, job_id, "succeeded", 6, version="2.2.0").data == {"state": "succeeded", "cancel": False}
    unit.post("/iot/hello", {"firmware_version": "2.2.0"})
    assert stand() == ("succeeded", 1, 0)
    assert ActivityLog.objects.filter(action="firmware_updated").count() == 1
    assert look_again(unit) == {"available": False, "reason": "no_update"}


def look_again(unit: Unit) -> Any:
    return unit.get("/iot/firmware/check").data


def test_the_simple_protocol_confirms_too(unit: Unit, rollout: FirmwareRollout) -> None:
    job_id = offered(unit)
    say(unit, job_id, "installing")
    unit.status(firmware_version="2.2.0")
    assert stand() == ("succeeded", 1, 0)


def test_late_and_repeated_reports_change_nothing(unit: Unit, rollout: FirmwareRollout) -> None:
    job_id = offered(unit)
    say(unit, job_id, "downloading", 5, progress=70)
    say(unit, job_id, "downloading", 4, progress=90)
    assert FirmwareJob.objects.get().progress == 70
    say(unit, job_id, "downloading", 6, progress=80)
    assert FirmwareJob.objects.get().progress == 80
    say(unit, job_id, "verified", 7)
    assert say(unit, job_id, "downloading", 8, progress=10).data["state"] == "verified"
    for seq in (9, 9, 10):
        assert say(unit, job_id, "failed", seq, code="damaged").data["state"] == "failed"
    assert say(unit, job_id, "rolled_back", 11).data["state"] == "failed"
    assert say(unit, job_id, "installing", 12).data["state"] == "failed"
    assert (stand(), FirmwareJob.objects.get().code) == (("failed", 0, 1), "damaged")
    assert Device.objects.get().updating_until is None


def test_a_unit_that_comes_back_with_the_old_version_was_rolled_back(unit: Unit, rollout: FirmwareRollout) -> None:
    job_id = offered(unit)
    say(unit, job_id, "installing")
    unit.post("/iot/hello", {"firmware_version": "2.1.0"})  # a reconnect on the way
    assert stand() == ("installing", 0, 0)
    say(unit, job_id, "rebooting", 2)
    unit.post("/iot/hello", {"firmware_version": "2.1.0"})
    assert stand() == ("rolled_back", 0, 1)
    assert Device.objects.get().updating_until is None


def test_a_unit_that_falls_back_later_is_counted_as_failed(unit: Unit, rollout: FirmwareRollout) -> None:
    say(unit, offered(unit), "rebooting")
    for version, expected in (
        ("2.2.0", ("succeeded", 1, 0)),
        ("2.1.0", ("rolled_back", 0, 1)),
        ("2.2.0", ("succeeded", 1, 0)),
    ):
        unit.post("/iot/hello", {"firmware_version": version})
        assert stand() == expected


def test_silence_while_installing_is_a_failure_until_the_unit_says_otherwise(
    unit: Unit, rollout: FirmwareRollout
) -> None:
    say(unit, offered(unit), "installing")
    soon = clock.now() + timedelta(hours=2, seconds=1)
    assert jobs.time_out(now=soon - timedelta(minutes=1)) == 0
    with time_machine.travel(soon, tick=False):
        assert updates.tick()["timed_out"] == 1
        assert updates.tick()["timed_out"] == 0
        assert (stand(), FirmwareJob.objects.get().code) == (("timed_out", 0, 1), "silent")
        assert Device.objects.get().updating_until is None
        unit.post("/iot/hello", {"firmware_version": "2.2.0"})
    assert stand() == ("succeeded", 1, 0)


def test_the_word_of_a_unit_takes_the_place_of_a_time_out(unit: Unit, rollout: FirmwareRollout) -> None:
    job_id = offered(unit)
    say(unit, job_id, "installing")
    jobs.time_out(now=clock.now() + timedelta(hours=3))
    assert say(unit, job_id, "rebooting", 2).data["state"] == "timed_out"
    assert say(unit, job_id, "rolled_back", 3, code="self_test").data["state"] == "rolled_back"
    assert stand() == ("rolled_back", 0, 1)


def test_a_success_names_the_version(unit: Unit, rollout: FirmwareRollout) -> None:
    job_id = offered(unit)
    for version in (None, "2.1.0"):
        answer = say(unit, job_id, "succeeded", version=version)
        assert (answer.status_code, list(answer.error["details"])) == (422, ["version"])
    assert stand() == ("offered", 0, 0)
    assert say(unit, job_id, "succeeded", version="2.2.0").data["state"] == "succeeded"
    assert Device.objects.get().firmware_version == "2.2.0"


def test_a_version_that_is_still_on_its_way_is_not_taken_for_the_one_that_runs(
    unit: Unit, rollout: FirmwareRollout
) -> None:
    say(unit, offered(unit), "downloading", version="2.2.0")
    assert (stand(), Device.objects.get().firmware_version) == (("downloading", 0, 0), "2.1.0")


def test_nobody_speaks_for_another_unit(alice: Phone, bob: Phone, unit: Unit, rollout: FirmwareRollout) -> None:
    told = look(unit)
    path = told["url"].partition("/v1")[2]
    for stranger in (alice.dispenser(), bob.dispenser()):
        for answer in (say(stranger, told["job_id"], "failed"), stranger.get(path)):
            assert (answer.status_code, answer.error["details"]) == (403, {"reason": "not_owner"})
    for answer in (say(unit, str(uuid4()), "failed"), unit.get(f"/iot/firmware/{uuid4()}/download")):
        assert answer.status_code == 404
    for person in (alice, bob):
        answer = person.get(path)
        assert (answer.status_code, answer.error["details"]) == (403, {"reason": "wrong_credential_kind"})
    assert stand() == ("offered", 0, 0)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"state": "verified"}, "seq"),
        ({"seq": 0, "state": "verified"}, "seq"),
        ({"seq": "1", "state": "verified"}, "seq"),
        ({"seq": 1}, "state"),
        ({"seq": 1, "state": "timed_out"}, "state"),
        ({"seq": 1, "state": "cancelled"}, "state"),
        ({"seq": 1, "state": "offered"}, "state"),
        ({"seq": 1, "state": "verified", "progress": 101}, "progress"),
        ({"seq": 1, "state": "failed", "code": "x" * 51}, "code"),
    ],
)
def test_a_wrong_field_is_named(unit: Unit, rollout: FirmwareRollout, body: Any, field: str) -> None:
    answer = unit.post(f"/iot/firmware/jobs/{offered(unit)}/status", body)
    assert (answer.status_code, list(answer.error["details"])) == (422, [field])


def test_what_was_aborted_is_cancelled_by_the_sweep(unit: Unit, rollout: FirmwareRollout) -> None:
    job_id = offered(unit)
    rollouts.act(rollout.pk, "abort", reason="Wrong image", by=BY, now=clock.now())
    assert say(unit, job_id, "downloading").data == {"state": "downloading", "cancel": True}
    assert updates.tick()["cancelled"] == 1
    assert say(unit, job_id, "verified", 2).data == {"state": "cancelled", "cancel": True}
    # It was on the way already: what runs, runs.
    unit.post("/iot/hello", {"firmware_version": "2.2.0"})
    assert stand() == ("succeeded", 1, 0)


def test_a_removed_dispenser_takes_its_job_along(alice: Phone, unit: Unit, rollout: FirmwareRollout) -> None:
    say(unit, offered(unit), "installing")
    assert alice.delete(f"/devices/{unit.id}").status_code == 200
    assert not FirmwareJob.objects.exists()
    assert jobs.time_out(now=clock.now() + timedelta(hours=3)) == 0


def test_what_it_says_of_its_hardware_is_kept(kitchen: Unit) -> None:
    kitchen.get(f"/iot/firmware/check?version=2.1.0&hw={HARDWARE}")
    device = Device.objects.get()
    assert (device.hardware_rev, device.firmware_version) == (HARDWARE, "2.1.0")
