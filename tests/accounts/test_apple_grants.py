"""What people permitted at Apple ends with their account or link: the real client against Apple's server here."""

import io
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import transaction

from accounts import apple_api, apple_grants
from accounts.models import AppleGrant, User
from syncapi import erasure
from tests import make
from tests.accounts.apple_server import KEY_ID, TEAM, AppleServer, apple_server, p8, refused, team_key
from tests.accounts.providers import APPLE_CLIENT, KeyServer, apple, google
from tests.accounts.test_takeover import reset
from tests.clients import Api, Phone
from tests.threads import together
from zinzino import clock

SUB = "001234.0a1b2c3d4e5f.0789"


@pytest.fixture
def server(settings: Any, keys: KeyServer) -> Iterator[AppleServer]:
    with apple_server() as running:
        settings.APPLE_AUTH_URL = running.url
        settings.APPLE_TEAM_ID, settings.APPLE_KEY_ID = TEAM, KEY_ID
        settings.APPLE_PRIVATE_KEY = p8(team_key())
        yield running


def sign_in(code: str | None, **claims: Any) -> Api:
    answer = Api().post("/auth/apple", {"identity_token": apple(**claims), "authorization_code": code})
    assert answer.status_code == 200
    return Api(answer.data["token"])


def delete(person: Api, **claims: Any) -> None:
    proof = {"confirmation": "DELETE", "provider": "apple", "id_token": apple(**claims)}
    assert person.delete("/profile", proof).status_code == 200


def settle(now: datetime | None = None) -> int:
    return apple_grants.settle_due(now=now or clock.now())


def kept() -> tuple[Any, ...]:
    row = AppleGrant.objects.get()
    return row.user_id is not None, bool(row.code), bool(row.token), row.next_attempt_at is not None


# ---------------------------------------------------------------------------------- the whole way


@pytest.mark.django_db
def test_a_deleted_account_leaves_no_permission_at_apple(server: AppleServer) -> None:
    person = sign_in(server.code(SUB))
    assert server.asked == []  # a sign-in waits for nobody
    assert kept() == (True, True, False, True)
    assert settle() == 1
    assert kept() == (True, False, True, False)

    delete(person)
    assert kept() == (False, False, True, True)
    assert not AppleGrant.objects.exclude(subject="").exists()
    assert settle() == 1
    assert server.revoked == ["r0.refresh.token"]
    assert not AppleGrant.objects.exists()
    assert [(path, sorted(form)) for path, form in server.asked] == [
        ("/auth/token", ["client_id", "client_secret", "code", "grant_type"]),
        ("/auth/revoke", ["client_id", "client_secret", "token", "token_type_hint"]),
    ]
    assert settle() == 0


@pytest.mark.django_db
def test_an_account_that_is_deleted_at_once_too(server: AppleServer) -> None:
    delete(sign_in(server.code(SUB)))
    assert settle() == 2
    assert server.revoked == ["r0.refresh.token"]
    assert not AppleGrant.objects.exists()


def test_a_link_that_ends_too(server: AppleServer, alice: Phone) -> None:
    body = {"identity_token": apple(), "authorization_code": server.code(SUB)}
    assert alice.post("/auth/link/apple", body).status_code == 200
    alice.post("/auth/link/google", {"id_token": google()})
    settle()
    alice.delete("/auth/link/google")
    assert settle() == 0
    alice.delete("/auth/link/apple")
    assert settle() == 1
    assert server.revoked == ["r0.refresh.token"]


def test_a_link_that_a_reset_ends_too(server: AppleServer, alice: Phone) -> None:
    alice.post("/auth/link/apple", {"identity_token": apple(), "authorization_code": server.code(SUB)})
    settle()
    reset()
    assert settle() == 1
    assert server.revoked == ["r0.refresh.token"]


@pytest.mark.django_db
def test_a_row_whose_person_went_by_another_way_is_given_back(server: AppleServer) -> None:
    sign_in(server.code(SUB))
    settle()
    User.objects.all().delete()
    assert settle() == 1
    assert server.revoked == ["r0.refresh.token"]


@pytest.mark.django_db
def test_a_deletion_that_is_rolled_back_gives_nothing_back(server: AppleServer) -> None:
    person = sign_in(server.code(SUB))
    settle()
    with transaction.atomic():
        delete(person)
        transaction.set_rollback(True)
    assert (settle(), kept()) == (0, (True, False, True, False))


@pytest.mark.django_db
def test_the_newest_code_counts(server: AppleServer) -> None:
    sign_in(server.code(SUB))
    settle()
    later = clock.now() + timedelta(minutes=6)
    with time_machine.travel(later):
        person = sign_in(server.code(SUB, "c2.code"))
        settle()
        delete(person)
        settle()
    assert server.revoked == ["r1.refresh.token"]


