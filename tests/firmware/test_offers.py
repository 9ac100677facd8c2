"""What is offered to whom, and when not (iot.md 2 and 4)."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from pytest_django import Settings

from devices.firmware import rollouts
from devices.firmware.models import FirmwareJob, FirmwareRelease, FirmwareRollout
from devices.models import Device
from telemetry import safety
from telemetry.models import SafetyStop
from tests import make
from tests.clients import Phone, Unit
from tests.firmware.conftest import BY, HARDWARE, Engineer, fleet, look, offered, rolled_out, say
from zinzino import clock


def test_an_update_is_offered_with_all_that_is_needed_to_prove_it(
    unit: Unit, rollout: FirmwareRollout, settings: Settings, statements: make.Statements
) -> None:
    unit.post("/iot/heartbeat")
    release = FirmwareRelease.objects.get()
    with statements(10):
        answer = unit.get(f"/iot/firmware/check?version=2.1.0&hw={HARDWARE}")
    told = answer.data
    job = FirmwareJob.objects.get()
    assert (told["available"], told["reason"], told["job_id"]) == (True, None, str(job.pk))
    assert told["manifest"] == release.manifest.as_json()
    assert told["signature"] == release.signature
    assert told["url"] == f"{settings.PUBLIC_URL}/v1/iot/firmware/{release.pk}/download"
    assert told["conditions"] == {"battery_min": 30, "no_dose_within_s": 1800}
    assert told["deadline"] == clock.iso(job.offered_at + timedelta(days=7))
    assert (job.device_id, job.from_version, job.status) == (unit.id, "2.1.0", "offered")
    assert len(answer.file) < 1024


def test_without_a_rollout_a_check_is_cheap_and_makes_no_row(
    unit: Unit, release: FirmwareRelease, statements: make.Statements
) -> None:
    unit.post("/iot/heartbeat")
    with statements(3):
        told = look(unit)
    assert told == {"available": False, "reason": "no_update"}
    assert not FirmwareJob.objects.exists()


def test_the_same_offer_comes_again_and_in_a_hello(unit: Unit, rollout: FirmwareRollout) -> None:
    first = look(unit)
    assert look(unit)["job_id"] == first["job_id"]
    told = unit.post("/iot/hello", {"firmware_version": "2.1.0"}).data["firmware"]
    assert {**told, "available": True, "reason": None} == first
    assert FirmwareJob.objects.count() == 1


def test_a_rollout_makes_no_rows_ahead_of_time(alice: Phone, release: FirmwareRelease) -> None:
    fleet(alice, 5)
    rolled_out(release, 100)
    assert not FirmwareJob.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"firmware_version": "2.2.0"},
        {"firmware_version": "1.9.9"},
        {"firmware_version": "nightly"},
        {"firmware_version": "3.0.0"},
        {"firmware_version": None},
        {"hardware_rev": "d2"},
        {"hardware_rev": None},
        {"is_active": False},
    ],
    ids=str,
)
def test_a_unit_that_it_does_not_fit_is_offered_nothing(
    engineer: Engineer, unit: Unit, changes: dict[str, Any]
) -> None:
    engineer.publish(fw="3.0.0", counter=20)
    with_floor = FirmwareRelease.objects.create(
        **{
            **FirmwareRelease.objects.values().get(),
            "id": make.uuid_of(1),
            "version": "2.2.0",
            "counter": 19,
            "min_from": "2.0.0",
        }
    )
    rolled_out(with_floor)
    Device.objects.filter(pk=unit.id).update(**changes)
    assert unit.get("/iot/firmware/check").data == {"available": False, "reason": "no_update"}
    Device.objects.filter(pk=unit.id).update(hardware_rev=HARDWARE, firmware_version="2.1.0", is_active=True)
    assert unit.get("/iot/firmware/check").data["available"] is True


def test_a_key_that_is_no_longer_trusted_offers_nothing(
    unit: Unit, rollout: FirmwareRollout, settings: Settings
) -> None:
    settings.FIRMWARE_PUBLIC_KEYS = {}
    assert look(unit)["reason"] == "no_update"


def test_nobody_is_brought_to_a_version_that_is_stopped(unit: Unit, rollout: FirmwareRollout) -> None:
    scope = SafetyStop.Scope.FIRMWARE
    safety.order(scope, "2.2.0", reason="Pours too much", until=None, by=BY, now=clock.now())
    assert look(unit)["available"] is False
    safety.lift(scope, "2.2.0", by=BY, now=clock.now())
    assert look(unit)["available"] is True


def test_a_flat_battery_waits(unit: Unit, rollout: FirmwareRollout) -> None:
    unit.post("/iot/heartbeat", {"battery_level": 29})
    assert look(unit) == {"available": False, "reason": "battery_low"}
    unit.post("/iot/heartbeat", {"battery_level": 30})
    assert look(unit)["available"] is True


def with_slot(phone: Phone, unit: Unit, local_time: str) -> None:
    slot = {"local_time": local_time, "before_min": 60, "after_min": 120}
    answer = phone.put(f"/devices/{unit.id}/plan", {"slots": [slot]})
    assert answer.status_code == 200, answer.error


@pytest.mark.parametrize(
    ("local_time", "available"),
    [
        ("06:29", True),  # due and over for long, its window still open
        ("07:31", False),  # was due half an hour ago
        ("08:29", False),  # is due
        ("08:45", True),  # its window has opened, it is due later than in half an hour
        ("09:15", False),  # its window opens soon
        ("09:31", True),  # its window opens in more than half an hour
    ],
)
def test_no_update_around_a_dose(
    alice: Phone, unit: Unit, rollout: FirmwareRollout, local_time: str, available: bool
) -> None:
    moment = clock.now().replace(hour=5, minute=0, second=0, microsecond=0) + timedelta(
        days=1
    )  # 08:00 in İstanbul
    with_slot(alice, unit, local_time)
    with time_machine.travel(moment, tick=False):
        assert look(unit)["available"] is available


def test_a_dose_that_is_poured_comes_first(unit: Unit, rollout: FirmwareRollout) -> None:
    job_id = offered(unit)
    say(unit, job_id, "verified")
    assert unit.ask().data["should_dispense"] is True
    assert look(unit)["reason"] == "dose_in_progress"
    assert say(unit, job_id, "installing", seq=2).data == {"state": "verified", "cancel": False}
    with time_machine.travel(clock.now() + timedelta(seconds=61), tick=False):
        assert say(unit, job_id, "installing", seq=3).data == {"state": "installing", "cancel": False}


def test_while_it_installs_nothing_is_poured(unit: Unit, rollout: FirmwareRollout) -> None:
    job_id = offered(unit)
    assert say(unit, job_id, "installing").data["state"] == "installing"
    assert unit.ask().data["reason"] == "update_in_progress"
    unit.post("/iot/hello", {"firmware_version": "2.2.0"})
    assert unit.ask().data["reason"] == "due"


def test_a_pause_holds_at_once(unit: Unit, rollout: FirmwareRollout) -> None:
    told = look(unit)
    path = told["url"].partition("/v1")[2]
    assert say(unit, told["job_id"], "downloading").data == {"state": "downloading", "cancel": False}
    rollouts.act(rollout.pk, "pause", reason="Support asks", by=BY, now=clock.now())
    assert look(unit) == {"available": False, "reason": "no_update"}
    refused = unit.get(path)
    assert (refused.status_code, refused.error["details"]) == (403, {"reason": "update_held"})
    assert say(unit, told["job_id"], "downloaded", seq=2).data == {"state": "downloaded", "cancel": True}
    assert say(unit, told["job_id"], "installing", seq=3).data == {"state": "downloaded", "cancel": True}
    assert Device.objects.get(pk=unit.id).updating_until is None
    rollouts.act(rollout.pk, "resume", reason="Was nothing", by=BY, now=clock.now())
    assert look(unit)["job_id"] == told["job_id"]
    assert say(unit, told["job_id"], "installing", seq=4).data == {"state": "installing", "cancel": False}


def test_what_was_permitted_before_a_pause_goes_on(unit: Unit, rollout: FirmwareRollout) -> None:
    job_id = offered(unit)
    say(unit, job_id, "installing")
    rollouts.act(rollout.pk, "abort", reason="Reboots", by=BY, now=clock.now())
    assert say(unit, job_id, "rebooting", seq=2).data == {"state": "rebooting", "cancel": False}
    unit.post("/iot/hello", {"firmware_version": "2.2.0"})
    assert FirmwareJob.objects.get().status == "succeeded"


def test_a_blocked_release_is_offered_and_given_to_nobody(unit: Unit, rollout: FirmwareRollout) -> None:
    told = look(unit)
    [held] = rollouts.block(rollout.release_id, reason="Pours twice", by=BY, now=clock.now())
    assert (held.pk, held.status) == (rollout.pk, "halted")
    assert look(unit)["available"] is False
    assert unit.get(told["url"].partition("/v1")[2]).status_code == 403
    with pytest.raises(rollouts.RolloutRefused, match="only a published release"):
        rollouts.act(rollout.pk, "resume", reason="Again", by=BY, now=clock.now())


def test_the_next_release_takes_the_place_of_one_that_was_not_installed(
    engineer: Engineer, unit: Unit, rollout: FirmwareRollout
) -> None:
    former = offered(unit)
    rollouts.act(rollout.pk, "finish", reason="", by=BY, now=clock.now())
    rolled_out(engineer.publish(fw="2.3.0", counter=13))
    assert look(unit)["manifest"]["fw"] == "2.3.0"
    assert FirmwareJob.objects.get(pk=former).status == "cancelled"


def test_while_one_installs_another_is_not_offered(
    engineer: Engineer, unit: Unit, rollout: FirmwareRollout
) -> None:
    job_id = offered(unit)
    say(unit, job_id, "installing")
    rollouts.act(rollout.pk, "finish", reason="", by=BY, now=clock.now())
    rolled_out(engineer.publish(fw="2.3.0", counter=13))
    assert look(unit)["available"] is False
    assert FirmwareJob.objects.get().status == "installing"
