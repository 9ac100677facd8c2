"""api.md 3: who may add a dispenser, by DEVICE_CLAIM_MODE."""

import time
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings
from redis.exceptions import ConnectionError as ValkeyAway

from accounts.models import User
from devices import claiming
from devices.models import Device, ManufacturedUnit
from tests import make
from tests.clients import Phone
from tests.threads import together
from zinzino import clock
from zinzino.redis_client import client

SALON = {
    "device_name": "Salon Dispenseri",
    "device_type": "krill_oil",
    "mac_address": "FF:EE:DD:CC:BB:AA",
    "serial_number": "ZNZ-2024-002",
}
CODE = "K7QX4M2P9R"


def unit(**fields: Any) -> ManufacturedUnit:
    known = {
        "serial_number": SALON["serial_number"],
        "mac_address": SALON["mac_address"],
        "imported_at": clock.now(),
    }
    return ManufacturedUnit.objects.create(**known | {"claim_code_hash": claiming.hashed(CODE)} | fields)


def add(phone: Phone, **fields: Any) -> Any:
    return phone.post("/devices", SALON | fields)


@pytest.fixture
def registry(settings: Settings) -> None:
    settings.DEVICE_CLAIM_MODE = "registry"


@pytest.fixture
def code(settings: Settings) -> None:
    settings.DEVICE_CLAIM_MODE = "code"


def test_open_asks_for_nothing(alice: Phone) -> None:
    assert add(alice).status_code == 201


def test_open_takes_a_code_and_does_not_look_at_it(alice: Phone) -> None:
    unit()
    assert add(alice, claim_code="nonsense").status_code == 201


@pytest.mark.parametrize(
    "differing",
    [
        {"serial_number": "ZNZ-2024-003"},
        {"mac_address": "FF:EE:DD:CC:BB:AB"},
        {"device_type": "fish_oil"},
    ],
)
def test_a_registry_knows_only_the_units_that_were_imported(
    registry: None, alice: Phone, differing: dict[str, str]
) -> None:
    unit(device_type="krill_oil")
    refused = add(alice, **differing)
    assert (refused.status_code, refused.error["code"]) == (422, "VALIDATION_ERROR")
    assert (refused.error["details"]["reason"], len(refused.error["details"]["serial_number"])) == (
        "unit_unknown",
        1,
    )
    assert not Device.objects.exists()
    assert add(alice).status_code == 201


def test_a_unit_without_a_type_may_be_of_any(registry: None, alice: Phone) -> None:
    unit()
    assert add(alice).status_code == 201


def test_a_code_is_needed(code: None, alice: Phone) -> None:
    unit()
    for nothing in ({}, {"claim_code": None}, {"claim_code": " - "}):
        refused = add(alice, **nothing)
        assert (refused.status_code, refused.error["details"]["reason"]) == (422, "claim_code_required")
    assert not client().exists(claiming._tries(SALON["serial_number"]))


def test_a_wrong_code_is_refused(code: None, alice: Phone) -> None:
    unit()
    refused = add(alice, claim_code="K7QX4M2P9S")
    assert (refused.status_code, refused.error["details"]["reason"]) == (422, "claim_code_wrong")
    assert refused.error["details"]["claim_code"] == [refused.error["message"]]
    assert not Device.objects.exists()


@pytest.mark.parametrize("typed", [CODE, "k7qx4m2p9r", " k7qx-4m2p 9R "])
def test_the_right_code_is_taken_as_people_type_it(code: None, alice: Phone, typed: str) -> None:
    unit()
    assert add(alice, claim_code=typed).status_code == 201


def test_a_unit_that_came_without_a_code_is_nobodys(code: None, alice: Phone) -> None:
    unit(claim_code_hash="")
    assert add(alice, claim_code=CODE).error["details"]["reason"] == "claim_code_wrong"


def test_an_unknown_unit_tells_nothing_of_codes(code: None, alice: Phone) -> None:
    assert add(alice, claim_code=CODE).error["details"]["reason"] == "unit_unknown"


def test_the_code_is_kept_as_a_hash_of_its_own_salt() -> None:
    one, other = claiming.hashed(CODE), claiming.hashed(CODE)
    assert CODE not in one
    assert one != other
    assert claiming.is_code(CODE, one)
    assert claiming.is_code(CODE, other)
    assert not claiming.is_code(CODE[:-1], one)


