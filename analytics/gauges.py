"""What Prometheus is told of the whole product, read from the database when it asks (ADR 0021)."""

import threading
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import orjson
import structlog
from django.conf import settings
from django.db import DatabaseError, connection, connections
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from accounts import mails
from notifications import outbox
from zinzino import backups, clock
from zinzino.api.health import beat_age_s

log = structlog.get_logger(__name__)

# However many ask, the database is asked this often.
KEPT_S = 10.0
# Each by an index of its own; the number of dispensers is counted in the table's key.
FACTS = """
SELECT json_build_object(
    'devices', (SELECT count(*) FROM devices),
    'connected', (SELECT count(*) FROM devices WHERE is_connected),
    'reminders_late_s', (SELECT extract(epoch FROM %(now)s - min(next_reminder_at)) FROM notification_settings
                          WHERE next_reminder_at <= %(now)s),
    'dispenses_overdue_s', (SELECT extract(epoch FROM %(now)s - min(expires_at)) FROM dispenses
                             WHERE status = 'authorized' AND expires_at <= %(now)s),
    'summed_days_ago', (SELECT %(now)s::date - max(day) FROM fleet_days),
    'safety_stops', (SELECT count(*) FROM safety_stops
                      WHERE lifted_at IS NULL AND (until IS NULL OR until > %(now)s)),
    'connections', (SELECT json_object_agg(state, n) FROM (
        SELECT coalesce(state, 'unknown') AS state, count(*) AS n FROM pg_stat_activity
         WHERE backend_type = 'client backend' GROUP BY 1) AS used),
    'most_connections', current_setting('max_connections')::int)::text"""
OUTBOXES = {"mail": mails.due_since, "push": outbox.due_since}
WRITTEN = "SELECT pg_current_wal_lsn()::text"
# Of a quiet primary the last that was replayed is old: who has done all that was written is not behind.
REPLICA_LAG = """
SELECT CASE WHEN NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >= %s::pg_lsn THEN 0
            ELSE extract(epoch FROM now() - pg_last_xact_replay_timestamp()) END"""


class Sampled(Collector):
    """Without a database what the processes have counted is still told, and `zinzino_database_up` is 0."""

    def collect(self) -> Iterator[Metric]:
        try:
            yield from sampled()
            up = 1
        except DatabaseError as error:
            log.warning("the gauges cannot be read", error=type(error).__name__)
            up = 0
        yield GaugeMetricFamily("zinzino_database_up", "Whether the database answers.", value=up)


_lock = threading.Lock()
_kept: tuple[float, list[Metric]] = (-KEPT_S, [])


def sampled() -> list[Metric]:
    global _kept
    with _lock:
        if time.monotonic() - _kept[0] >= KEPT_S:
            _kept = time.monotonic(), list(gauges(now=clock.now()))
        return _kept[1]


def gauges(*, now: datetime) -> Iterator[Metric]:
    facts = asked(now)
    devices = GaugeMetricFamily(
        "zinzino_devices", "Dispensers, by whether they are in contact.", labels=("state",)
    )
    devices.add_metric(("connected",), facts["connected"])
    devices.add_metric(("silent",), facts["devices"] - facts["connected"])
    yield devices
    lag = GaugeMetricFamily(
        "zinzino_outbox_lag_seconds", "For how long the oldest has been due.", labels=("outbox",)
    )
    for name, due_since in OUTBOXES.items():
        since = due_since(now=now)
        lag.add_metric((name,), (now - since).total_seconds() if since else 0)
    yield lag
    for name, said, value in (
        ("reminders_late_seconds", "For how long the oldest reminder has been due.", facts["reminders_late_s"]),
        ("dispenses_overdue_seconds", "Since when a dose should have been settled.", facts["dispenses_overdue_s"]),
        ("safety_stops", "Orders that stop dispensing.", facts["safety_stops"]),
        ("database_connections_most", "What the server allows.", facts["most_connections"]),
        ("fleet_summed_days_ago", "How old the newest sums of the fleet are; 2 is new.", facts["summed_days_ago"]),
    ):
        yield GaugeMetricFamily(f"zinzino_{name}", said, value=float(value or 0))
    if (behind := replica_lag_s()) is not None:
        yield GaugeMetricFamily(
            "zinzino_analytics_lag_seconds", "How far the replica of analytics is behind.", value=behind
        )
    used = GaugeMetricFamily(
        "zinzino_database_connections", "Connections to the database server, by state.", labels=("state",)
    )
    for state, count in facts["connections"].items():
        used.add_metric((state,), count)
    yield used
    backups_age = GaugeMetricFamily("zinzino_backup_age_seconds", "Since the last good one.", labels=("act",))
    for act, seconds in backups.ages_s(now=now).items():
        backups_age.add_metric((act,), seconds)
    yield backups_age
    if (age := beat_age_s()) is not None:
        yield GaugeMetricFamily("zinzino_beat_age_seconds", "Since the last heartbeat of the jobs.", value=age)


def asked(now: datetime) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(FACTS, {"now": now})
        facts: dict[str, Any] = orjson.loads(cursor.fetchone()[0])
        return facts


def replica_lag_s() -> float | None:
    """Of a replica that is away, or that does not say, nobody knows; it takes no other gauge along."""
    if "analytics" not in settings.DATABASES:
        return 0.0
    try:
        with connection.cursor() as cursor:
            cursor.execute(WRITTEN)
            written = cursor.fetchone()
        with connections["analytics"].cursor() as cursor:
            cursor.execute(REPLICA_LAG, written)
            return float(cursor.fetchone()[0] or 0)
    except DatabaseError as error:
        log.warning("the replica does not say how far it is behind", error=type(error).__name__)
        return None
