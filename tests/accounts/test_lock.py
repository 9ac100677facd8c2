from typing import Any

import pytest
import redis
from django.core.management import call_command
from pytest_django import Settings

from accounts import lock
from tests import make
from tests.clients import Api, Phone
from zinzino.redis_client import client

HOME, ELSEWHERE = {"REMOTE_ADDR": "192.0.2.1"}, {"REMOTE_ADDR": "192.0.2.2"}


def attempt(password: str, *, email: str = "alice@example.com", **where: str) -> Any:
    return Api().post("/auth/login", {"email": email, "password": password}, **where)


def fail(times: int, **how: str) -> None:
    for _ in range(times):
        assert attempt("wrong", **how).status_code == 401


@pytest.mark.parametrize("email", ["alice@example.com", "nobody@example.com"])
def test_ten_failures_from_one_address_lock_it_for_known_and_unknown_alike(alice: Phone, email: str) -> None:
    fail(10, email=email, **HOME)
    locked = attempt("wrong", email=email, **HOME)

    assert (locked.status_code, locked.error["code"]) == (403, "FORBIDDEN")
    assert locked.error["details"]["reason"] == "account_locked"
    assert 890 < locked.error["details"]["retry_after"] <= 900
    assert locked["Retry-After"] == str(locked.error["details"]["retry_after"])


def test_the_lock_holds_against_the_right_password_there_and_only_there(alice: Phone) -> None:
    fail(10, **HOME)
    assert attempt(make.PASSWORD, **HOME).status_code == 403
    assert attempt(make.PASSWORD, **ELSEWHERE).status_code == 200


def test_a_living_session_and_refresh_go_on(alice: Phone) -> None:
    fail(10, **HOME)
    assert alice.get("/profile").status_code == 200
    assert alice.post("/auth/refresh", {"refresh_token": alice.refresh_token}).status_code == 200


def test_many_addresses_together_lock_the_account(alice: Phone, settings: Settings) -> None:
    settings.LOGIN_FAILURES_PER_EMAIL = 12
    fail(6, **HOME)
    fail(6, **ELSEWHERE)
    assert attempt(make.PASSWORD, REMOTE_ADDR="192.0.2.3").status_code == 403


def test_a_success_forgets_the_failures_of_its_address(alice: Phone) -> None:
    fail(9, **HOME)
    assert attempt(make.PASSWORD, **HOME).status_code == 200
    fail(9, **HOME)
    assert attempt(make.PASSWORD, **HOME).status_code == 200


def test_each_lock_is_twice_as_long_up_to_a_day(alice: Phone) -> None:
    waits = []
    for _ in range(9):
        fail(10, **HOME)
        waits.append(round(attempt("wrong", **HOME).error["details"]["retry_after"] / 900))
        client().delete(*client().keys("login:lock:*"))
    assert waits == [1, 2, 4, 8, 16, 32, 64, 96, 96]


def test_support_and_a_reset_lift_it(alice: Phone) -> None:
    fail(10, **HOME)
    call_command("unlock_user", "Alice@Example.com")
    assert attempt(make.PASSWORD, **HOME).status_code == 200
    fail(10, **HOME)
    lock.forget("alice@example.com")
    assert attempt(make.PASSWORD, **HOME).status_code == 200


def test_keys_name_no_address(alice: Phone) -> None:
    fail(10, **HOME)
    keys = str(client().keys("login:*"))
    assert "alice" not in keys
    assert "192.0.2" not in keys


def test_without_valkey_people_can_sign_in(alice: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise redis.ConnectionError

    monkeypatch.setattr(lock, "client", away)
    assert attempt("wrong").status_code == 401
    assert attempt(make.PASSWORD).status_code == 200


def test_the_addresses_of_one_household_count_together(alice: Phone) -> None:
    """Whoever has an IPv6 network has 2^64 addresses."""
    for number in range(10):
        fail(1, REMOTE_ADDR=f"2001:db8:1:2::{number + 1:x}")
    assert attempt(make.PASSWORD, REMOTE_ADDR="2001:db8:1:2:ffff::1").status_code == 403
    assert attempt(make.PASSWORD, REMOTE_ADDR="2001:db8:1:3::1").status_code == 200
