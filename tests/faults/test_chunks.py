"""Bodies without a length, as the real server hands them on."""

import http.client
import json
from collections.abc import Iterator

import pytest

from tests.faults.product import Product

pytestmark = [pytest.mark.enable_socket, pytest.mark.slow]


def chunked(product: Product, chunks: list[bytes]) -> tuple[int, str]:
    def body() -> Iterator[bytes]:
        yield from chunks

    connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=10)
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/v1/auth/login", body(), headers, encode_chunked=True)
    answer = connection.getresponse()
    code = json.loads(answer.read())["error"]["code"]
    connection.close()
    return answer.status, code


def test_a_chunked_body_is_read_and_bounded(running: Product) -> None:
    login = b'{"email": "nobody@example.com", "password": "secret"}'
    assert chunked(running, [login[:10], login[10:]]) == (401, "UNAUTHORIZED")
    assert chunked(running, [b"{" + b" " * 300_000 + b"}"]) == (413, "PAYLOAD_TOO_LARGE")
