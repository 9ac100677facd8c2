"""How staff sign in: the lock, the second step, and how long it lasts."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import redis
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client, RequestFactory
from pytest_django import Settings

from accounts import lock
from accounts.models import User
from backoffice import second_factor
from tests import make
from tests.admin.desk import body, member, signed_in
from tests.clients import Phone
from tests.threads import together, until_it_waits_or_is_done
from zinzino import clock
from zinzino.models import AuditEntry

EMAIL = "support_l2@staff.example"


def browser() -> Client:
    return Client(headers={"accept-language": "en"})


def sign_in(client: Client, password: str = make.PASSWORD, email: str = EMAIL, to: str = "") -> Any:
    return client.post(f"/admin/login/?next={to}", {"username": email, "password": password})


def code_of(secret: str, *, steps: int = 0) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps))


def with_factor() -> tuple[User, str, list[str]]:
    """A member of staff who has set up an authenticator app, its secret, and the recovery codes."""
    user, client = member("support_l2"), browser()
    client.force_login(user)
    body(client.get("/admin/second-factor/"))
    secret = client.session[second_factor.SECRET]
    codes = client.post("/admin/second-factor/", {"code": code_of(secret, steps=-1)}).context["codes"]
    return user, secret, codes


@pytest.fixture
def staff(db: None) -> User:
    return member("support_l2")


def test_a_password_is_enough_where_no_second_step_is_demanded_or_set_up(staff: User) -> None:
    client = browser()
    assert sign_in(client).headers["Location"] == "/admin/"
    assert client.get("/admin/").status_code == 200
    assert AuditEntry.objects.get(actor_id=staff.pk).action == "signed_in"


def test_capitals_in_the_address_are_the_same_address(staff: User) -> None:
    assert sign_in(browser(), email=EMAIL.upper()).status_code == 302


def test_who_guesses_is_locked_out_as_at_the_app_s_login(staff: User, settings: Settings) -> None:
    for _ in range(settings.LOGIN_FAILURES_PER_ADDRESS):
        assert "Please enter the correct" in body(sign_in(browser(), "wrong"))
    assert "Too many failed attempts" in body(sign_in(browser()))
    call_command("unlock_user", EMAIL)
    assert sign_in(browser()).status_code == 302


def test_a_customer_s_right_password_looks_like_a_wrong_one_and_counts(alice: Phone, settings: Settings) -> None:
    for _ in range(settings.LOGIN_FAILURES_PER_ADDRESS):
        right = body(sign_in(browser(), email="alice@example.com"))
        assert "Please enter the correct" in right
    assert "Too many failed attempts" in body(sign_in(browser(), email="alice@example.com"))


@pytest.mark.parametrize(
    "to", ["https://evil.example/", "//evil.example/admin/", "/v1/profile", "javascript:alert(1)"]
)
def test_nobody_is_sent_elsewhere(staff: User, to: str) -> None:
    assert sign_in(browser(), to=to).headers["Location"] == "/admin/"


def test_where_it_is_demanded_the_second_step_is_set_up_first(staff: User, settings: Settings) -> None:
    settings.STAFF_MFA_REQUIRED = True
    client = browser()
    assert sign_in(client, to="/admin/search/").headers["Location"] == "/admin/second-step/"
    assert client.get("/admin/").status_code == 302, "the password alone opens nothing"
    assert 'role="img"' in body(client.get("/admin/second-step/"))
    secret = client.session[second_factor.SECRET]
    assert "This code is wrong" in body(client.post("/admin/second-step/", {"code": "000000"}))
    assert client.get("/admin/").status_code == 302
    done = client.post("/admin/second-step/", {"code": code_of(secret)})
    assert len(done.context["codes"]) == 10
    assert client.get("/admin/").status_code == 200
    assert secret not in str(list(Authenticator.objects.values_list("data", flat=True))), "secrets are encrypted"


def test_the_code_of_the_app_opens_and_is_good_once(db: None) -> None:
    _user, secret, _codes = with_factor()
    code = code_of(secret)
    first, second = browser(), browser()
    sign_in(first), sign_in(second)
    assert first.get("/admin/").status_code == 302
    assert first.post("/admin/second-step/", {"code": code}).headers["Location"] == "/admin/"
    assert first.get("/admin/").status_code == 200
    assert "used before" in body(second.post("/admin/second-step/", {"code": code}))
    assert second.get("/admin/").status_code == 302


def test_a_recovery_code_opens_once(db: None) -> None:
    _user, _secret, codes = with_factor()
    first, second = browser(), browser()
    sign_in(first), sign_in(second)
    assert first.post("/admin/second-step/", {"code": codes[3]}).status_code == 302
    assert "used before" in body(second.post("/admin/second-step/", {"code": codes[3]}))


def test_codes_are_not_guessed(db: None, settings: Settings) -> None:
    _user, secret, _codes = with_factor()
    client = browser()
    sign_in(client)
    for _ in range(settings.LOGIN_FAILURES_PER_ADDRESS):
        client.post("/admin/second-step/", {"code": "12345678"})
    assert "Too many failed attempts" in body(client.post("/admin/second-step/", {"code": code_of(secret)}))


def test_a_second_factor_is_not_replaced_by_who_knows_the_password(db: None, settings: Settings) -> None:
    _user, _secret, _codes = with_factor()
    settings.STAFF_MFA_REQUIRED = True
    client = browser()
    sign_in(client)
    assert 'role="img"' not in body(client.get("/admin/second-step/"))
    session = client.session
    session[second_factor.SECRET] = "JBSWY3DPEHPK3PXP"
    session.save()
    client.post("/admin/second-step/", {"code": code_of("JBSWY3DPEHPK3PXP")})
    assert client.get("/admin/").status_code == 302
    assert client.get("/admin/second-factor/").status_code == 302


def test_after_five_minutes_the_password_has_to_be_typed_again(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    _user, secret, _codes = with_factor()
    client = browser()
    sign_in(client)
    later = clock.now() + timedelta(minutes=6)
    monkeypatch.setattr(clock, "now", lambda: later)
    answer = client.post("/admin/second-step/", {"code": code_of(secret)})
    assert answer.headers["Location"] == "/admin/login/"


def test_a_secret_under_another_key_lets_nobody_in(db: None, settings: Settings) -> None:
    _user, _secret, codes = with_factor()
    settings.SECRET_KEY = "another-key-of-the-product-that-is-long-enough"
    client = browser()
    sign_in(client)
    for code in (format_hotp_value(hotp_value("", int(time.time()) // 30)), codes[0]):
        client.post("/admin/second-step/", {"code": code})
        assert client.get("/admin/").status_code == 302


def test_a_session_from_before_the_demand_ends_with_it(db: None, settings: Settings) -> None:
    client = signed_in("admin")
    assert client.get("/admin/").status_code == 200
    settings.STAFF_MFA_REQUIRED = True
    assert client.get("/admin/").status_code == 302


def test_a_day_at_the_desk_is_eight_hours_however_busy(staff: User, monkeypatch: pytest.MonkeyPatch) -> None:
    client = browser()
    sign_in(client)
    start = clock.now()
    for hours, code in ((4, 200), (7.9, 200), (8.1, 302)):
        monkeypatch.setattr(clock, "now", lambda moment=start + timedelta(hours=hours): moment)
        assert client.get("/admin/").status_code == code


def test_a_lost_factor_is_taken_away_by_a_command_that_is_written_down(db: None) -> None:
    user, _secret, _codes = with_factor()
    call_command("reset_second_factor", EMAIL)
    assert not Authenticator.objects.filter(user_id=user.pk).exists()
    row = AuditEntry.objects.get(action="second_factor_reset")
    assert (row.actor_id, row.actor, row.object_id) == (None, "manage.py", str(user.pk))


def test_who_leaves_is_outside_at_once(staff: User) -> None:
    client = browser()
    sign_in(client)
    User.objects.filter(pk=staff.pk).update(is_staff=False)
    assert client.get("/admin/").status_code == 302


def change_password(client: Client, old: str, new: str) -> Any:
    typed = {"old_password": old, "new_password1": new, "new_password2": new}
    return client.post("/admin/password_change/", typed)


def test_staff_change_their_own_password(staff: User, settings: Settings) -> None:
    client, other = browser(), browser()
    sign_in(client), sign_in(other)
    assert "at least 12 characters" in body(change_password(client, make.PASSWORD, "12345678901"))
    assert "old password was entered incorrectly" in body(change_password(client, "wrong", "another-password"))
    assert change_password(client, make.PASSWORD, "another-password").status_code == 302
    assert (client.get("/admin/").status_code, other.get("/admin/").status_code) == (200, 302)
    assert sign_in(browser(), "another-password").status_code == 302
    actions = AuditEntry.objects.filter(actor_id=staff.pk).values_list("action", flat=True)
    assert "password_changed" in actions


def test_who_finds_an_open_desk_does_not_guess_the_password(staff: User, settings: Settings) -> None:
    client = browser()
    client.force_login(staff)
    for _ in range(settings.LOGIN_FAILURES_PER_ADDRESS):
        change_password(client, "wrong", "another-password")
    assert "Too many failed attempts" in body(change_password(client, make.PASSWORD, "another-password"))


def test_django_s_own_ways_to_names_are_closed(db: None) -> None:
    client = signed_in("admin")
    asked = "?app_label=accounts&model_name=session&field_name=user"
    assert client.get(f"/admin/autocomplete/{asked}").status_code == 404
    assert client.get(f"/admin/backoffice/staffmember/{client.user.pk}/history/").status_code == 404


# --- new recovery codes -------------------------------------------------------------------------

FACTOR = "/admin/second-factor/"


def opens(code: str) -> bool:
    """Whether the code is taken after the password."""
    client = browser()
    sign_in(client)
    return bool(client.post("/admin/second-step/", {"code": code}).status_code == 302)


def shown_codes(page: str) -> list[str]:
    return re.findall(r"<li>(\d{8})</li>", page)


def renewing(user: User, code: str) -> list[str]:
    client = browser()
    client.force_login(user)
    return shown_codes(body(client.post(FACTOR, {"code": code})))


def test_new_recovery_codes_end_the_former_ones_and_are_shown_once(db: None) -> None:
    user, secret, former = with_factor()
    assert opens(former[0])
    client = browser()
    client.force_login(user)
    assert "9 recovery codes are left." in body(client.get(FACTOR))
    shown = body(client.post(FACTOR, {"code": code_of(secret)}))
    codes = shown_codes(shown)
    assert (len(set(codes)), set(codes) & set(former)) == (10, set())
    again = body(client.get(FACTOR))
    assert ("10 recovery codes are left." in again, codes[0] in again) == (True, False)
    assert [opens(code) for code in (*former[:3], codes[0], codes[0])] == [False, False, False, True, False]
    assert opens(code_of(secret, steps=1)), "the app goes on as it was"
    row = AuditEntry.objects.get(action="recovery_codes_renewed")
    assert (row.actor_id, row.object_type, row.object_id) == (user.pk, "staff", str(user.pk))
    kept = json.dumps(
        [
            *AuditEntry.objects.values_list("after", flat=True),
            *Authenticator.objects.values_list("data", flat=True),
        ]
    )
    assert not [code for code in codes if code in kept]


def test_only_a_code_of_the_app_makes_new_recovery_codes(db: None) -> None:
    user, secret, former = with_factor()
    used = code_of(secret)
    assert opens(used)
    for code in ("000000", former[1], used, "", "x" * 20, "١٢٣٤٥٦"):
        assert renewing(user, code) == [], code
    assert opens(former[1])
    assert not AuditEntry.objects.filter(action="recovery_codes_renewed").exists()


def test_who_finds_an_open_desk_guesses_no_codes(db: None, settings: Settings) -> None:
    user, secret, former = with_factor()
    for _ in range(settings.LOGIN_FAILURES_PER_ADDRESS):
        assert renewing(user, "123456") == []
    assert renewing(user, code_of(secret)) == []
    lock.unlock(f"second-factor:{user.pk}")
    assert opens(former[0])


def test_a_form_of_another_site_renews_nothing(db: None) -> None:
    user, secret, former = with_factor()
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert client.post(FACTOR, {"code": code_of(secret)}).status_code == 403
    assert opens(former[0])


def test_the_codes_and_their_line_in_the_audit_log_are_one(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    user, secret, former = with_factor()

    def fails(*_args: Any, **_named: Any) -> None:
        raise RuntimeError

    client = browser()
    client.force_login(user)
    client.raise_request_exception = False
    with monkeypatch.context() as patched:
        patched.setattr("zinzino.audit.record", fails)
        assert client.post(FACTOR, {"code": code_of(secret)}).status_code == 500
    assert opens(former[0])


@pytest.mark.django_db(transaction=True)
def test_one_code_renews_once_however_often_the_button_is_pressed() -> None:
    user, secret, _former = with_factor()
    code = code_of(secret)
    given = together(lambda _number: renewing(user, code), range(4))
    [codes] = [each for each in given if each]
    assert opens(codes[0])
    assert AuditEntry.objects.filter(action="recovery_codes_renewed").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_former_code_that_is_typed_while_new_ones_are_made_opens_nothing() -> None:
    user, secret, former = with_factor()
    request = RequestFactory().post(FACTOR)

    def in_a_thread() -> bool:
        try:
            return opens(former[0])
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            codes = second_factor.renew_codes(request, user, code_of(secret))
            later = pool.submit(in_a_thread)
            until_it_waits_or_is_done(later)
        assert later.result(timeout=20) is False
    assert codes
    assert opens(codes[0])


def test_without_valkey_staff_sign_in_with_both_kinds_of_codes(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are needed most when something is down."""
    _user, secret, codes = with_factor()

    def away(*_args: Any, **_named: Any) -> None:
        raise redis.ConnectionError

    monkeypatch.setattr(redis.Redis, "execute_command", away)
    assert opens(code_of(secret))
    assert opens(codes[0])
