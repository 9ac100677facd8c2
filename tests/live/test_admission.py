"""Who may listen: one socket a ticket, by a living session, never from the page of another site."""

import time
from collections.abc import Callable, Iterator

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from accounts.models import Session
from syncapi.live import tickets
from tests.clients import Phone, Unit
from tests.live.conftest import Listener, Server, ticket_of
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_ticket_opens_one_socket_however_many_try(live: Server, alice: Phone) -> None:
    ticket = ticket_of(alice)
    listeners = together(lambda _: live.dial(ticket), range(8))
    ends = [listener.socket for listener in listeners]
    time.sleep(1)
    refused = [Listener(each).end() for each in ends if each.close_code is not None]
    assert refused == [(4401, "ticket_invalid")] * 7
    [admitted] = [each for each in ends if each.close_code is None]
    assert Listener(admitted).page()["sync_status"] == "success"


def test_the_header_of_rest_serves_too(live: Server, alice: Phone) -> None:
    listener = live.open_by_header(alice.token)
    listener.page()
    alice.put("/profile", {"full_name": "Alice A."})
    assert listener.page()["updated_profile"]["full_name"] == "Alice A."


def test_a_socket_is_a_use_of_its_access_token(live: Server, alice: Phone) -> None:
    """A refresh token whose child was used is spent (accounts.md): to listen is to use it."""
    pair = alice.post("/auth/refresh", {"refresh_token": alice.refresh_token}).data
    live.open_by_header(pair["token"]).page()
    [child] = Session.objects.get().refresh_tokens.exclude(parent=None)
    assert child.access_used_at


@pytest.mark.parametrize(
    ("token", "reason"),
    [("", "token_invalid"), ("nonsense", "token_invalid"), ("znd_x", "wrong_credential_kind")],
)
def test_without_a_credential_of_a_person_it_is_closed(live: Server, token: str, reason: str) -> None:
    assert live.open_by_header(token).end() == (4401, reason)


def test_a_dispenser_does_not_listen(live: Server, kitchen: Unit) -> None:
    assert live.open_by_header(kitchen.token).end() == (4401, "wrong_credential_kind")


def test_a_ticket_dies_with_its_session(live: Server, alice: Phone) -> None:
    ticket = ticket_of(alice)
    alice.post("/auth/logout")
    assert live.dial(ticket).end() == (4401, "session_revoked")


@pytest.mark.parametrize(
    "query", ["since=yesterday", "since=", "since=2025-13-40T00:00:00Z", "&".join("abcdefghijk"), "since=%00"]
)
def test_an_address_that_cannot_be_read_is_refused(live: Server, alice: Phone, query: str) -> None:
    assert live.dial(f"{ticket_of(alice)}&{query}").end() == (4400, "bad_address")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://evil.example", 403),
        ("null", 403),
        ("http://127.0.0.1", 403),
        ("https://app.zinzino.example.evil.example", 403),
        ("https://app.zinzino.example", 101),
        ("http://live.zinzino.example", 101),
    ],
)
def test_pages_of_other_sites_are_refused_before_anything_else(
    servers: Callable[..., Server], site: Server, alice: Phone, origin: str, status: int
) -> None:
    ticket = ticket_of(alice)
    address = f"{site.url}/v1/live?ticket={ticket}"
    if status == 101:
        with connect(address, origin=Origin(origin)) as opened:
            assert Listener(opened).page()
        return
    with pytest.raises(InvalidStatus) as refused, connect(address, origin=Origin(origin)):
        pass
    assert refused.value.response.status_code == status
    assert tickets.spend(ticket).user_id == alice.user.pk


@pytest.fixture(scope="module")
def one_site(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("site"), CORS_ALLOWED_ORIGINS="https://app.zinzino.example")
    server.environment["LIVE_URL"] = "ws://live.zinzino.example"
    yield server
    if server.process:
        server.stop()


@pytest.fixture
def site(transactional_db: None, one_site: Server) -> Server:
    return one_site if one_site.process else one_site.start()


def test_there_is_nothing_at_other_addresses(live: Server) -> None:
    for path in ("/", "/v1/live/", "/v2/live", "/v1/realtime"):
        with pytest.raises(InvalidStatus) as refused, connect(f"{live.url}{path}"):
            pass
        assert refused.value.response.status_code == 403
    assert live.open_by_header("").end()[0] == 4401
