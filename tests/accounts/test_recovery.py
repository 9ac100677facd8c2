import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from pytest_django import Settings

from accounts.models import Mail, OneTimeToken, SecurityEvent, Session, User
from tests import make
from tests.clients import Api, Phone
from tests.threads import together
from zinzino import clock

NEW = "NewSecurePassword456!"


def mailed(kind: str, to: str = "alice@example.com") -> str:
    """The token in the newest mail of a kind."""
    text = Mail.objects.filter(kind=kind, to=to).latest("pk").text
    match = re.search(r"\?token=([\w-]+)", text)
    assert match
    return match[1]


def login(anyone: Api, password: str) -> Any:
    return anyone.post("/auth/login", {"email": "alice@example.com", "password": password})


def test_registration_mails_a_link_that_verifies_once(anyone: Api, alice: Phone) -> None:
    token = mailed("verify_email")
    first = anyone.post("/auth/verify-email", {"token": token})
    again = anyone.post("/auth/verify-email", {"token": token})

    assert first.json() == {"success": True, "message": "Email adresiniz doğrulandı"}
    assert (again.status_code, again.error["code"]) == (400, "INVALID_TOKEN")
    assert alice.get("/profile").data["is_verified"] is True


def test_tokens_are_kept_as_hashes(alice: Phone) -> None:
    assert mailed("verify_email") not in str(OneTimeToken.objects.values().get())


def test_a_forgotten_password_is_reset_by_mail(anyone: Api, alice: Phone) -> None:
    asked = anyone.post("/auth/forgot-password", {"email": "ALICE@example.com"})
    assert asked.json()["message"] == "Şifre sıfırlama bağlantısı email adresinize gönderildi"

    token = mailed("reset_password")
    done = anyone.post("/auth/reset-password", {"token": token, "new_password": NEW})
    assert done.json() == {"success": True, "message": "Şifreniz başarıyla güncellendi"}
    assert login(anyone, NEW).status_code == 200
    assert login(anyone, make.PASSWORD).status_code == 401
    assert alice.get("/profile").error["details"] == {"reason": "session_revoked"}
    assert User.objects.get(pk=alice.user.pk).is_verified
    assert Mail.objects.filter(kind="password_changed").count() == 1
    assert anyone.post("/auth/reset-password", {"token": token, "new_password": NEW}).status_code == 400


def test_an_unknown_address_is_404_or_kept_secret_by_setting(anyone: Api, db: None, settings: Settings) -> None:
    unknown = {"email": "nobody@example.com"}
    assert anyone.post("/auth/forgot-password", unknown).status_code == 404
    settings.REVEAL_UNKNOWN_EMAIL = False
    assert anyone.post("/auth/forgot-password", unknown).status_code == 200
    assert not Mail.objects.exists()


def test_five_reset_mails_an_hour(anyone: Api, alice: Phone) -> None:
    now = clock.now()
    with time_machine.travel(now, tick=False):
        answers = [anyone.post("/auth/forgot-password", {"email": "alice@example.com"}) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert answers[5].error["code"] == "RATE_LIMIT_EXCEEDED"
    assert 3500 < int(answers[5]["Retry-After"]) <= 3601
    with time_machine.travel(now + timedelta(hours=1, seconds=1), tick=False):
        assert anyone.post("/auth/forgot-password", {"email": "alice@example.com"}).status_code == 200


def test_the_last_three_links_stay_good_until_one_is_used(anyone: Api, alice: Phone) -> None:
    tokens = []
    for _ in range(4):
        anyone.post("/auth/forgot-password", {"email": "alice@example.com"})
        tokens.append(mailed("reset_password"))

    def reset(token: str) -> int:
        return int(anyone.post("/auth/reset-password", {"token": token, "new_password": NEW}).status_code)

    assert [reset(token) for token in (tokens[0], tokens[1], tokens[2], tokens[3])] == [400, 200, 400, 400]


def test_a_rejected_password_does_not_burn_the_token(anyone: Api, alice: Phone) -> None:
    anyone.post("/auth/forgot-password", {"email": "alice@example.com"})
    token = mailed("reset_password")
    weak = anyone.post("/auth/reset-password", {"token": token, "new_password": "12345"})
    assert (weak.status_code, list(weak.error["details"])) == (422, ["new_password"])
    assert anyone.post("/auth/reset-password", {"token": token, "new_password": NEW}).status_code == 200


@pytest.mark.parametrize(
    ("purpose", "path", "good_for"),
    [("verify_email", "/auth/verify-email", 48), ("reset_password", "/auth/reset-password", 1)],
)
def test_tokens_expire(anyone: Api, alice: Phone, purpose: str, path: str, good_for: int) -> None:
    anyone.post("/auth/forgot-password", {"email": "alice@example.com"})
    token = mailed(purpose)
    with time_machine.travel(clock.now() + timedelta(hours=good_for, seconds=1), tick=False):
        late = anyone.post(path, {"token": token, "new_password": NEW})
    assert (late.status_code, late.error["code"]) == (400, "INVALID_TOKEN")


def test_a_token_is_good_for_its_own_purpose_alone(anyone: Api, alice: Phone) -> None:
    verify = mailed("verify_email")
    assert anyone.post("/auth/reset-password", {"token": verify, "new_password": NEW}).status_code == 400


@pytest.mark.django_db(transaction=True)
def test_a_reset_token_used_twice_at_once_works_once() -> None:
    alice = Phone(make.person("alice@example.com"))
    alice.post("/auth/forgot-password", {"email": "alice@example.com"})
    token = mailed("reset_password")
    answers = together(
        lambda password: Api().post("/auth/reset-password", {"token": token, "new_password": password}),
        [f"{NEW}{number}" for number in range(4)],
    )
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400]


