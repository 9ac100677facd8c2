"""Nothing that a log line holds lets anybody in or names a person."""

import logging
import re

import pytest

from accounts import mails
from tests import make
from tests.accounts.test_recovery import NEW, mailed
from tests.clients import Api, Phone
from zinzino import clock

EMAIL = "carol.secret@example.com"


def test_no_log_line_of_a_whole_life_holds_a_secret(db: None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = live()
    lines = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)

    assert "zinzino.requests" in lines, "the requests were logged, so that there is something to find"
    for name, secret in secrets.items():
        assert secret not in lines, name
    assert not re.search(r"[\w.]+@example\.com", lines)


def live() -> dict[str, str]:
    """A person's life with the API, and all that must stay unsaid of it."""
    anyone = Api()
    signed_up = anyone.post(
        "/auth/register", {"email": EMAIL, "password": make.PASSWORD, "full_name": "Carol C"}
    ).data
    anyone.post("/auth/register", {"email": EMAIL, "password": make.PASSWORD, "full_name": "Carol C"})
    anyone.post("/auth/login", {"email": EMAIL, "password": "wrong-password-1"})
    verify = mailed("verify_email", to=EMAIL)
    anyone.post("/auth/verify-email", {"token": verify})
    anyone.post("/auth/verify-email", {"token": verify})
    anyone.post("/auth/forgot-password", {"email": EMAIL})
    reset = mailed("reset_password", to=EMAIL)
    mails.send_waiting(now=clock.now())
    fresh = anyone.post("/auth/refresh", {"refresh_token": signed_up["refresh_token"]}).data
    unit = Phone(make.person()).dispenser()
    unit.cup(True)
    Api(unit.token[:-4]).post(f"/states/{unit.id}", {"cup_placed": True})
    Api(signed_up["token"]).get("/profile?token=query-secret-77")
    anyone.http.get(f"/reset-password?token={reset}")
    anyone.post("/auth/reset-password", {"token": reset, "new_password": NEW})
    return {
        "e-mail": EMAIL,
        "password": make.PASSWORD,
        "wrong password": "wrong-password-1",
        "new password": NEW,
        "access token": signed_up["token"],
        "refresh token": fresh["refresh_token"],
        "verification": verify,
        "reset": reset,
        "device token": unit.token,
        "cut device token": unit.token[:-4],
        "query": "query-secret-77",
    }
