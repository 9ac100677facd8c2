from datetime import timedelta
from typing import Any

import pytest
import time_machine

from accounts import sessions
from accounts.models import RefreshToken, SecurityEvent, Session, User
from notifications.models import Notification
from notifications.services import announce_security_events
from tests import make
from tests.clients import Api, Phone
from tests.threads import together
from zinzino import clock


def signed_in(anyone: Api, **credentials: object) -> Any:
    return anyone.post("/auth/login", {"email": "alice@example.com", "password": make.PASSWORD, **credentials})


def test_login_answers_the_documented_shape(anyone: Api, alice: Phone) -> None:
    response = signed_in(anyone)
    assert response.status_code == 200
    assert set(response.data["user"]) == {"id", "email", "full_name", "profile_picture", "created_at"}
    assert Api(response.data["token"]).get("/profile").data["email"] == "alice@example.com"


@pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"email": "nobody@example.com"}])
def test_wrong_credentials_are_one_and_the_same_401(anyone: Api, alice: Phone, wrong: dict[str, str]) -> None:
    response = signed_in(anyone, **wrong)
    assert (response.status_code, response.error["code"]) == (401, "UNAUTHORIZED")
    assert response.error["details"] == {"reason": "credentials"}


@pytest.mark.parametrize("email", ["alice@example.com", "nobody@example.com"])
def test_a_failed_login_costs_one_hash_for_known_and_unknown(
    anyone: Api, alice: Phone, email: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accounts.hashers import BCryptHasher

    hashes: list[str] = []
    original = BCryptHasher.encode

    def counted(self: BCryptHasher, password: str, salt: str) -> str:
        hashes.append(salt)
        return str(original(self, password, salt))

    monkeypatch.setattr(BCryptHasher, "encode", counted)
    signed_in(anyone, email=email, password="wrong")
    assert len(hashes) == 1


def test_an_inactive_account_is_told_only_to_who_knows_the_password(anyone: Api, charlie: Phone) -> None:
    known = signed_in(anyone, email="charlie@example.com")
    guessed = signed_in(anyone, email="charlie@example.com", password="wrong")

    assert (known.status_code, known.error["details"]["reason"]) == (403, "account_inactive")
    assert guessed.status_code == 401
    assert charlie.get("/profile").status_code == 403


def test_refresh_gives_a_new_pair(anyone: Api, alice: Phone) -> None:
    response = anyone.post("/auth/refresh", {"refresh_token": alice.refresh_token})
    assert set(response.data) == {"token", "refresh_token", "expires_in"}
    assert response.data["refresh_token"] != alice.refresh_token
    assert response.data["expires_in"] == 86_400
    assert Api(response.data["token"]).get("/profile").status_code == 200


def test_refresh_tokens_are_kept_as_hashes_only(alice: Phone) -> None:
    row = RefreshToken.objects.get()
    assert alice.refresh_token not in row.token_hash
    assert len(row.token_hash) == 64


def test_a_lost_answer_is_given_again_identically(anyone: Api, alice: Phone) -> None:
    now = clock.now()
    with time_machine.travel(now, tick=False):
        first = anyone.post("/auth/refresh", {"refresh_token": alice.refresh_token}).data
    with time_machine.travel(now + timedelta(hours=23), tick=False):
        again = anyone.post("/auth/refresh", {"refresh_token": alice.refresh_token})
    assert again.status_code == 200
    assert again.data == {**first, "expires_in": 3600}
    assert RefreshToken.objects.count() == 2


@pytest.mark.parametrize("used", ["access", "refresh"])
def test_a_replay_after_the_child_was_used_ends_the_family(anyone: Api, alice: Phone, used: str) -> None:
    now = clock.now()
    child = anyone.post("/auth/refresh", {"refresh_token": alice.refresh_token}).data
    if used == "access":
        Api(child["token"]).get("/profile")
    else:
        anyone.post("/auth/refresh", {"refresh_token": child["refresh_token"]})

    with time_machine.travel(now + timedelta(seconds=11), tick=False):
        replay = anyone.post("/auth/refresh", {"refresh_token": alice.refresh_token})
        assert (replay.status_code, replay.error["details"]) == (401, {"reason": "token_reused"})
        dead = Api(child["token"]).get("/profile")
        assert (dead.status_code, dead.error["details"]) == (401, {"reason": "session_revoked"})


def test_a_twin_request_within_ten_seconds_is_no_replay(anyone: Api, alice: Phone) -> None:
    child = anyone.post("/auth/refresh", {"refresh_token": alice.refresh_token}).data
    Api(child["token"]).get("/profile")
    twin = anyone.post("/auth/refresh", {"refresh_token": alice.refresh_token})
    assert (twin.status_code, twin.data["refresh_token"]) == (200, child["refresh_token"])


def test_a_token_that_was_good_is_good_until_its_end(alice: Phone) -> None:
    assert alice.get("/profile").status_code == 200
    with time_machine.travel(clock.now() + timedelta(hours=24, seconds=1), tick=False):
        late = alice.get("/profile")
    assert (late.status_code, late.error["details"]) == (401, {"reason": "token_expired"})
    assert alice.get("/profile").status_code == 200


def test_after_a_day_a_lost_answer_is_a_replay(anyone: Api, alice: Phone) -> None:
    anyone.post("/auth/refresh", {"refresh_token": alice.refresh_token})
    with time_machine.travel(clock.now() + timedelta(hours=24, seconds=1), tick=False):
        replay = anyone.post("/auth/refresh", {"refresh_token": alice.refresh_token})
    assert replay.error["details"] == {"reason": "token_reused"}


def test_the_owner_hears_of_a_replay_once(anyone: Api, alice: Phone) -> None:
    child = anyone.post("/auth/refresh", {"refresh_token": alice.refresh_token}).data
    Api(child["token"]).get("/profile")
    with time_machine.travel(clock.now() + timedelta(minutes=1), tick=False):
        for _ in range(3):
            anyone.post("/auth/refresh", {"refresh_token": alice.refresh_token})
        assert SecurityEvent.objects.count() == 1
        assert (announce_security_events(now=clock.now()), announce_security_events(now=clock.now())) == (1, 0)
    assert [row.type for row in Notification.objects.filter(user=alice.user)] == ["security"]


def test_an_expired_refresh_token_says_so(anyone: Api, alice: Phone) -> None:
    with time_machine.travel(clock.now() + timedelta(days=31), tick=False):
        response = anyone.post("/auth/refresh", {"refresh_token": alice.refresh_token})
    assert (response.status_code, response.error["details"]) == (401, {"reason": "token_expired"})


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "ey" * 3000])
def test_no_refresh_token_is_refused_without_a_crash(anyone: Api, alice: Phone, token: str) -> None:
    assert anyone.post("/auth/refresh", {"refresh_token": token}).status_code in (401, 422)