def test_changing_the_password_ends_the_other_sessions(anyone: Api, alice: Phone) -> None:
    other = Api(login(anyone, make.PASSWORD).data["token"])
    changed = alice.put("/profile/password", {"current_password": make.PASSWORD, "new_password": NEW})

    assert changed.json() == {"success": True, "message": "Şifre başarıyla güncellendi"}
    assert alice.get("/profile").status_code == 200
    assert other.get("/profile").status_code == 401
    assert login(anyone, NEW).status_code == 200
    assert SecurityEvent.objects.get().kind == "password_changed"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"current_password": "wrong", "new_password": NEW}, 401),
        ({"current_password": make.PASSWORD, "new_password": "12345"}, 422),
        ({"current_password": make.PASSWORD}, 422),
    ],
)
def test_a_refused_change_changes_nothing(alice: Phone, body: dict[str, str], status: int) -> None:
    before = User.objects.values().get()
    response = alice.put("/profile/password", body)
    assert response.status_code == status
    assert User.objects.values().get() == before


def test_a_verification_can_be_sent_again(anyone: Api, alice: Phone) -> None:
    assert alice.post("/auth/resend-verification").status_code == 200
    anyone.post("/auth/verify-email", {"token": mailed("verify_email")})
    assert alice.post("/auth/resend-verification").json()["message"] == "Email adresiniz zaten doğrulanmış"
    assert Mail.objects.filter(kind="verify_email").count() == 2


def test_nothing_is_sent_where_apple_keeps_the_address(alice: Phone) -> None:
    User.objects.filter(pk=alice.user.pk).update(email=None)
    answer = alice.post("/auth/resend-verification", HTTP_ACCEPT_LANGUAGE="en")
    assert (answer.status_code, answer.error["message"]) == (422, "This account has no email address.")
    assert Mail.objects.count() == 1


@pytest.mark.parametrize("token", ["nonsense", "x" * 201, "x" * 200_000, 5])
def test_whatever_is_no_token_of_ours_is_refused_as_one(anyone: Api, db: None, token: object) -> None:
    mailed_ones = (
        anyone.post("/auth/verify-email", {"token": token}),
        anyone.post("/auth/reset-password", {"token": token, "new_password": NEW}),
    )
    assert [(answer.status_code, answer.error["code"]) for answer in mailed_ones] == [(400, "INVALID_TOKEN")] * 2
    refreshed = anyone.post("/auth/refresh", {"refresh_token": token})
    assert (refreshed.status_code, refreshed.error["details"]) == (401, {"reason": "token_invalid"})


def test_an_address_moves_when_the_new_one_is_proven(anyone: Api, alice: Phone) -> None:
    asked = alice.post("/profile/email", {"new_email": "New@Example.com", "password": make.PASSWORD})
    assert asked.status_code == 200
    assert alice.get("/profile").data["email"] == "alice@example.com"

    anyone.post("/auth/verify-email", {"token": mailed("change_email", to="new@example.com")})
    profile = alice.get("/profile").data
    assert (profile["email"], profile["is_verified"]) == ("new@example.com", True)


def test_the_old_address_can_take_the_account_back(anyone: Api, alice: Phone) -> None:
    alice.post("/profile/email", {"new_email": "thief@example.com", "password": make.PASSWORD})
    anyone.post("/auth/verify-email", {"token": mailed("change_email", to="thief@example.com")})
    undo = mailed("email_changed")

    from accounts import recovery

    recovery.undo_email_change(undo, now=clock.now())
    user = User.objects.get(pk=alice.user.pk)
    assert (user.email, user.has_usable_password()) == ("alice@example.com", False)
    assert not Session.objects.filter(ended_at=None).exists()
    text = Mail.objects.get(kind="reset_password").text
    assert "hiçbir şey yapmanız gerekmez" not in text  # the old password is void: there is something to do
    reset = anyone.post("/auth/reset-password", {"token": mailed("reset_password"), "new_password": NEW})
    assert reset.status_code == 200


def test_who_has_no_password_is_told_so(alice: Phone) -> None:
    User.objects.filter(pk=alice.user.pk).update(password="!")
    answers = (
        alice.put("/profile/password", {"current_password": "x", "new_password": NEW}),
        alice.post("/profile/email", {"new_email": "new@example.com", "password": "x"}),
    )
    for answer in answers:
        assert (answer.status_code, answer.error["details"]) == (401, {"reason": "credentials"})
        assert answer.error["message"].startswith("Bu hesabın henüz bir şifresi yok.")


def test_a_taken_address_cannot_be_moved_to(alice: Phone, bob: Phone) -> None:
    taken = alice.post("/profile/email", {"new_email": "bob@example.com", "password": make.PASSWORD})
    assert (taken.status_code, taken.error["code"]) == (409, "DUPLICATE_ENTRY")
    wrong = alice.post("/profile/email", {"new_email": "x@example.com", "password": "wrong"})
    assert (wrong.status_code, wrong.error["details"]) == (401, {"reason": "credentials"})


def test_an_address_that_was_taken_meanwhile_stays_with_its_owner(anyone: Api, alice: Phone) -> None:
    alice.post("/profile/email", {"new_email": "carol@example.com", "password": make.PASSWORD})
    make.person("carol@example.com")
    late = anyone.post("/auth/verify-email", {"token": mailed("change_email", to="carol@example.com")})
    assert late.status_code == 409
    assert alice.get("/profile").data["email"] == "alice@example.com"
