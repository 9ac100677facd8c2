"""The clock. Services take `now` as an argument; only views, tasks and commands read it here."""

from datetime import UTC, datetime, timedelta


def now() -> datetime:
    """The present instant in UTC, floored to the millisecond, the resolution of the API."""
    return floor_ms(datetime.now(UTC))


def floor_ms(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def epoch_ms(moment: datetime) -> int:
    """Milliseconds since 1970, exact: a float second loses the last digit."""
    return (moment - EPOCH) // ONE_MS


def stored_instant(text: str) -> datetime:
    """An instant that we wrote into a cursor, in UTC. Raises ValueError, also for one that no row can have."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(text)
    return moment.astimezone(UTC)


def from_epoch_ms(ms: int) -> datetime:
    return EPOCH + ms * ONE_MS


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with `Z` and three digits, the only form that the API sends (api.md 0)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


FIRST_YEAR, LAST_YEAR = 1970, 9000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ONE_MS = timedelta(milliseconds=1)
