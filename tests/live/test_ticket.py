"""POST /realtime/ticket: good once, for half a minute, and nowhere to be found."""

import logging
from datetime import UTC, datetime

import pytest
from pytest_django import Settings

from syncapi.live import tickets
from syncapi.live.tickets import Admission, TicketInvalid
from tests import make
from tests.clients import Phone
from tests.live.conftest import ticket_of
from tests.make import Statements
from tests.threads import together
from zinzino.logging import scrub
from zinzino.redis_client import client


def test_a_ticket_and_the_whole_address(alice: Phone, settings: Settings, statements: Statements) -> None:
    settings.LIVE_URL = "wss://live.zinzino.example"
    alice.get("/profile")
    with statements(2):
        answer = alice.post("/realtime/ticket")
    ticket = answer.data["ticket"]
    assert answer.data == {
        "ticket": ticket,
        "url": f"wss://live.zinzino.example/v1/live?ticket={ticket}",
        "expires_in": 30,
    }
    since = alice.get("/sync/status").data["sync_timestamp"]
    admission = tickets.spend(ticket)
    assert (admission.user_id, admission.since) == (alice.user.pk, datetime.fromisoformat(since))
    assert admission.until > datetime.now(UTC)


def test_valkey_keeps_it_for_half_a_minute_and_never_itself(alice: Phone) -> None:
    ticket = ticket_of(alice)
    key = next(client().scan_iter("live:ticket:*"))
    assert 0 < client().pttl(key) <= 30_000
    assert ticket.removeprefix("zlt_") not in f"{key!r}{client().get(key)!r}"


def test_it_works_once_however_many_try(alice: Phone) -> None:
    ticket = ticket_of(alice)

    def spend(_number: int) -> Admission | None:
        try:
            return tickets.spend(ticket)
        except TicketInvalid:
            return None

    admitted = [each for each in together(spend, range(16)) if each]
    assert [each.user_id for each in admitted] == [alice.user.pk]


@pytest.mark.parametrize("ticket", ["", "zlt_", "zlt_guess", "x" * 5000, "zlt_ä"])
def test_a_guess_is_refused(ticket: str) -> None:
    with pytest.raises(TicketInvalid):
        tickets.spend(ticket)


def test_without_valkey_there_are_no_tickets_and_the_app_is_told_to_wait(
    alice: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tickets, "client", make.redis_away)
    answer = alice.post("/realtime/ticket")
    assert (answer.status_code, answer.error["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert int(answer["Retry-After"]) >= 1


def test_no_line_of_the_log_ever_holds_one(alice: Phone, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ticket = ticket_of(alice)
    assert caplog.text
    assert ticket not in caplog.text
    line = scrub(None, "", {"event": f'"WebSocket /v1/live?ticket={ticket}&since=x" [accepted]'})
    assert line["event"] == '"WebSocket /v1/live?ticket=[private]&since=x" [accepted]'