def test_tokens_do_not_stand_in_for_each_other(anyone: Api, alice: Phone) -> None:
    assert Api(alice.refresh_token).get("/profile").status_code == 401
    assert anyone.post("/auth/refresh", {"refresh_token": alice.token}).status_code == 401


def test_logout_ends_this_session_at_once_and_no_other(anyone: Api, alice: Phone) -> None:
    other = Api(signed_in(anyone).data["token"])
    assert alice.post("/auth/logout").json() == {"success": True, "message": "Başarıyla çıkış yapıldı"}

    after = alice.get("/profile")
    assert (after.status_code, after.error["details"]) == (401, {"reason": "session_revoked"})
    refresh = anyone.post("/auth/refresh", {"refresh_token": alice.refresh_token})
    assert (refresh.status_code, refresh.error["details"]) == (401, {"reason": "session_revoked"})
    assert other.get("/profile").status_code == 200


def test_an_expired_access_token_says_so(alice: Phone) -> None:
    with time_machine.travel(clock.now() + timedelta(hours=25), tick=False):
        response = alice.get("/profile")
    assert (response.status_code, response.error["details"]) == (401, {"reason": "token_expired"})


def test_a_deleted_account_says_so(alice: Phone) -> None:
    User.objects.filter(pk=alice.user.pk).delete()
    response = alice.get("/profile")
    assert (response.status_code, response.error["details"]) == (401, {"reason": "account_deleted"})


def test_the_phone_is_written_down_when_it_says_who_it_is(alice: Phone) -> None:
    alice.get("/profile", HTTP_X_APP_VERSION="1.2.3", HTTP_X_PLATFORM="android")
    session = Session.objects.get()
    assert (session.app_version, session.platform) == ("1.2.3", "android")


def test_a_rotation_takes_four_statements(alice: Phone, statements: make.Statements) -> None:
    with statements(4):
        sessions.rotate(alice.refresh_token, now=clock.now())


@pytest.mark.django_db(transaction=True)
def test_eight_parallel_refreshes_share_one_child() -> None:
    alice = Phone(make.person())
    answers = together(lambda _: Api().post("/auth/refresh", {"refresh_token": alice.refresh_token}), range(8))

    assert [answer.status_code for answer in answers] == [200] * 8
    assert len({answer.data["refresh_token"] for answer in answers}) == 1
    assert RefreshToken.objects.filter(used_at=None).count() == 1


def test_a_login_that_overlaps_a_change_of_the_password_opens_nothing(
    anyone: Api, alice: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accounts import services

    def changed_meanwhile(user: User, password: str) -> bool:
        User.objects.filter(pk=user.pk).update(password="another hash")
        return True

    monkeypatch.setattr(services, "verified", changed_meanwhile)
    assert signed_in(anyone).status_code == 401
    assert Session.objects.count() == 1
