"""A socket ends with its session, at once."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from accounts.models import RefreshToken, Session, User
from syncapi.live import tickets
from syncapi.live.tickets import Admission
from tests import make
from tests.clients import Phone
from tests.live.conftest import Server, another_sign_in

pytestmark = pytest.mark.django_db(transaction=True)


def logout(alice: Phone) -> str:
    alice.post("/auth/logout")
    return "session_revoked"


def new_password_elsewhere(alice: Phone) -> str:
    other = another_sign_in(alice)
    other.put("/profile/password", {"current_password": make.PASSWORD, "new_password": "Another-1"})
    return "session_revoked"


def ended_from_another_phone(alice: Phone) -> str:
    other = another_sign_in(alice)
    mine = next(each for each in other.get("/auth/sessions").data if not each["current"])
    assert other.delete(f"/auth/sessions/{mine['id']}").status_code == 200
    return "session_revoked"


def deactivated_by_support(alice: Phone) -> str:
    User.objects.filter(pk=alice.user.pk).update(is_active=False)
    return "account_inactive"


def account_deleted(alice: Phone) -> str:
    answer = alice.delete("/profile", {"password": make.PASSWORD, "confirmation": "DELETE"})
    assert answer.status_code == 200, answer.json()
    return "account_deleted"


def refresh_token_stolen(alice: Phone) -> str:
    spent = alice.refresh_token
    pair = alice.post("/auth/refresh", {"refresh_token": spent}).data
    alice.token = pair["token"]
    alice.get("/profile")
    RefreshToken.objects.filter(used_at__isnull=False).update(used_at=datetime.now(UTC) - timedelta(minutes=1))
    assert alice.post("/auth/refresh", {"refresh_token": spent}).error["details"]["reason"] == "token_reused"
    return "session_revoked"


@pytest.mark.parametrize(
    "ending",
    [
        logout,
        new_password_elsewhere,
        ended_from_another_phone,
        deactivated_by_support,
        account_deleted,
        refresh_token_stolen,
    ],
)
def test_the_end_of_a_session_ends_its_sockets_at_once(
    live: Server, alice: Phone, bob: Phone, ending: Callable[[Phone], str]
) -> None:
    hers, his = live.open(alice), live.open(bob)
    hers.page(), his.page()
    reason = ending(alice)
    began = time.monotonic()
    assert hers.end() == (4401, reason)
    assert time.monotonic() - began < 1
    bob.put("/profile", {"full_name": "Bob B."})
    assert his.page()["updated_profile"]["full_name"] == "Bob B."


def test_other_phones_of_the_person_go_on(live: Server, alice: Phone) -> None:
    other = another_sign_in(alice)
    here, there = live.open(alice), live.open(other)
    here.page(), there.page()
    alice.post("/auth/logout")
    assert here.end()[0] == 4401
    other.put("/profile", {"full_name": "Alice A."})
    assert there.page()["updated_profile"]["full_name"] == "Alice A."


def test_a_socket_lives_no_longer_than_its_access_token(servers: Callable[..., Server], alice: Phone) -> None:
    server = servers(LIVE_SWEEP_S="1")
    session = Session.objects.get()
    now = datetime.now(UTC)
    admission = Admission(alice.user.pk, session.pk, now - timedelta(seconds=1), now + timedelta(seconds=2))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE sync_clock SET ts = now()")
    listener = server.dial(str(tickets.issue(admission)["ticket"]))
    listener.page()
    assert listener.end() == (4401, "token_expired")
