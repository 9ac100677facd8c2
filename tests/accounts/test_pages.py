import pytest
from django.test import Client

from accounts.models import User
from tests import make
from tests.accounts.test_recovery import NEW, mailed
from tests.clients import Api, Phone


@pytest.fixture
def browser() -> Client:
    """One that keeps no cookies, as in a mail app."""
    return Client(enforce_csrf_checks=True)


@pytest.mark.parametrize("path", ["/verify-email", "/reset-password", "/undo-email-change"])
@pytest.mark.parametrize(
    ("language", "word"), [("tr-TR", 'lang="tr"'), ("en-GB", 'lang="en"'), ("de-DE", 'lang="en"')]
)
def test_each_page_opens_in_both_languages_and_keeps_its_secret(
    browser: Client, db: None, path: str, language: str, word: str
) -> None:
    page = browser.get(f"{path}?token=abc", headers={"accept-language": language})
    assert page.status_code == 200
    assert word in page.content.decode()
    assert page["Cache-Control"] == "no-store"
    assert page["Referrer-Policy"] == "no-referrer"
    assert not page.cookies


@pytest.mark.parametrize("path", ["/verify-email", "/reset-password", "/undo-email-change"])
def test_a_broken_link_is_told_at_once(browser: Client, db: None, path: str) -> None:
    words = {"token": "x" * 201, "new_password": NEW}
    for page in (browser.get(path), browser.post(path, words), browser.post(path, {"new_password": NEW})):
        assert page.status_code == 400
        assert "Bağlantı geçersiz veya süresi dolmuş." in page.content.decode()
        assert "<form" not in page.content.decode()


def test_opening_the_link_burns_nothing_and_the_button_verifies(browser: Client, alice: Phone) -> None:
    token = mailed("verify_email")
    for _ in range(3):
        browser.get(f"/verify-email?token={token}")
    assert not User.objects.get(pk=alice.user.pk).is_verified
    assert browser.post("/verify-email", {"token": token}).status_code == 200
    assert User.objects.get(pk=alice.user.pk).is_verified
    assert browser.post("/verify-email", {"token": token}).status_code == 400


def test_a_password_is_reset_on_the_page(browser: Client, anyone: Api, alice: Phone) -> None:
    anyone.post("/auth/forgot-password", {"email": "alice@example.com"})
    token = mailed("reset_password")
    weak = browser.post("/reset-password", {"token": token, "new_password": "123"})
    assert (weak.status_code, 'role="alert"' in weak.content.decode()) == (422, True)
    assert browser.post("/reset-password", {"token": token, "new_password": NEW}).status_code == 200
    assert anyone.post("/auth/login", {"email": "alice@example.com", "password": NEW}).status_code == 200


def test_the_change_of_address_is_undone_on_the_page(browser: Client, anyone: Api, alice: Phone) -> None:
    alice.post("/profile/email", {"new_email": "thief@example.com", "password": make.PASSWORD})
    anyone.post("/auth/verify-email", {"token": mailed("change_email", to="thief@example.com")})
    assert browser.post("/undo-email-change", {"token": mailed("email_changed")}).status_code == 200
    assert User.objects.get(pk=alice.user.pk).email == "alice@example.com"


def test_a_token_cannot_smuggle_markup(browser: Client, db: None) -> None:
    page = browser.get("/verify-email", {"token": '"><script>alert(1)</script>'})
    assert "<script>" not in page.content.decode()
