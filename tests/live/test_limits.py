"""What a client may do to the server: little, and not for long."""

import contextlib
import socket
import time
from collections.abc import Callable

import pytest
from django.db import connection
from websockets.exceptions import ConnectionClosed

from tests.clients import Phone
from tests.live.conftest import Server, ticket_of, until
from tests.syncapi.phone import SyncedPhone

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_client_may_ask_whether_anybody_is_there(live: Server, alice: Phone) -> None:
    listener = live.open(alice)
    listener.page()
    listener.socket.send('{"type": "ping"}')
    pong = listener.hear()
    assert (pong["type"], pong["server_time"][:4].isdigit()) == ("pong", True)


@pytest.mark.parametrize("message", ["", "hello", "[]", '{"type":"delta"}', b"\x00", '{"type":{}}', "[" * 4000])
def test_anything_else_is_a_fault_of_the_client(live: Server, alice: Phone, message: str | bytes) -> None:
    listener = live.open(alice)
    listener.socket.send(message)
    assert listener.end() == (4400, "bad_message")


def test_too_many_messages_end_the_socket(live: Server, alice: Phone) -> None:
    listener = live.open(alice)
    with contextlib.suppress(Exception):
        for _ in range(50):
            listener.socket.send('{"type": "ping"}')
    assert listener.end() == (4429, "too_many_messages")


def test_floods_that_are_no_messages_end_it_too(live: Server, alice: Phone) -> None:
    listener = live.open(alice)
    listener.page()
    with contextlib.suppress(ConnectionClosed, OSError):
        for number in range(4000):
            listener.socket.ping(f"{number:0100}")
    # Who still sends when the connection is cut may find a reset instead of the code.
    assert listener.end()[0] in (4429, 1006)
    listener = live.open(alice)
    with contextlib.suppress(ConnectionClosed, OSError):
        listener.socket.send("x" for _ in range(100_000))
    assert listener.end()[0] in (1009, 1006)


def test_a_frame_has_a_size(live: Server, alice: Phone) -> None:
    listener = live.open(alice)
    listener.page()
    listener.socket.send("x" * 5000)
    assert listener.end()[0] == 1009


def test_one_socket_too_many_ends_the_oldest(live: Server, alice: Phone, bob: Phone) -> None:
    his = live.open(bob)
    his.page()
    hers = [live.open(alice) for _ in range(4)]
    for listener in hers:
        listener.page()
    hers.append(live.open(alice))
    assert hers[0].end() == (4410, "too_many_sockets")
    alice.put("/profile", {"full_name": "Alice A."})
    for listener in hers[1:]:
        while not (page := listener.page())["updated_profile"]:
            pass
        assert page["updated_profile"]["full_name"] == "Alice A."
    assert his.silent(for_s=0.5)


def test_a_full_server_says_come_again(servers: Callable[..., Server], alice: Phone, bob: Phone) -> None:
    server = servers(LIVE_MAX_SOCKETS="2")
    first, second = server.open(alice), server.open(bob)
    first.page(), second.page()
    assert server.open(alice).end() == (1013, "server_full")
    first.close()
    assert until(lambda: server.open(alice).silent(for_s=0.3) is False)
    assert second.socket.close_code is None


LINES = """
INSERT INTO activity_logs (id, user_id, action, triggered_by, metadata, local_date, timestamp)
SELECT gen_random_uuid(), %s, 'note', 'manual', jsonb_build_object('note', repeat(md5(n::text), 60)), current_date,
       now() FROM generate_series(1, 3000) n"""


def raw_socket(live: Server, phone: Phone, since: str) -> socket.socket:
    """A client with next to no room to receive, which reads nothing."""
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.connect(("127.0.0.1", live.port))
    head = (
        f"GET /v1/live?ticket={ticket_of(phone)}&since={since} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    reader.sendall(head.encode())
    return reader


def test_a_slow_reader_is_closed_and_loses_nothing(live: Server, alice: Phone, bob: Phone) -> None:
    phone = SyncedPhone(alice)
    phone.full()
    with connection.cursor() as cursor:
        cursor.execute(LINES, (alice.user.pk,))
    since = str(phone.last_sync)
    reader = raw_socket(live, alice, since)
    cut = live.said().count("a client is cut")
    assert until(lambda: live.said().count("a client is cut") > cut)
    reader.settimeout(5)
    told = b""
    with contextlib.suppress(ConnectionResetError):
        while part := reader.recv(65536):
            told += part
    # The close frame: its header, the code 4408, the reason; behind all that was under way.
    assert told.endswith(b"\x88\x0d" + (4408).to_bytes(2, "big") + b"slow_reader")
    reader.close()

    listener = live.open(alice, since)
    phone.apply(listener.page())
    while phone.pages[-1:] and len(phone.rows("activity_log")) < 3000:
        phone.apply(listener.page())
    assert phone.copy == SyncedPhone(alice).full()


def test_who_never_reads_is_cut_and_disturbs_nobody(live: Server, alice: Phone, bob: Phone) -> None:
    phone = SyncedPhone(alice)
    phone.full()
    with connection.cursor() as cursor:
        cursor.execute(LINES, (alice.user.pk,))
    cut = live.said().count("a client is cut")
    readers = [raw_socket(live, alice, str(phone.last_sync)) for _ in range(4)]
    his = live.open(bob)
    his.page()
    began = time.monotonic()
    for number in range(6):
        bob.put("/profile", {"full_name": f"Bob {number}"})
        while not his.page()["updated_profile"]:
            pass
        time.sleep(1)
    assert time.monotonic() - began < 12
    assert until(lambda: live.said().count("a client is cut") == cut + 4)
    # Cut: writing meets a reset.
    with pytest.raises(OSError):  # noqa: PT011, PT012
        for reader in readers:
            for _ in range(20):
                reader.sendall(b"\x89\x80abcd")
                time.sleep(0.02)
    for reader in readers:
        reader.close()


@pytest.mark.slow
def test_who_connects_and_says_nothing_is_cut(live: Server) -> None:
    silent = socket.create_connection(("127.0.0.1", live.port))
    half = socket.create_connection(("127.0.0.1", live.port))
    half.sendall(b"GET /v1/live HTTP/1.1\r\nHost: x\r\n")
    for each in (silent, half):
        each.settimeout(15)
        with contextlib.suppress(ConnectionResetError):
            assert each.recv(100) == b""
        each.close()
