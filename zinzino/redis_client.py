"""The one Redis client for calls inside a request: it gives up quickly instead of holding the request."""

import functools

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

TIMEOUT_S = 0.2


@functools.cache
def client() -> redis.Redis:
    """Made at the first call, so that no connection is older than a fork; threads share its pool."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        # One more try, for a connection that died idle. A timeout is not tried again.
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        max_connections=1_000,
    )
