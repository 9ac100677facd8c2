"""How the bridges are, for `doctor`: each tells it to Valkey, and one that falls silent is missed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
import structlog
from redis.exceptions import RedisError

from zinzino import clock
from zinzino.redis_client import client

KEY = "bridges"
EVERY_S = 30.0
SILENT_AFTER = timedelta(seconds=3 * EVERY_S)
# As long its session stands at the broker, and collects a share of all messages (ADR 0018).
REMEMBERED_FOR = timedelta(hours=24)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Report:
    name: str
    at_ms: int
    connected: bool
    # Whether it waits for the database.
    stuck: bool
    waiting: int

    def is_silent(self, now: datetime) -> bool:
        return now - clock.from_epoch_ms(self.at_ms) > SILENT_AFTER


def tell(name: str, *, connected: bool, stuck: bool, waiting: int, now: datetime) -> None:
    """Nothing hangs on it: without Valkey the bridge goes on."""
    report = Report(name, clock.epoch_ms(now), connected, stuck, waiting)
    try:
        client().hset(KEY, name, orjson.dumps(asdict(report)))
    except RedisError as error:
        log.debug("the bridge cannot say how it is", error=type(error).__name__)


def forget(name: str) -> None:
    """It has left for good, and no session of its own."""
    try:
        client().hdel(KEY, name)
    except RedisError as error:
        log.debug("the bridge cannot say that it leaves", error=type(error).__name__)


def told(*, now: datetime) -> Sequence[Report]:
    """Of all whose session may stand, also of those that fell silent. Raises RedisError."""
    found: Any = client().hvals(KEY)
    reports = [Report(**orjson.loads(each)) for each in found]
    return [each for each in reports if now - clock.from_epoch_ms(each.at_ms) < REMEMBERED_FOR]
