"""Firmware over MQTT: the same services, the same words (iot.md 3)."""

from typing import Any
from uuid import UUID

from devices.credentials import DeviceCaller
from devices.firmware.models import FirmwareJob, FirmwareRollout
from devices.models import Device
from telemetry import topics
from tests.clients import Unit
from tests.firmware.conftest import HARDWARE, look
from zinzino import clock
from zinzino.api.renderers import dumps


def heard(unit: Unit, body: dict[str, Any]) -> Any:
    row = Device.objects.get(pk=unit.id)
    caller = DeviceCaller(row.pk, row.user_id, row.device_type)
    return topics.HANDLERS["fw"](topics.Heard(caller, body, clock.now()))


def test_a_question_and_a_report(unit: Unit, rollout: FirmwareRollout) -> None:
    over_http = look(unit)
    said = heard(unit, {"version": "2.1.0", "hw": HARDWARE})
    assert (said.address, said.good_s) == (f"znz/v1/{unit.id}/down/fw", 300)
    assert said.body | {"job_id": str(said.body["job_id"])} == over_http | {
        name: said.body[name] for name in ("not_before", "deadline")
    }
    assert len(dumps(said.body)) < 1024
    job_id = UUID(over_http["job_id"])
    answer = heard(unit, {"job_id": str(job_id), "seq": 1, "state": "installing"})
    assert answer.body == {"job_id": job_id, "seq": 1, "state": "installing", "cancel": False}
    assert FirmwareJob.objects.get().status == "installing"
