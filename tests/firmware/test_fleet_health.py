"""A rollout stops where units that have it fare worse than those that do not (iot.md 4)."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from devices.firmware.models import FirmwareJob, FirmwareRollout
from devices.models import Device
from telemetry import contact, fleet_health
from telemetry.fleet_health import Health, worse
from telemetry.models import DeviceReport, Dispense
from tests.clients import Phone, Unit
from tests.firmware.conftest import fleet
from zinzino import clock
from zinzino.ids import uuid7

GOOD = {"units": 100, "hours": 2400.0, "doses": 100}


@pytest.mark.parametrize(
    ("updated", "others", "says"),
    [
        ({}, {}, None),
        ({"failed": 13}, {"failed": 1}, "doses failed"),
        ({"failed": 4}, {"failed": 1}, None),
        ({"failed": 10}, {"failed": 9}, None),
        ({"failed": 0}, {"failed": 50}, None),
        ({"unconfirmed": 12}, {}, "never confirmed"),
        ({"silent": 13}, {"silent": 1}, "fell silent"),
        ({"boots": 200}, {"boots": 60}, "reboots"),
        ({"boots": 70}, {"boots": 60}, None),
        ({"boots": 19}, {}, None),
        ({"units": 19, "silent": 19}, {}, None),
        ({"doses": 19, "failed": 19}, {}, None),
        ({"failed": 50}, {"units": 0, "hours": 0.0, "doses": 0}, None),
    ],
    ids=str,
)
def test_what_is_worse_than_chance(updated: dict[str, Any], others: dict[str, Any], says: str | None) -> None:
    reason = worse(Health(**{**GOOD, **updated}), Health(**{**GOOD, **others}))
    assert (reason is None) if says is None else says in (reason or "")


@pytest.fixture
def halves(alice: Phone, rollout: FirmwareRollout) -> tuple[list[Unit], list[Unit]]:
    """Twenty units that have it, and twenty that do not."""
    now = clock.now()
    units = fleet(alice, 40)
    Device.objects.update(contact_at=now, silent_at=now + timedelta(hours=1))
    for unit in units[:20]:
        FirmwareJob.objects.create(
            id=uuid7(now), rollout=rollout, device_id=unit.id, status="succeeded", from_version="2.1.0",
            offered_at=now, updated_at=now, finished_at=now - timedelta(hours=2),
        )  # fmt: skip
    Device.objects.filter(pk__in=[unit.id for unit in units[:20]]).update(firmware_version="2.2.0")
    return units[:20], units[20:]


def dosed(units: list[Unit], status: str) -> None:
    now = clock.now()
    for unit in units:
        owner = Device.objects.get(pk=unit.id).user_id
        Dispense.objects.create(
            user_id=owner, device_id=unit.id, family="omega", status=status, amount=5, unit="ml", plan_version=1,
            activity_id=uuid4(), authorized_at=now - timedelta(hours=1), expires_at=now,
        )  # fmt: skip


def test_a_fleet_that_is_well_goes_on(rollout: FirmwareRollout, halves: tuple[list[Unit], list[Unit]]) -> None:
    dosed([*halves[0], *halves[1]], "dispensed")
    updated, others = fleet_health.compared(rollout, now=clock.now())
    assert (updated.units, updated.doses, others.units, others.doses) == (20, 20, 20, 20)
    assert (round(updated.hours), round(others.hours)) == (40, 480)
    assert fleet_health.judge_all(now=clock.now()) == 0


@pytest.mark.parametrize(("status", "says"), [("failed", "doses failed"), ("unconfirmed", "never confirmed")])
def test_doses_that_go_wrong_halt_it(
    rollout: FirmwareRollout, halves: tuple[list[Unit], list[Unit]], status: str, says: str
) -> None:
    dosed(halves[0], status)
    dosed(halves[1], "dispensed")
    assert fleet_health.judge_all(now=clock.now()) == 1
    rollout.refresh_from_db()
    assert (rollout.status, says in rollout.reason) == ("halted", True)
    assert fleet_health.judge_all(now=clock.now()) == 0


def test_what_went_wrong_before_the_update_is_not_its_fault(
    rollout: FirmwareRollout, halves: tuple[list[Unit], list[Unit]]
) -> None:
    dosed(halves[0], "failed")
    dosed(halves[1], "dispensed")
    FirmwareJob.objects.update(finished_at=clock.now() - timedelta(minutes=30))
    assert fleet_health.judge_all(now=clock.now()) == 0


def test_units_that_fall_silent_halt_it(rollout: FirmwareRollout, halves: tuple[list[Unit], list[Unit]]) -> None:
    gone = [unit.id for unit in halves[0][:12]]
    Device.objects.filter(pk__in=gone).update(silent_at=clock.now() - timedelta(minutes=1))
    assert fleet_health.judge_all(now=clock.now()) == 1
    rollout.refresh_from_db()
    assert rollout.reason == "More fell silent with it than without: 12 of 20, 0 of 20."


def test_reboots_halt_it(rollout: FirmwareRollout, halves: tuple[list[Unit], list[Unit]]) -> None:
    for unit in halves[0]:
        device = Device.objects.get(pk=unit.id)
        for _ in range(3):
            log = {"level": "info", "code": "boot", "message": "watchdog"}
            contact.report(device, DeviceReport.Kind.LOG, log, now=clock.now())
    assert fleet_health.judge_all(now=clock.now()) == 1
    rollout.refresh_from_db()
    assert rollout.reason == "More reboots with it than without: 60 in 40 h, 0 in 480 h."
