"""Identifiers."""

import secrets
from datetime import datetime
from uuid import UUID

from zinzino.clock import epoch_ms, from_epoch_ms


def uuid7(at: datetime) -> UUID:
    """A version 7 UUID (RFC 9562, 5.7) of the moment `at`, so that the id names the row's partition."""
    random = secrets.randbits(74)
    return UUID(int=epoch_ms(at) << 80 | 0x7 << 76 | random >> 62 << 64 | 0b10 << 62 | random & (1 << 62) - 1)


def least_uuid7(at: datetime) -> UUID:
    """Below every version 7 UUID of the moment `at` and later ones: rows before it are those with lesser ids."""
    return UUID(int=epoch_ms(at) << 80)


def moment_of(row_id: UUID) -> datetime | None:
    """The moment that a version 7 UUID was made of; None for any other id, or one of no year that we know."""
    if row_id.version != 7:
        return None
    try:
        return from_epoch_ms(row_id.int >> 80)
    except OverflowError:
        return None
