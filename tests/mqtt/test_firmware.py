"""An update over a real broker: offered, permitted, confirmed by the next hello."""

import subprocess
from collections.abc import Callable

import pytest
from pytest_django import Settings

from devices.firmware.models import FirmwareJob
from devices.models import Device
from tests.clients import Unit
from tests.firmware.conftest import HARDWARE, Engineer, engineer, rolled_out  # noqa: F401  (a fixture)
from tests.mqtt.conftest import Broker, Dispenser, until

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_update_over_the_broker(
    broker: Broker,
    bridges: Callable[..., subprocess.Popen[bytes]],
    unit: Unit,
    engineer: Engineer,  # noqa: F811
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [(name, key)] = engineer.setting.items()
    monkeypatch.setenv("FIRMWARE_PUBLIC_KEYS", f"{name}:{key}")
    release = engineer.publish()
    rolled_out(release)
    bridges()
    dispenser = Dispenser(broker, unit)
    dispenser.say("fw", {"version": "2.1.0", "hw": HARDWARE})
    offer = dispenser.hears("fw")
    assert (offer["available"], offer["signature"]) == (True, release.signature)
    for seq, state in enumerate(("downloading", "verified", "installing", "rebooting"), 1):
        dispenser.say("fw", {"job_id": offer["job_id"], "seq": seq, "state": state})
        answer = dispenser.hears("fw")
        assert (answer["seq"], answer["state"], answer["cancel"]) == (seq, state, False)
    dispenser.say("hello", {"boot": 2, "conn": 1, "firmware_version": "2.2.0", "hardware_rev": HARDWARE})
    assert dispenser.hears("hi")["firmware"] is None
    assert until(lambda: FirmwareJob.objects.get().status == "succeeded")
    assert Device.objects.get().firmware_version == "2.2.0"
    dispenser.leave()
