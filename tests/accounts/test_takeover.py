"""What somebody who registered your address, held your phone or knew your password for a while cannot keep."""

import base64
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from allauth.socialaccount.models import SocialAccount
from django.db import connection, transaction
from pytest_django import Settings

from accounts import one_time, provider_links, provider_sign_in, recovery, services
from accounts.authentication import AccountDeleted
from accounts.linking import Provider
from accounts.models import OneTimeToken, Session, User
from accounts.one_time import InvalidToken, Purpose
from accounts.sessions import Client
from accounts.social import verified
from syncapi import erasure
from tests import make
from tests.accounts.providers import KeyServer, apple, google
from tests.accounts.test_recovery import NEW, mailed
from tests.clients import Api, Phone
from zinzino import clock

THIEF = "thief@example.com"
RESET = {"email": "alice@example.com"}


def prove(phone: Phone) -> None:
    User.objects.filter(pk=phone.user.pk).update(is_verified=True)


def reset(email: str = "alice@example.com") -> Any:
    Api().post("/auth/forgot-password", {"email": email})
    token = mailed("reset_password", to=email)
    return Api().post("/auth/reset-password", {"token": token, "new_password": NEW})


def ask_to_move(phone: Phone, to: str, password: str = make.PASSWORD) -> Any:
    return phone.post("/profile/email", {"new_email": to, "password": password})


def move(phone: Phone, to: str) -> None:
    assert ask_to_move(phone, to).status_code == 200
    answer = Api().post("/auth/verify-email", {"token": mailed("change_email", to=to)})
    assert answer.status_code == 200


def undo(token: str) -> None:
    recovery.undo_email_change(token, now=clock.now())


# ----------------------------------------------------------------------------- another address


def test_a_move_that_was_begun_before_a_reset_ends_with_it(alice: Phone) -> None:
    ask_to_move(alice, THIEF)
    assert reset().status_code == 200
    late = Api().post("/auth/verify-email", {"token": mailed("change_email", to=THIEF)})
    assert (late.status_code, late.error["code"]) == (400, "INVALID_TOKEN")
    assert User.objects.get().email == "alice@example.com"


def test_a_move_that_was_begun_with_the_former_password_ends_with_it(alice: Phone) -> None:
    ask_to_move(alice, THIEF)
    alice.put("/profile/password", {"current_password": make.PASSWORD, "new_password": NEW})
    late = Api().post("/auth/verify-email", {"token": mailed("change_email", to=THIEF)})
    assert late.status_code == 400


def test_the_way_back_outlives_further_moves(alice: Phone) -> None:
    prove(alice)
    for number in range(5):
        move(alice, f"thief{number}@example.com")
    undo(mailed("email_changed"))
    assert User.objects.get().email == "alice@example.com"
    # Nobody who came later can take it again.
    for number in range(4):
        with pytest.raises(InvalidToken):
            undo(mailed("email_changed", to=f"thief{number}@example.com"))


def test_the_way_back_outlives_a_reset_by_the_thief_and_the_thief_s_own_way_back(alice: Phone) -> None:
    move(alice, THIEF)
    move(alice, "other@example.com")
    undo(mailed("email_changed", to=THIEF))
    assert reset(THIEF).status_code == 200
    assert User.objects.get().email == THIEF
    undo(mailed("email_changed"))
    assert User.objects.get().email == "alice@example.com"


def test_nobody_can_register_an_address_that_may_still_come_back(alice: Phone, bob: Phone) -> None:
    now = clock.now()
    move(alice, THIEF)
    form = {"email": "Alice@example.com", "password": make.PASSWORD, "full_name": "Squatter"}
    squat = Api().post("/auth/register", form)
    assert (squat.status_code, squat.error["details"]) == (409, {"reason": "duplicate"})
    assert ask_to_move(bob, "alice@example.com").status_code == 409
    # Its owner may move back, and after a week anybody may have it.
    assert ask_to_move(alice, "alice@example.com").status_code == 200
    with time_machine.travel(now + timedelta(days=7, minutes=1)):
        assert Api().post("/auth/register", form).status_code == 201


