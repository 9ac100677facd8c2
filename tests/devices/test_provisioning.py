"""`POST /iot/provision`: a unit proves itself with the key from its factory (iot.md 2)."""

import base64
import uuid
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from devices.models import ManufacturedUnit
from devices.provisioning import canonical
from tests.clients import Api, Phone, Unit
from zinzino import clock

SERIAL, MAC = "ZNZ-2026-00077", "AA:BB:CC:00:00:77"


@pytest.fixture
def key(db: None) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate()
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    ManufacturedUnit.objects.create(
        serial_number=SERIAL, mac_address=MAC, public_key=public, imported_at=clock.now()
    )
    return key


def ask(key: Ed25519PrivateKey, **fields: Any) -> Any:
    body = {
        "serial_number": SERIAL,
        "mac_address": MAC,
        "hardware_rev": "d1",
        "ts": clock.epoch_ms(clock.now()),
        "nonce": uuid.uuid4().hex,
        **fields,
    }
    sig = base64.b64encode(key.sign(canonical(body))).decode()
    return Api().post("/iot/provision", {**body, "proof": {"alg": "ed25519", "sig": sig}})


def test_a_registered_unit_gets_a_token_of_its_own(key: Ed25519PrivateKey, alice: Phone) -> None:
    kitchen = alice.dispenser(serial_number=SERIAL, mac_address=MAC)
    answer = ask(key)
    assert (answer.status_code, answer.data["device_id"], answer.data["claimed"]) == (201, str(kitchen.id), True)
    assert answer.data["mqtt"]["topic_prefix"] == f"znz/v1/{kitchen.id}/"
    assert Unit(kitchen.id, answer.data["token"]).post("/iot/hello").data["rotate_token"] is False


def test_a_unit_without_an_owner_waits(key: Ed25519PrivateKey) -> None:
    answer = ask(key)
    assert answer.status_code == 201
    assert answer.data == {"device_id": None, "token": None, "claimed": False, "mqtt": None}


def test_a_proof_serves_once(key: Ed25519PrivateKey) -> None:
    assert [ask(key, nonce="n" * 16).status_code for _ in range(2)] == [201, 409]


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"serial_number": "ZNZ-NOBODY"}, 401, "INVALID_PROOF"),
        ({"ts": 1_000}, 401, "INVALID_PROOF"),
        ({"mac_address": "AA:BB:CC:00:00:78"}, 403, "IDENTITY_MISMATCH"),
        ({"nonce": "short"}, 422, "VALIDATION_ERROR"),
        ({"ts": "now"}, 422, "VALIDATION_ERROR"),
    ],
)
def test_what_is_refused(key: Ed25519PrivateKey, fields: dict[str, Any], status: int, code: str) -> None:
    answer = ask(key, **fields)
    assert (answer.status_code, answer.error["code"]) == (status, code)


def test_another_key_proves_nothing(key: Ed25519PrivateKey, alice: Phone) -> None:
    alice.dispenser(serial_number=SERIAL, mac_address=MAC)
    assert ask(Ed25519PrivateKey.generate()).error["code"] == "INVALID_PROOF"
    body = {"serial_number": SERIAL, "mac_address": MAC, "ts": clock.epoch_ms(clock.now()), "nonce": "n" * 16}
    for sig in ("", "!", base64.b64encode(b"x" * 64).decode()):
        answer = Api().post("/iot/provision", {**body, "proof": {"alg": "ed25519", "sig": sig}})
        assert answer.status_code in {401, 422}
