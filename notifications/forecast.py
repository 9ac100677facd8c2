"""When a dispenser will be empty, from how its level has fallen since the last refill. Pure."""

from datetime import datetime, timedelta

# From fewer days nothing can be said (api.md 9).
LEAST_HISTORY = timedelta(days=3)
# How long before the end people are told to get more.
NOTICE = timedelta(days=5)


def runs_out_at(*, full_level: int, full_at: datetime, level: int, now: datetime) -> datetime | None:
    """None without three days of history, or where the level does not fall."""
    lived = now - full_at
    if lived < LEAST_HISTORY or level >= full_level:
        return None
    return now + lived * (level / (full_level - level))


def is_soon(end: datetime | None, *, now: datetime) -> bool:
    return end is not None and end - now <= NOTICE