@pytest.mark.django_db
def test_nor_sign_in_to_a_new_account_with_it(keys: KeyServer) -> None:
    phone = Phone(make.person("alice@gmail.com"))
    move(phone, THIEF)
    answer = Api().post("/auth/google", {"id_token": google(email="alice@gmail.com")})
    assert (answer.status_code, answer.error["details"]) == (409, {"reason": "link_required"})
    undo(mailed("email_changed", to="alice@gmail.com"))
    assert Api().post("/auth/google", {"id_token": google(email="alice@gmail.com")}).status_code == 200


# ------------------------------------------------------------------------------ added sign-ins


def test_a_reset_ends_all_sign_ins_that_were_added_before_the_address_was_proven(
    keys: KeyServer, alice: Phone
) -> None:
    alice.post("/auth/link/google", {"id_token": google(sub="thief")})
    SocialAccount.objects.update(date_joined=clock.now() - timedelta(days=100))
    reset()
    assert not SocialAccount.objects.exists()
    assert User.objects.values_list("oauth_provider", "oauth_provider_id").get() == ("", "")
    assert Api().post("/auth/google", {"id_token": google(sub="thief")}).data["is_new_user"] is True


def test_a_reset_ends_those_of_the_last_week_and_keeps_older_ones(keys: KeyServer, alice: Phone) -> None:
    prove(alice)
    alice.post("/auth/link/apple", {"identity_token": apple(sub="own")})
    SocialAccount.objects.update(date_joined=clock.now() - provider_links.DOUBTFUL)
    alice.post("/auth/link/google", {"id_token": google(sub="thief")})
    reset()
    assert list(SocialAccount.objects.values_list("provider", "uid")) == [("apple", "own")]
    assert User.objects.values_list("oauth_provider", "oauth_provider_id").get() == ("apple", "own")


def test_undoing_a_move_ends_added_sign_ins(keys: KeyServer, alice: Phone) -> None:
    prove(alice)
    alice.post("/auth/link/google", {"id_token": google(sub="thief")})
    SocialAccount.objects.update(date_joined=clock.now() - timedelta(days=100))
    move(alice, THIEF)
    undo(mailed("email_changed"))
    assert not SocialAccount.objects.exists()


def while_locked(user: User, change: Callable[[], None], beside: Callable[[], Any]) -> Any:
    """What `beside` answers when it began before `change`, which ends first."""
    answers: list[Any] = []

    def run() -> None:
        try:
            answers.append(beside())
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        thread.start()
        wait_for_a_waiter()
        change()
    thread.join(timeout=20)
    return answers[0]


def wait_for_a_waiter() -> None:
    for _ in range(500):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
        time.sleep(0.02)
    raise AssertionError("nobody waits for the lock")


@pytest.mark.django_db(transaction=True)
def test_a_sign_in_under_way_does_not_survive_the_wipe_of_its_link(keys: KeyServer) -> None:
    """Without the lock it opens its session just after all sessions were ended."""
    user = make.person("victim@gmail.com").user
    SocialAccount.objects.create(user=user, provider="google", uid="thief")
    body = {"id_token": google(sub="thief", email="thief@gmail.com")}
    answer = while_locked(
        user,
        change=lambda: provider_sign_in.wipe(user, now=clock.now()),
        beside=lambda: Api().post("/auth/google", body),
    )
    assert answer.data["user"]["email"] == "thief@gmail.com"
    assert not Session.objects.filter(user=user, ended_at=None).exists()


@pytest.mark.django_db(transaction=True)
def test_a_link_under_way_does_not_reach_a_deleted_account(keys: KeyServer) -> None:
    alice = Phone(make.person("alice@example.com"))
    identity = verified(Provider.GOOGLE, google(sub="g1"), now=clock.now())
    erasure.close(alice.user.pk, now=clock.now())
    with pytest.raises(AccountDeleted):
        provider_sign_in.link(alice.user.pk, identity, now=clock.now())
    with pytest.raises(AccountDeleted):
        provider_sign_in.unlink(alice.user.pk, Provider.GOOGLE, now=clock.now())
    assert Api().post("/auth/google", {"id_token": google(sub="g1")}).data["is_new_user"] is True


