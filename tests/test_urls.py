"""Addresses outside the API, and the ones that nobody knows."""

import re
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.test import Client


@pytest.fixture(autouse=True)
def _files_as_they_are_served(settings: Any) -> None:
    """From the list that is made at the start; the other tests do without it."""
    settings.WHITENOISE_AUTOREFRESH = False


UNKNOWN = [
    "/",
    "/nothing",
    "/nothing/",
    "/v1",
    "/v1/",
    "/api",
    "/v1/time/",
    "/v2/time",
    "/docs/",
    "/static/nothing.js",
]


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("path", UNKNOWN)
def test_an_unknown_address_answers_in_the_envelope(path: str, debug: bool, settings: Any) -> None:
    settings.DEBUG = debug
    answer = Client().get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")


# Closing an answer closes stale database connections.
@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_documents_bring_all_their_parts(path: str) -> None:
    parts = re.findall(r'(?:src|href)="([^"]+)"', Client().get(path).content.decode())
    assert parts
    for part in parts:
        with closing(Client().get(part)) as answer:
            assert answer.status_code == 200, part


def test_the_back_office_is_found_without_its_slash() -> None:
    assert Client().get("/admin")["Location"] == "/admin/"


@pytest.mark.django_db
def test_the_back_office_asks_who_is_there() -> None:
    assert Client().get("/admin/nothing/here")["Location"].startswith("/admin/login/")


@pytest.mark.django_db
def test_pictures_are_served_in_development(settings: Any) -> None:
    picture = Path(settings.MEDIA_ROOT) / "test.txt"
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_text("picture")
    try:
        with closing(Client().get("/media/test.txt")) as answer:
            assert b"".join(answer) == b"picture"
        assert Client().get("/media/nothing.txt").json()["error"]["code"] == "NOT_FOUND"
        assert Client().get("/media/../settings.py").json()["success"] is False
    finally:
        picture.unlink()
