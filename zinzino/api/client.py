"""Where a request comes from, and what it says of the phone that sends it."""

import ipaddress
from urllib.parse import unquote

from django.conf import settings
from django.http import HttpRequest

# One household or office holds at least this much of the IPv6 space.
IPV6_PREFIX = 64


def address(request: HttpRequest) -> str:
    """The client's address, believing exactly `TRUSTED_PROXY_COUNT` proxies (api.md 0).

    Each of our proxies appends the peer that it saw; whatever stands further left came from outside.
    """
    peer: str = request.META.get("REMOTE_ADDR", "")
    hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
    trusted = settings.TRUSTED_PROXY_COUNT
    believed = hops[-trusted] if trusted and len(hops) >= trusted else peer
    return _plain(believed) or peer or "unknown"


def known_address(request: HttpRequest) -> str | None:
    """The same for a column of addresses: None where the server cannot tell, as behind a socket file."""
    return _plain(address(request))


def network_of(address: str) -> str:
    """What one household or office holds: an IPv4 address, or the whole prefix of an IPv6 one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, ipaddress.IPv6Address):
        return address
    return str(parsed.ipv4_mapped or ipaddress.ip_network((int(parsed), IPV6_PREFIX), strict=False))


def _plain(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text)).partition("%")[0]  # a link's name is no business of ours
    except ValueError:
        return None


def told(request: HttpRequest, name: str, *, most: int) -> str:
    """What a header such as `X-Device-Name` says: one line of at most `most` characters, percent-decoded.

    HTTP headers are ASCII, and our server drops others: "Ayşe" is sent as `Ay%C5%9Fe`.
    """
    text: str = request.META.get(f"HTTP_{name}", "")
    return "".join(filter(str.isprintable, unquote(text))).strip()[:most]