def test_a_change_under_way_does_not_name_a_deleted_person(alice: Phone) -> None:
    erasure.close(alice.user.pk, now=clock.now())
    services.update_profile(alice.user.pk, {"full_name": "Alice Again"}, now=clock.now())
    assert User.objects.get().full_name == ""


# ------------------------------------------------------------------------------ guesses, tokens


GUESSES: dict[str, Callable[[Phone, str], Any]] = {
    "new password": lambda phone, word: phone.put(
        "/profile/password", {"current_password": word, "new_password": NEW}
    ),
    "new address": lambda phone, word: ask_to_move(phone, THIEF, word),
    "deletion": lambda phone, word: phone.delete("/profile", {"confirmation": "DELETE", "password": word}),
}


@pytest.mark.parametrize("way", GUESSES)
def test_a_stolen_phone_cannot_guess_the_password(alice: Phone, way: str) -> None:
    for _ in range(10):
        assert GUESSES[way](alice, "wrong").status_code == 401
    for other in GUESSES.values():
        locked = other(alice, make.PASSWORD)
        assert (locked.status_code, locked.error["details"]["reason"]) == (403, "account_locked")
        assert 0 < int(locked["Retry-After"]) <= 900
    # The owner is not locked out.
    login = Api().post("/auth/login", {"email": "alice@example.com", "password": make.PASSWORD})
    assert login.status_code == 200


def test_many_stolen_phones_count_together(alice: Phone, settings: Settings) -> None:
    settings.LOGIN_FAILURES_PER_EMAIL = 12
    other = Phone(services.login(**login_of(alice), now=clock.now()))
    for phone in (alice, other):
        for _ in range(6):
            GUESSES["new password"](phone, "wrong")
    assert GUESSES["new password"](other, make.PASSWORD).status_code == 403


def login_of(phone: Phone) -> dict[str, Any]:
    client = Client(address="192.0.2.7")
    return {"email": phone.user.email, "password": make.PASSWORD, "client": client}


def respelt(token: str) -> str:
    """The same token: the last letter of its signature holds four bits that nobody reads."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = token[:-1] + letters[letters.index(token[-1]) ^ 1]
    signatures = {base64.urlsafe_b64decode(each.rpartition(".")[2] + "==") for each in (token, other)}
    assert len(signatures) == 1
    return other


@pytest.mark.django_db
def test_a_token_has_one_spelling(keys: KeyServer) -> None:
    """PyJWT sees to it; a token is known again by its text."""
    token = google()
    assert Api().post("/auth/google", {"id_token": token}, HTTP_USER_AGENT="Zinzino/1").status_code == 200
    thief = Api().post("/auth/google", {"id_token": respelt(token)}, HTTP_USER_AGENT="curl/8")
    assert (thief.status_code, thief.error["code"]) == (400, "INVALID_TOKEN")


def test_silence_about_addresses_is_kept_after_five_mails_too(
    anyone: Api, alice: Phone, settings: Settings
) -> None:
    settings.REVEAL_UNKNOWN_EMAIL = False
    for email in ("alice@example.com", "nobody@example.com"):
        answers = [anyone.post("/auth/forgot-password", {"email": email}).status_code for _ in range(7)]
        assert answers == [200] * 7
    assert alice.user.mails.filter(kind="reset_password").count() == 5


@pytest.mark.parametrize("email", ["alice@example.com", "nobody@example.com"])
def test_silence_about_addresses_takes_its_time(alice: Phone, settings: Settings, email: str) -> None:
    settings.REVEAL_UNKNOWN_EMAIL = False
    started = time.monotonic()
    recovery.request_reset(email, now=clock.now())
    assert time.monotonic() - started >= recovery.SILENT_ANSWER_S


def test_ended_tokens_are_gone(alice: Phone) -> None:
    one_time.issue(alice.user, Purpose.UNDO_EMAIL_CHANGE, email="a@example.com", now=clock.now())
    one_time.end_all(alice.user)
    assert OneTimeToken.objects.get().purpose == Purpose.UNDO_EMAIL_CHANGE
