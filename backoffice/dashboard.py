"""The figures of the dashboard: asked at most once a minute, whoever looks, each bounded in what it reads."""

from datetime import datetime, timedelta
from typing import Any

import orjson
from django.core.cache import cache
from django.db import connection
from redis.exceptions import RedisError

from zinzino.ids import least_uuid7

KEPT_S = 60
KEY = "backoffice:dashboard"
DAYS = 30
# Of the newest decisions and pushes of a day; a fleet that makes more is told of by the newest.
MOST = 200_000

# By devices_connected, alert_states (small rows), push_deliveries_due, mails_pending, users_newest, and the
# primary keys that name their moment.
FIGURES = """
SELECT json_build_object(
  'devices', (SELECT count(*) FROM devices),
  'online', (SELECT count(*) FROM devices WHERE is_connected AND silent_at IS NOT NULL),
  'low', (SELECT coalesce(json_object_agg(kind, low), '{}') FROM (
      SELECT kind, count(*) AS low FROM alert_states
       WHERE kind IN ('battery', 'supplement') AND severity IS NOT NULL GROUP BY kind) a),
  'outbox', (SELECT json_build_object('waiting', count(*), 'oldest', min(next_attempt_at)) FROM (
      SELECT next_attempt_at FROM push_deliveries
       WHERE status IN ('queued', 'sending') AND next_attempt_at <= %(now)s
       ORDER BY next_attempt_at LIMIT 10000) d),
  'mails', (SELECT json_build_object('waiting', count(*), 'oldest', min(next_attempt_at)) FROM (
      SELECT next_attempt_at FROM mails WHERE status = 'pending' AND next_attempt_at <= %(now)s
       ORDER BY next_attempt_at LIMIT 10000) m),
  'pushes', (SELECT coalesce(json_object_agg(status, pushes), '{}') FROM (
      SELECT status, count(*) AS pushes FROM (
          SELECT status FROM push_deliveries WHERE id >= %(day)s ORDER BY id DESC LIMIT %(most)s) newest
       GROUP BY status) p),
  'decisions', (SELECT coalesce(json_object_agg(reason, times), '{}') FROM (
      SELECT reason, count(*) AS times FROM (
          SELECT reason FROM decisions WHERE id >= %(day)s ORDER BY id DESC LIMIT %(most)s) newest
       GROUP BY reason) d),
  'sign_ups', (SELECT coalesce(json_agg(json_build_array(day, people) ORDER BY day), '[]') FROM (
      SELECT created_at::date AS day, count(*) AS people FROM users
       WHERE created_at >= %(since)s GROUP BY 1) u)
)::text"""


def figures(*, now: datetime) -> dict[str, Any]:
    """What all who look within a minute share. Without Valkey each look asks anew."""
    try:
        kept = cache.get(KEY)
    except RedisError:
        return asked(now=now)
    if kept is None:
        kept = asked(now=now)
        cache.set(KEY, kept, KEPT_S)
    found: dict[str, Any] = kept
    return found


def asked(*, now: datetime) -> dict[str, Any]:
    day = now - timedelta(days=1)
    parameters: dict[str, Any] = {
        "now": now,
        "day": least_uuid7(day),
        "most": MOST,
        "since": (now - timedelta(days=DAYS - 1)).date(),
    }
    with connection.cursor() as cursor:
        cursor.execute(FIGURES, parameters)
        found: dict[str, Any] = orjson.loads(cursor.fetchone()[0])
    return found | {"asked_at": now.isoformat()}
