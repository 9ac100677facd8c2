"""axe-core looks at every page behind our mails, in every state, and at the mails themselves."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from accounts import mails, one_time, provider_sign_in
from accounts.models import Language, User
from tests import make
from tests.accounts.test_recovery import NEW
from tests.clients import Phone
from zinzino import clock

pytestmark = [pytest.mark.enable_socket, pytest.mark.django_db(transaction=True)]

PAGES = {
    "verify-email": one_time.Purpose.VERIFY_EMAIL,
    "reset-password": one_time.Purpose.RESET_PASSWORD,
    "undo-email-change": one_time.Purpose.UNDO_EMAIL_CHANGE,
}


@dataclass(frozen=True, slots=True)
class Look:
    """One way to look at a page: a language, light or dark, a small phone or a desk."""

    locale: str
    scheme: Literal["light", "dark"]
    width: int

    def __str__(self) -> str:
        return f"{self.locale}-{self.scheme}-{self.width}"


@pytest.fixture(
    params=[Look("tr-TR", "light", 320), Look("tr-TR", "dark", 1280), Look("en-GB", "dark", 320)], ids=str
)
def page(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    look: Look = request.param
    context = chromium.new_context(
        locale=look.locale, color_scheme=look.scheme, viewport={"width": look.width, "height": 640}
    )
    yield context.new_page()
    assert context.cookies() == []
    context.close()


# A mail is shown inside the page of a mail program: rules about a page's landmarks are not for it.
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def keeps_nobody_out(page: Page, *tags: str, undecided: str = "") -> None:
    """No rule of axe-core (with one of the tags) is broken or left open; nothing is wider than the screen.

    `undecided` is a rule that may be left open, which axe cannot look at there.
    """
    which = {"runOnly": {"type": "tag", "values": tags}} if tags else {}
    found = Axe().run(page, options={"resultTypes": ["violations", "incomplete"], **which}).response
    assert found["passes"], "axe has looked at nothing"
    doubtful = [*found["violations"], *(each for each in found["incomplete"] if each["id"] != undecided)]
    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in doubtful] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def button(page: Page) -> None:
    with page.expect_navigation():
        page.get_by_role("button").click()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_keeps_nobody_out_whatever_happens(page: Page, live_server: LiveServer, path: str) -> None:
    user = make.person("alice@example.com").user
    token = one_time.issue(user, PAGES[path], email="alice@example.com", now=clock.now())
    page.goto(f"{live_server.url}/{path}?token={token}")
    keeps_nobody_out(page)
    if path == "reset-password":
        button(page)
        expect(page.get_by_role("textbox")).to_be_focused()
        keeps_nobody_out(page)
        page.get_by_role("textbox").fill(NEW)
    button(page)
    expect(page.get_by_role("status")).to_be_visible()
    keeps_nobody_out(page)
    page.goto(f"{live_server.url}/{path}")
    expect(page.get_by_role("alert")).to_be_visible()
    keeps_nobody_out(page)


def test_an_adherence_report_keeps_nobody_out(page: Page) -> None:
    alice = Phone(make.person("alice@example.com", full_name="Ayşe Gül Çağlayan-Öztürk"))
    alice.dispenser().cup(True)
    said = alice.http.get("/v1/analytics/report?format=html", HTTP_AUTHORIZATION=f"Bearer {alice.token}")
    page.set_content(said.content.decode())
    expect(page.get_by_role("img")).to_have_count(3)
    # The colour behind what is drawn, or scrolled out of sight.
    keeps_nobody_out(page, undecided="color-contrast")


LETTERS = {
    mails.verification: ("token",),
    mails.reset: ("token",),
    mails.reset_after_undo: ("token",),
    mails.email_change: ("token",),
    mails.email_changed: ("token", "new@example.com"),
    mails.password_changed: (),
    provider_sign_in.linked_letter: ("Google",),
}


@pytest.mark.parametrize("language", Language.values)
def test_a_mail_keeps_nobody_out(chromium: Browser, language: str) -> None:
    user = make.person("alice@example.com", language=language).user
    User.objects.filter(pk=user.pk).update(is_verified=True)
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    for letter, facts in LETTERS.items():
        mail = mails.queue(user, letter, *facts, now=clock.now())
        assert mail
        page.set_content(mail.html)
        keeps_nobody_out(page, *WCAG)
    page.close()