# ------------------------------------------------------------------------------------- what fails


@pytest.mark.django_db
def test_a_code_that_apple_refuses_is_forgotten(server: AppleServer) -> None:
    person = sign_in("spent.code")
    assert settle() == 1
    assert not AppleGrant.objects.exists()
    delete(person)


@pytest.mark.django_db
def test_a_refused_code_costs_no_token_that_is_there(server: AppleServer) -> None:
    sign_in(server.code(SUB))
    settle()
    sign_in("spent.code", jti="2")
    settle()
    assert kept() == (True, False, True, False)


@pytest.mark.django_db
def test_a_code_of_somebody_else_is_not_kept(server: AppleServer) -> None:
    sign_in(server.code("somebody else"))
    settle()
    assert not AppleGrant.objects.exists()


@pytest.mark.django_db
def test_a_code_that_waited_too_long_is_not_asked_about(server: AppleServer) -> None:
    sign_in(server.code(SUB))
    assert settle(clock.now() + apple_grants.CODE_LIVES) == 1
    assert (server.asked, AppleGrant.objects.count()) == ([], 0)


FAULTS = {
    "500": (500, b"oops"),
    "429": (429, b""),
    "a redirect": (302, b""),
    "our key is refused": refused("invalid_client"),
    "another refusal": refused("unauthorized_client"),
    "a refusal in no words": (400, b"[]"),
}


@pytest.mark.django_db
@pytest.mark.parametrize("fault", [*FAULTS, "garbage", "no token", "an odd token", "deep"])
def test_an_exchange_is_tried_again_while_the_code_lives(server: AppleServer, fault: str) -> None:
    garbage = {
        "garbage": b"<html>",
        "no token": b'{"id_token": "x"}',
        "an odd token": b'{"id_token": 5, "refresh_token": {}}',
        "deep": b"[" * 60_000,
    }
    sign_in(server.code(SUB))
    now = clock.now()
    server.answer = FAULTS.get(fault) or (200, garbage[fault])
    assert settle(now) == 0
    assert settle(now + timedelta(seconds=59)) == 0
    assert len(server.asked) == 1
    server.answer = None
    assert settle(now + timedelta(seconds=60)) == 1
    assert kept() == (True, False, True, False)


@pytest.mark.django_db
@pytest.mark.parametrize("fault", [*FAULTS, "silence", "nobody listens"])
def test_a_revocation_is_tried_again_for_days(
    server: AppleServer, fault: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apple_api, "READ_S", 0.1)
    person = sign_in(server.code(SUB))
    settle()
    delete(person)
    now = clock.now()
    server.answer, server.delay_s = FAULTS.get(fault), 0.5 if fault == "silence" else 0.0
    if fault == "nobody listens":
        settings.APPLE_AUTH_URL = "http://127.0.0.1:9/auth"
    for minutes in (1, 2, 4, 8):
        assert settle(now) == 0
        waits = AppleGrant.objects.get().next_attempt_at
        assert waits == now + timedelta(minutes=minutes)
        now = waits
    server.answer, server.delay_s, settings.APPLE_AUTH_URL = None, 0.0, server.url
    assert settle(now) == 1
    assert (server.revoked[-1], AppleGrant.objects.count()) == ("r0.refresh.token", 0)


@pytest.mark.django_db
def test_it_is_given_up_after_six_days(server: AppleServer) -> None:
    person = sign_in(server.code(SUB))
    settle()
    delete(person)
    started = now = clock.now()
    server.answer = FAULTS["500"]
    while AppleGrant.objects.exists():
        settle(now)
        now = getattr(AppleGrant.objects.first(), "next_attempt_at", now)
    assert timedelta(days=5) < now - started < timedelta(days=7)


@pytest.mark.django_db
def test_one_silence_is_waited_for_once(server: AppleServer) -> None:
    for number in range(3):
        sign_in(server.code(f"s{number}", f"c{number}"), sub=f"s{number}", email=None)
    server.answer = FAULTS["500"]
    settle()
    assert len(server.asked) == 1


@pytest.mark.django_db
def test_a_token_under_a_lost_key_is_let_go(server: AppleServer, settings: Any) -> None:
    person = sign_in(server.code(SUB))
    settle()
    settings.SECRET_KEY = "another" * 10
    delete(Api(person.token))
    assert settle() == 1
    assert (server.revoked, AppleGrant.objects.count()) == ([], 0)


# ------------------------------------------------------------------------------------------ races


