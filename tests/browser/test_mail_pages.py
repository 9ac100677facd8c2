"""The pages behind the links of our mails, as a person without the app meets them."""

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from tests import make
from tests.accounts.test_recovery import NEW, mailed
from tests.clients import Api, Phone

pytestmark = [pytest.mark.enable_socket, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def resetting() -> Phone:
    """A person who has asked for a new password."""
    alice = Phone(make.person("alice@example.com"))
    Api().post("/auth/forgot-password", {"email": "alice@example.com"})
    return alice


def test_a_password_is_reset_with_the_keyboard_alone(
    turkish: Page, live_server: LiveServer, resetting: Phone
) -> None:
    turkish.goto(f"{live_server.url}/reset-password?token={mailed('reset_password')}")
    expect(turkish.get_by_role("heading", name="Yeni bir şifre seçin")).to_be_visible()
    turkish.keyboard.press("Tab")
    expect(turkish.get_by_label("Yeni şifre")).to_be_focused()
    turkish.keyboard.type("123")
    turkish.keyboard.press("Enter")
    expect(turkish.get_by_role("alert")).to_have_text("En az 6 karakter olmalıdır.")

    expect(turkish.get_by_label("Yeni şifre")).to_be_focused()
    turkish.keyboard.type(NEW)
    turkish.keyboard.press("Tab")
    turkish.keyboard.press("Enter")
    expect(turkish.get_by_role("status")).to_have_text("Şifreniz başarıyla güncellendi")
    assert User.objects.get().check_password(NEW)


def test_an_address_is_confirmed_on_an_english_phone(
    english: Page, live_server: LiveServer, resetting: Phone
) -> None:
    english.goto(f"{live_server.url}/verify-email?token={mailed('verify_email')}")
    assert english.locator("html").get_attribute("lang") == "en"
    assert not User.objects.get().is_verified
    english.get_by_role("button", name="Confirm").click()
    expect(english.get_by_role("status")).to_have_text("Your email address has been confirmed.")
    assert User.objects.get().is_verified
    assert english.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_spent_link_says_so(english: Page, live_server: LiveServer, resetting: Phone) -> None:
    english.goto(f"{live_server.url}/reset-password?token=spent")
    english.get_by_label("New password").fill(NEW)
    english.get_by_role("button", name="Save").click()
    said = english.get_by_role("alert").get_by_role("paragraph")
    expect(said).to_have_text(["The link is invalid or has expired.", "You can ask for a new link in the app."])