def test_after_five_wrong_codes_even_the_right_one_waits(code: None, alice: Phone, bob: Phone) -> None:
    unit()
    for _ in range(5):
        assert add(alice, claim_code="WRONGWRONG").status_code == 422
    for phone in (alice, bob):
        waits = add(phone, claim_code=CODE)
        assert (waits.status_code, waits.error["code"]) == (429, "RATE_LIMIT_EXCEEDED")
        assert 3500 < waits.error["details"]["retry_after"] <= 3600
    assert not Device.objects.exists()


def test_the_wait_is_an_hour_from_the_first_try_and_of_that_serial_only(
    code: None, alice: Phone, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "HOUR_S", 1)
    settings.CLAIM_TRIES_PER_HOUR = 1
    other = {"serial_number": "ZNZ-2024-003", "mac_address": "FF:EE:DD:CC:BB:AB"}
    unit(), unit(**other)
    assert [add(alice, claim_code="WRONGWRONG").status_code for _ in range(2)] == [422, 429]
    assert add(alice, claim_code=CODE, **other).status_code == 201
    time.sleep(1.1)
    assert add(alice, claim_code=CODE).status_code == 201


def test_the_last_moment_of_the_wait_brings_no_tries(code: None, alice: Phone) -> None:
    """Its remaining time is rounded to whole seconds, and so to none."""
    unit()
    for _ in range(5):
        add(alice, claim_code="WRONGWRONG")
    client().pexpire(claiming._tries(SALON["serial_number"]), 400)
    waits = add(alice, claim_code=CODE)
    assert (waits.status_code, waits.error["details"]["retry_after"]) == (429, 1)


def test_the_right_code_forgets_the_wrong_ones(code: None, alice: Phone) -> None:
    unit()
    for _ in range(4):
        add(alice, claim_code="WRONGWRONG")
    made = add(alice, claim_code=CODE).data
    alice.delete(f"/devices/{made['id']}")
    assert [add(alice, claim_code="WRONGWRONG").status_code for _ in range(5)] == [422] * 5


def test_a_retry_key_does_not_give_tries_back(code: None, alice: Phone) -> None:
    """The transaction of a refused request is rolled back; its try is not."""
    unit()
    keys = [f"3f0c6a52-8a0e-4d56-9f0b-6a4b5f1f2c{number:02}" for number in range(6)]
    body = SALON | {"claim_code": "WRONGWRONG"}
    answers = [alice.post("/devices", body, HTTP_IDEMPOTENCY_KEY=key).status_code for key in keys]
    assert answers == [422] * 5 + [429]


@pytest.mark.django_db(transaction=True)
def test_many_requests_at_once_bring_no_more_tries(code: None) -> None:
    unit()
    phones = [Phone(make.person()) for _ in range(12)]
    answers = together(lambda phone: add(phone, claim_code="WRONGWRONG").status_code, phones)
    assert sorted(answers) == [422] * 5 + [429] * 7


def test_without_valkey_nobody_guesses(code: None, alice: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_args: Any) -> None:
        raise ValkeyAway

    unit()
    monkeypatch.setattr(claiming, "client", away)
    assert add(alice, claim_code=CODE).status_code == 503
    assert not Device.objects.exists()


def test_support_lets_a_person_try_again(code: None, alice: Phone) -> None:
    unit()
    for _ in range(6):
        add(alice, claim_code="WRONGWRONG")
    staff = Client()
    staff.force_login(User.objects.create_superuser("staff@example.com", make.PASSWORD, full_name="Staff Person"))
    page = reverse("admin:devices_manufacturedunit_changelist")
    act = {"action": "forget_wrong_codes", "_selected_action": [SALON["serial_number"]]}
    assert staff.post(page, act).status_code == 302
    assert add(alice, claim_code=CODE).status_code == 201
    assert b"True" in staff.get(page).content


def test_the_hash_of_a_code_is_never_shown(db: None) -> None:
    stored = unit().claim_code_hash
    staff = Client()
    staff.force_login(User.objects.create_superuser("staff@example.com", make.PASSWORD, full_name="Staff Person"))
    body = staff.get(
        reverse("admin:devices_manufacturedunit_change", args=[SALON["serial_number"]])
    ).content.decode()
    assert SALON["mac_address"] in body
    assert stored not in body
