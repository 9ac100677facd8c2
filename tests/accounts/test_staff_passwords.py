"""Wherever staff get a password it has 12 characters at least; a customer's has 6, by the contract."""

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.hashers import BCryptHasher
from accounts.models import OneTimeToken, User
from tests import make
from tests.accounts.test_recovery import login, mailed
from tests.clients import Api, Phone

SHORT, LONG = "11_letters_", "12_letters__"
SAID = {
    "en": "Staff passwords have at least 12 characters.",
    "tr": "Personel şifreleri en az 12 karakter olmalıdır.",
}


@pytest.fixture(params=["is_staff", "is_superuser"])
def staff(alice: Phone, request: pytest.FixtureRequest) -> Phone:
    """Alice works here: also for the app her account is one of staff."""
    User.objects.filter(pk=alice.user.pk).update(**{request.param: True})
    return alice


def change(phone: Phone, new: str, language: str = "en") -> tuple[int, object]:
    sent = {"current_password": make.PASSWORD, "new_password": new}
    answer = phone.put("/profile/password", sent, HTTP_ACCEPT_LANGUAGE=language)
    return answer.status_code, answer.json().get("error", {}).get("details")


@pytest.mark.parametrize("language", SAID)
def test_the_app_refuses_to_change_to_a_short_one(anyone: Api, staff: Phone, language: str) -> None:
    assert change(staff, SHORT, language) == (422, {"new_password": [SAID[language]]})
    assert login(anyone, make.PASSWORD).status_code == 200
    assert change(staff, LONG)[0] == 200
    assert login(anyone, LONG).status_code == 200


@pytest.mark.parametrize("language", SAID)
def test_a_short_one_does_not_burn_the_mailed_token(anyone: Api, staff: Phone, language: str) -> None:
    anyone.post("/auth/forgot-password", {"email": "alice@example.com"})
    token = mailed("reset_password")
    sent = {"token": token, "new_password": SHORT}
    refused = anyone.post("/auth/reset-password", sent, HTTP_ACCEPT_LANGUAGE=language)
    assert (refused.status_code, refused.error["details"]) == (422, {"new_password": [SAID[language]]})
    assert staff.get("/profile").status_code == 200, "no session ends for what was refused"
    assert anyone.post("/auth/reset-password", {"token": token, "new_password": LONG}).status_code == 200
    assert login(anyone, LONG).status_code == 200


@pytest.mark.parametrize("language", SAID)
def test_the_page_behind_the_mail_asks_for_another(anyone: Api, staff: Phone, language: str) -> None:
    anyone.post("/auth/forgot-password", {"email": "alice@example.com"})
    browser, token = Client(headers={"accept-language": language}), mailed("reset_password")
    refused = browser.post("/reset-password", {"token": token, "new_password": SHORT})
    assert (refused.status_code, SAID[language] in refused.content.decode()) == (422, True)
    assert f'value="{token}"' in refused.content.decode()
    assert not OneTimeToken.objects.filter(purpose="reset_password").exclude(used_at=None).exists()
    assert browser.post("/reset-password", {"token": token, "new_password": LONG}).status_code == 200


def test_customers_have_six_as_the_contract_says(anyone: Api, alice: Phone) -> None:
    assert change(alice, "sixsix")[0] == 200
    assert login(anyone, "sixsix").status_code == 200


def test_operators_make_none_with_a_short_one(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAFF_PASSWORD", SHORT)
    with pytest.raises(CommandError, match="at least 12 characters"):
        call_command("create_staff", "desk@example.com")
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", SHORT)
    with pytest.raises(CommandError, match="12"):
        call_command("createsuperuser", interactive=False, email="desk@example.com", full_name="Desk")
    with pytest.raises(ValidationError):
        User.objects.create_user("desk@example.com", SHORT, full_name="Desk", is_staff=True)
    assert not User.objects.exists()


def test_who_has_a_short_one_from_before_still_signs_in(
    anyone: Api, staff: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the hash is made anew on the way, which sets the same password."""
    user = User.objects.get(pk=staff.user.pk)
    user.set_password(SHORT)
    user.save()
    monkeypatch.setattr(BCryptHasher, "rounds", BCryptHasher.rounds + 1)
    assert login(anyone, SHORT).status_code == 200