@pytest.mark.django_db
@pytest.mark.parametrize("meanwhile", ["the account goes", "another code comes"])
def test_what_happens_while_apple_is_asked(server: AppleServer, meanwhile: str) -> None:
    """The exchange holds no lock, so that a deletion never waits for Apple."""
    person = sign_in(server.code(SUB))
    [grant] = AppleGrant.objects.all()
    now = clock.now()
    taken = apple_grants.claimed(now=now)
    assert taken == grant
    if meanwhile == "the account goes":
        delete(person)
        assert apple_grants.claimed(now=clock.now()) is None, "the lease holds"
        apple_grants.exchange(taken, now=now)
        assert kept() == (False, False, True, True)
        assert settle(now) == 1
        assert server.revoked == ["r0.refresh.token"]
    else:
        sign_in(server.code(SUB, "c2.code"), jti="2")
        apple_grants.exchange(taken, now=now)
        assert kept() == (True, True, True, True)
        assert settle() == 1
        delete(person)
        settle()
        assert server.revoked == ["r1.refresh.token"]


@pytest.mark.django_db(transaction=True)
def test_four_workers_ask_about_each_row_once(server: AppleServer) -> None:
    people = [sign_in(server.code(f"s{n}", f"c{n}"), sub=f"s{n}", email=None) for n in range(8)]
    assert sum(together(lambda _: settle(), range(4))) == 8
    for number, person in enumerate(people):
        delete(person, sub=f"s{number}", email=None)
    assert sum(together(lambda _: settle(), range(4))) == 8
    assert sorted(server.revoked) == sorted(f"r{n}.refresh.token" for n in range(8))
    assert len(server.asked) == 16


@pytest.mark.django_db(transaction=True)
def test_the_job_is_woken_after_the_commit(server: AppleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[str] = []
    monkeypatch.setattr(apple_grants, "wake", lambda task: woken.append(task.name))
    person = sign_in(server.code(SUB))
    assert woken == ["accounts.tasks.settle_apple_grants"]
    delete(person)
    assert woken == ["accounts.tasks.settle_apple_grants"] * 2


@pytest.mark.django_db(transaction=True)
def test_a_dead_worker_s_row_is_taken_up_after_its_lease(server: AppleServer) -> None:
    person = sign_in(server.code(SUB))
    settle()
    delete(person)
    now = clock.now()
    apple_grants.claimed(now=now)
    assert settle(now + timedelta(minutes=1)) == 0
    assert settle(now + timedelta(minutes=2)) == 1


# ---------------------------------------------------------------------------------------- secrets


@pytest.mark.django_db
def test_codes_and_tokens_are_kept_sealed_and_logged_nowhere(server: AppleServer) -> None:
    out = io.StringIO()
    handler, root = logging.StreamHandler(out), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        person = sign_in(server.code(SUB, "the.secret.code"))
        assert "the.secret.code" not in str(AppleGrant.objects.values().get())
        settle()
        assert "refresh.token" not in str(AppleGrant.objects.values().get())
        delete(person)
        server.answer = FAULTS["our key is refused"]
        settle()
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    said = out.getvalue()
    assert "Apple is not available" in said
    secrets = [value for _, form in server.asked for name, value in form.items() if "secret" in name]
    for secret in (*secrets, "secret.code", "refresh.token", SUB):
        assert secret not in said


@pytest.mark.django_db
def test_without_a_key_no_code_is_kept(server: AppleServer, settings: Any) -> None:
    settings.APPLE_TEAM_ID = settings.APPLE_KEY_ID = settings.APPLE_PRIVATE_KEY = ""
    person = sign_in(server.code(SUB))
    assert not AppleGrant.objects.exists()
    delete(person)
    assert (settle(), server.asked) == (0, [])


def test_google_s_sign_in_keeps_nothing(server: AppleServer, alice: Phone) -> None:
    body = {"id_token": google(), "authorization_code": "x"}
    assert alice.post("/auth/link/google", body).status_code == 200
    assert not AppleGrant.objects.exists()


@pytest.mark.django_db
def test_a_person_without_apple_goes_as_before(server: AppleServer) -> None:
    erasure.close(make.person().user.pk, now=clock.now())
    assert settle() == 0


def test_the_secret_is_short_and_for_apple(server: AppleServer) -> None:
    import jwt

    secret = apple_api.client_secret(APPLE_CLIENT, now=clock.now())
    claims = jwt.decode(secret, options={"verify_signature": False})
    assert (claims["iss"], claims["aud"], claims["sub"]) == (TEAM, "https://appleid.apple.com", APPLE_CLIENT)
    assert claims["exp"] - claims["iat"] == 300
