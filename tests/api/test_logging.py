"""What logs hold, and what they must not."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import structlog

from tests.api.conftest import Caller, access_token
from zinzino import logging as ours


@pytest.fixture
def lines(settings: Any) -> Iterator[io.StringIO]:
    """Everything logged, through the production formatter."""
    settings.LOG_FORMAT = "json"
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    root = logging.getLogger()
    ours_formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=ours.common(),
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, ours.scrub, ours.rendered()],
    )
    handler.setFormatter(ours_formatter)
    root.addHandler(handler)
    level = root.level
    root.setLevel(logging.INFO)
    yield out
    root.setLevel(level)
    root.removeHandler(handler)


def parsed(lines: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def test_a_request_leaves_one_line_without_its_query_or_body(caller: Caller, lines: io.StringIO) -> None:
    user_id = str(uuid4())
    token = access_token(user_id=user_id)
    answer = caller("POST", "/v1/time?token=hush", {"password": "hush"}, Authorization=f"Bearer {token}")
    (line,) = [line for line in parsed(lines) if line["logger"] == "zinzino.requests"]
    assert line.pop("ms") >= 0
    assert line.pop("at")
    assert line == {
        "event": "request",
        "level": "info",
        "logger": "zinzino.requests",
        "method": "POST",
        "route": "v1/time",
        "status": 405,
        "user": user_id,
        "request_id": answer["X-Request-ID"],
    }
    assert "hush" not in lines.getvalue()
    assert token not in lines.getvalue()


def test_a_path_with_an_id_is_logged_as_its_route(caller: Caller, lines: io.StringIO) -> None:
    caller.get("/v1/nothing/ayse@example.com")
    assert [line["route"] for line in parsed(lines) if line["event"] == "request"] == ["unknown"]
    assert "ayse" not in lines.getvalue()


def test_probes_leave_no_line(caller: Caller, lines: io.StringIO) -> None:
    caller.get("/health/live")
    assert lines.getvalue() == ""


@pytest.mark.parametrize(
    "secret", ["ayse@example.com", "znd_AAAA-bbb_CC==", "eyJhbGciOi.eyJzdWIi.c2ln", "a.b+c@mail.example.com.tr"]
)
def test_secrets_of_foreign_messages_are_struck_out(lines: io.StringIO, secret: str) -> None:
    try:
        raise ValueError(f"Key (email)=({secret}) already exists.")
    except ValueError:
        logging.getLogger("psycopg").exception("refused %s", secret)
    (line,) = parsed(lines)
    assert secret not in lines.getvalue()
    assert line["event"] == "refused [private]"
    assert "Key (email)=([private]) already exists." in line["exception"]


def test_a_row_that_breaks_a_constraint_is_struck_out(lines: io.StringIO) -> None:
    try:
        raise ValueError(
            'null value in column "x"\nDETAIL:  Failing row contains (1, Mutfak, AA:BB:CC:00:00:01).\n'
        )
    except ValueError:
        logging.getLogger("django.request").exception("failed")
    assert "Mutfak" not in lines.getvalue().replace("(1, Mutfak, AA:BB:CC:00:00:01).\\n')", "")
    assert 'null value in column \\"x\\"' in lines.getvalue()


def test_an_exception_shows_no_local_variables(lines: io.StringIO) -> None:
    password = "correct horse"
    try:
        raise RuntimeError(len(password))
    except RuntimeError:
        logging.getLogger("django.request").exception("failed")
    assert "correct horse" not in lines.getvalue().replace('password = "correct horse"', "")
