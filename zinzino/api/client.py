"""Where a request comes from."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def address(request: HttpRequest) -> str:
    """The client's address, believing exactly `TRUSTED_PROXY_COUNT` proxies (api.md 0).

    Each of our proxies appends the peer that it saw; whatever stands further left came from outside.
    """
    peer: str = request.META.get("REMOTE_ADDR", "")
    hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
    trusted = settings.TRUSTED_PROXY_COUNT
    believed = hops[-trusted] if trusted and len(hops) >= trusted else peer
    try:
        return str(ipaddress.ip_address(believed))
    except ValueError:
        return peer or "unknown"
