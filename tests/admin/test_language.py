"""Staff choose the language of the back office; until then the browser does."""

from http.cookies import Morsel
from typing import Any

import pytest
from django.test import Client

from tests.admin.desk import body, signed_in
from tests.clients import Unit

CHOICE = "/admin/language/"
SWITCH = 'name="language" value="{}"'


def browser(language: str = "") -> Client:
    return Client(headers={"accept-language": language} if language else {})


def choose(client: Client, language: str, to: str = "/admin/") -> Any:
    return client.post(CHOICE, {"language": language, "next": to})


def cookie(client: Client) -> "Morsel[str]":
    return client.cookies["staff_language"]


@pytest.mark.parametrize(("asked", "shown", "offered"), [("tr", "Oturum aç", "en"), ("en", "Log in", "tr")])
def test_until_somebody_chooses_the_browser_does(db: None, asked: str, shown: str, offered: str) -> None:
    page = body(browser(asked).get("/admin/login/"))
    assert (f'<html lang="{asked}"' in page, shown in page, SWITCH.format(offered) in page) == (True, True, True)
    assert SWITCH.format(asked) not in page


@pytest.mark.parametrize("asked", ["", "de"])
def test_a_browser_that_asks_for_neither_gets_turkish(db: None, asked: str) -> None:
    assert '<html lang="tr"' in body(browser(asked).get("/admin/login/"))


@pytest.mark.parametrize(("asked", "chosen"), [("tr", "en"), ("en", "tr")])
def test_the_choice_outweighs_the_browser_before_and_after_signing_in(
    kitchen: Unit, asked: str, chosen: str
) -> None:
    client = signed_in("admin")
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = asked
    page = f"/admin/dispensers/{kitchen.id}/"
    titles = {"en": "Why it poured or did not", "tr": "Neden doz verdi ya da vermedi"}
    assert titles[asked] in body(client.get(page))
    assert choose(client, chosen, page).headers["Location"] == page
    for _ in range(2):
        shown = body(client.get(page))
        assert (titles[chosen] in shown, titles[asked] in shown) == (True, False)
        assert SWITCH.format(asked) in shown
    client.logout()
    assert f'<html lang="{asked}"' in body(client.get("/admin/login/")), "logging out clears this client's cookies"
    choose(client, chosen)
    assert f'<html lang="{chosen}"' in body(client.get("/admin/login/"))


def test_the_choice_is_kept_in_a_cookie_of_the_back_office_alone(db: None) -> None:
    client = browser("tr")
    choose(client, "en")
    kept = cookie(client)
    assert (kept.value, kept["path"], kept["httponly"], kept["samesite"]) == ("en", "/admin/", True, "Lax")
    assert int(kept["max-age"]) == 365 * 24 * 3600


def test_the_form_of_another_site_chooses_nothing(db: None) -> None:
    client = Client(enforce_csrf_checks=True)
    assert choose(client, "en").status_code == 403
    assert "staff_language" not in client.cookies


def test_looking_chooses_nothing(db: None) -> None:
    client = browser()
    client.get(f"{CHOICE}?language=en&next=/admin/")
    assert "staff_language" not in client.cookies


@pytest.mark.parametrize("to", ["https://evil.example/", "//evil.example/admin/", "javascript:alert(1)"])
def test_nobody_is_sent_elsewhere(db: None, to: str) -> None:
    assert choose(browser(), "en", to).headers["Location"] == "/"


@pytest.mark.parametrize("language", ["xx", "", "../../etc", "de"])
def test_a_language_that_there_is_not_changes_nothing(db: None, language: str) -> None:
    client = browser("en")
    choose(client, language)
    assert '<html lang="en"' in body(client.get("/admin/login/"))


def test_what_is_shown_once_has_no_switch(kitchen: Unit) -> None:
    """Its page cannot be asked for again."""
    page = f"/admin/dispensers/{kitchen.id}/reissue_token/"
    staff = signed_in("support_l2")
    assert SWITCH.format("tr") in body(staff.get(page))
    assert SWITCH.format("tr") not in body(staff.post(page, {"reason": "The customer has asked for it"}))
