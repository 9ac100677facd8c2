"""A release engineer with a key, and releases that are signed as the command signs them."""

import base64
import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pytest_django import Settings

from devices.firmware import manifest as manifests
from devices.firmware import releases, rollouts
from devices.firmware.models import FirmwareRelease, FirmwareRollout
from devices.models import Device
from tests import files
from tests.clients import Phone, Unit
from zinzino import clock

HARDWARE = "d1"
BY = "release@example.com"


def image_of(seed: str, size: int = 200_000) -> bytes:
    """Always the same bytes, and none like another's."""
    block = b"".join(hashlib.sha256(f"{seed}{number}".encode()).digest() for number in range(64))
    return (block * (size // len(block) + 1))[:size]


class Engineer:
    def __init__(self, seed: str = "release engineer", key_id: str = "2026-a") -> None:
        self.key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed.encode()).digest())
        self.key_id = key_id

    @property
    def public(self) -> bytes:
        return self.key.public_key().public_bytes_raw()

    @property
    def setting(self) -> dict[str, str]:
        return {self.key_id: base64.b64encode(self.public).decode()}

    def signed(self, image: bytes, **described: Any) -> releases.Signed:
        about = {"fw": "2.2.0", "hw": HARDWARE, "counter": 12, "key_id": self.key_id, **described}
        manifest = manifests.of_image(image, **about)
        return releases.Signed(manifest, manifests.sign(manifest, self.key))

    def publish(self, image: bytes | None = None, **described: Any) -> FirmwareRelease:
        image = image or image_of(described.get("fw", "2.2.0"))
        said: dict[str, Any] = {"notes": {}, "by": BY, "now": clock.now(), "publish": True}
        return releases.take_in(self.signed(image, **described), image, **said)


@pytest.fixture
def engineer(db: None, settings: Settings, tmp_path: Path) -> Engineer:
    files.use(settings, tmp_path)
    made = Engineer()
    settings.FIRMWARE_PUBLIC_KEYS = made.setting
    return made


@pytest.fixture
def release(engineer: Engineer) -> FirmwareRelease:
    return engineer.publish()


def rolled_out(release: FirmwareRelease, *percents: int, now: datetime | None = None) -> FirmwareRollout:
    now = now or clock.now()
    made = rollouts.create(release, percents=percents or [100], starts_at=None, by=BY, now=now)
    return rollouts.act(made.pk, "start", reason="", by=BY, now=now)


@pytest.fixture
def rollout(release: FirmwareRelease) -> FirmwareRollout:
    """To everybody, at once."""
    return rolled_out(release)


@pytest.fixture
def unit(kitchen: Unit) -> Unit:
    """Alice's dispenser, of the hardware that the releases are for."""
    Device.objects.filter(pk=kitchen.id).update(hardware_rev=HARDWARE, firmware_version="2.1.0")
    return kitchen


def look(unit: Unit) -> Any:
    answer = unit.get(f"/iot/firmware/check?version=2.1.0&hw={HARDWARE}")
    assert answer.status_code == 200, answer.error
    return answer.data


def say(unit: Unit, job_id: str, state: str, seq: int = 1, **said: Any) -> Any:
    return unit.post(f"/iot/firmware/jobs/{job_id}/status", {"seq": seq, "state": state, **said})


def offered(unit: Unit) -> str:
    """The id of the job that it is offered."""
    return str(look(unit)["job_id"])


def fleet(phone: Phone, count: int) -> list[Unit]:
    units = [phone.dispenser() for _ in range(count)]
    ids = [unit.id for unit in units]
    Device.objects.filter(pk__in=ids).update(hardware_rev=HARDWARE, firmware_version="2.1.0")
    return units
