"""Whether this process can serve: the facts behind `/health/ready`."""

import functools
import logging
import os
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.module_loading import import_string

from zinzino import clock
from zinzino.redis_client import client
from zinzino.tasks import HEARTBEAT_KEY

log = logging.getLogger(__name__)

STALE_BEAT_S = 60
STALE_OUTBOX_S = 300
# Without these no request can be answered; the rest only degrades.
VITAL = ("database", "migrations", "draining")


def checks() -> dict[str, Any]:
    database = timed(ping_database)
    return {
        "database": database,
        "redis": timed(client().ping),
        "migrations": {"ok": database["ok"] and is_migrated()},
        "outbox_lag_s": outbox_lag_s() if database["ok"] else None,
        "beat_age_s": beat_age_s(),
        "storage": {"ok": is_writable(Path(settings.MEDIA_ROOT))},
        "draining": {"ok": not is_draining()},
    }


def is_ready(found: Mapping[str, Any]) -> bool:
    return all(found[name]["ok"] for name in VITAL)


def status(found: Mapping[str, Any]) -> str:
    in_time = (found["beat_age_s"] or 0) <= STALE_BEAT_S and (found["outbox_lag_s"] or 0) <= STALE_OUTBOX_S
    parts = [part["ok"] for part in found.values() if isinstance(part, dict)]
    return "ok" if all(parts) and in_time else "degraded"


def timed(ask: Callable[[], Any]) -> dict[str, Any]:
    """The reason of a failure goes to the log only: it may name hosts and users."""
    started = time.perf_counter()
    try:
        ask()
        ok = True
    except (DatabaseError, redis.RedisError) as error:
        log.warning("health: %s", type(error).__name__)
        ok = False
    return {"ok": ok, "ms": round((time.perf_counter() - started) * 1000, 1)}


def ping_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def is_migrated() -> bool:
    """Asked of the database until it is true: migrations are not taken back under a running server."""
    try:
        return _migrated()
    except (DatabaseError, LookupError):
        return False


@functools.cache
def _migrated() -> bool:
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise LookupError("unapplied migrations")
    return True


def beat_age_s() -> float | None:
    try:
        beat_at: Any = client().get(HEARTBEAT_KEY)
    except redis.RedisError:
        return None
    return None if beat_at is None else max(0, clock.epoch_ms(clock.now()) - int(beat_at)) / 1000


def outbox_lag_s() -> float | None:
    """How long the mail or push has been due that has waited longest; 0 where none is."""
    now = clock.now()
    try:
        found = [import_string(name)(now=now) for name in settings.OUTBOXES]
    except DatabaseError:
        return None
    oldest: datetime = min([now, *filter(None, found)])
    return (now - oldest).total_seconds()


def is_writable(directory: Path) -> bool:
    """The directory, or the one in which the first picture would make it."""
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    return existing.is_dir() and os.access(existing, os.W_OK)


def is_draining() -> bool:
    """A file, so that a hook of the orchestrator can announce the end before the stop signal comes."""
    return (settings.DATA_DIR / "draining").exists()
