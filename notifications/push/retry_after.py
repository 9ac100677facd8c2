"""The header `Retry-After`, in both of its forms (RFC 9110, 10.2.3)."""

from datetime import datetime
from email.utils import parsedate_to_datetime


def seconds(header: str | None, *, now: datetime) -> float | None:
    """None where the header is missing or cannot be read."""
    if not header:
        return None
    if header.isascii() and header.isdigit():
        return float(header[:9])
    try:
        return max(0.0, (parsedate_to_datetime(header) - now).total_seconds())
    except (ValueError, TypeError):
        return None
