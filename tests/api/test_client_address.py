"""api.md 0: the address of a client, with exactly the trusted proxies believed."""

from typing import Any

import pytest
from django.test import RequestFactory

from zinzino.api.client import address

PEER = "192.0.2.9"


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "203.0.113.5", PEER),
        (1, "203.0.113.5", "203.0.113.5"),
        (1, "198.51.100.1, 203.0.113.5", "203.0.113.5"),
        (2, "198.51.100.1, 203.0.113.5", "198.51.100.1"),
        (2, "6.6.6.6, 198.51.100.1, 203.0.113.5", "198.51.100.1"),
        (2, "203.0.113.5", PEER),
        (1, "", PEER),
        (1, " , ,", PEER),
        (1, "nonsense", PEER),
        (1, "203.0.113.5:443", PEER),
        (1, "2001:DB8::1", "2001:db8::1"),
    ],
)
def test_only_what_our_own_proxies_wrote_counts(
    settings: Any, proxies: int, forwarded: str, expected: str
) -> None:
    settings.TRUSTED_PROXY_COUNT = proxies
    request = RequestFactory().get("/", headers={"X-Forwarded-For": forwarded}, REMOTE_ADDR=PEER)
    assert address(request) == expected


def test_without_a_peer_the_address_is_unknown() -> None:
    assert address(RequestFactory().get("/", REMOTE_ADDR="")) == "unknown"
