"""api.md 0, language."""

import pytest

from tests.api.conftest import Caller


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "tr"),
        ("*", "tr"),
        ("tr", "tr"),
        ("tr-TR,tr;q=0.9", "tr"),
        ("en-GB", "en"),
        ("de", "en"),
        ("de, tr;q=0.5", "tr"),
        ("en;q=0, tr", "tr"),
        ("en;q=0.3, tr;q=0.8", "tr"),
        ("x" * 5000, "en"),
        (";;q=,", "en"),
    ],
)
def test_the_header_decides_the_language(caller: Caller, header: str, language: str) -> None:
    headers = {"Accept-Language": header} if header else {}
    answer = caller.get("/v1/nothing", **headers)
    assert answer["Content-Language"] == language
    assert "Accept-Language" in answer["Vary"]


def test_one_answer_does_not_colour_the_next(caller: Caller) -> None:
    caller.get("/v1/nothing", **{"Accept-Language": "en"})
    assert caller.get("/v1/nothing")["Content-Language"] == "tr"
