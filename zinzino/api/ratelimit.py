"""How many requests a minute each client may send (api.md 0), counted exactly, before any other work."""

import hashlib
import hmac
import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
import redis
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError

from zinzino.api import client, errors
from zinzino.api.bearer import Kind, bearer, read_person
from zinzino.api.context import api_path, is_api
from zinzino.redis_client import client as redis_client

log = logging.getLogger(__name__)

WINDOW_MS = 60_000
# While Redis is away only one request in this time waits for its timeout.
BREAK_S = 1.5
COMPLAIN_EVERY_S = 60.0
REMEMBERED_CLIENTS = 10_000

PROBES = ("/health", "/metrics")
BY_ADDRESS = frozenset(
    f"/auth/{name}"
    for name in ("register", "login", "google", "apple", "forgot-password", "reset-password", "verify-email")
)

# Two buckets of one minute, the older fading out. The first begins with the key's first request, not
# with the minute on the wall, so that a burst never straddles two. All numbers are whole milliseconds
# or requests; `pass_at` is the least age of a bucket at which one more request fits.
SCRIPT = """
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local kept = redis.call('HMGET', KEYS[1], 's', 'c', 'p')
local start, count, before = tonumber(kept[1]) or now, tonumber(kept[2]) or 0, tonumber(kept[3]) or 0
local age = math.max(0, now - start)
if age >= 2 * window then
  start, count, before, age = now, 0, 0, 0
elseif age >= window then
  start, count, before, age = start + window, 0, count, age - window
end
local function fits(count, before)
  if count + 1 > limit then return nil end
  if before == 0 then return 0 end
  return math.max(0, window - math.floor((limit - count - 1) * window / before))
end
local pass_at, passed = fits(count, before), 0
if pass_at and age >= pass_at then
  count, passed = count + 1, 1
  redis.call('HSET', KEYS[1], 's', start, 'c', count, 'p', before)
  redis.call('PEXPIRE', KEYS[1], 2 * window)
  pass_at = fits(count, before)
end
pass_at = pass_at or window + fits(0, count)
local left = math.max(0, math.floor(((limit - count) * window - before * (window - age)) / window))
local next = start + pass_at
if left > 0 then next = start + window end
return {passed, left, next, math.max(0, next - now)}
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    limit: int
    passed: bool
    remaining: int
    # When one more request fits; while some remain, when this minute ends.
    reset_at_ms: int
    wait_ms: int

    @property
    def retry_after_s(self) -> int:
        return max(1, math.ceil(self.wait_ms / 1000))

    def write_on(self, response: HttpResponse) -> None:
        response["X-RateLimit-Limit"] = str(self.limit)
        response["X-RateLimit-Remaining"] = str(self.remaining)
        response["X-RateLimit-Reset"] = str(math.ceil(self.reset_at_ms / 1000))


class RateLimitMiddleware:
    """Counts API requests; pages and probes pass untouched."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not is_counted(request):
            return self.get_response(request)
        verdict = take(*bucket(request))
        if verdict.passed:
            response = self.get_response(request)
        else:
            refusal = errors.RateLimitExceeded(retry_after=verdict.retry_after_s)
            response = errors.http_response(refusal)
        verdict.write_on(response)
        return response


def is_counted(request: HttpRequest) -> bool:
    return is_api(request) and not api_path(request).startswith(PROBES)


def bucket(request: HttpRequest) -> tuple[str, str]:
    """The scope, which has the limit, and who is counted in it. No name holds an e-mail or a token."""
    path = api_path(request)
    if path in BY_ADDRESS:
        return "auth", by_address(request)
    if path == "/auth/refresh":
        return "auth", by_session(request)
    if path.startswith("/auth/"):
        return "auth", by_sender(request)
    if path.startswith("/iot/dispense/"):
        # Of its own, so that telemetry never blocks a confirmation.
        return "dispense", by_sender(request)
    if is_device(request):
        return "iot", by_sender(request)
    return "sync" if path.startswith("/sync/") else "general", by_sender(request)


def is_device(request: HttpRequest) -> bool:
    sender = bearer(request)
    return sender.kind is Kind.DEVICE and bool(sender.subject)


def by_sender(request: HttpRequest) -> str:
    """The user or the device that our signature vouches for, else the address."""
    sender = bearer(request)
    if not sender.subject:
        return by_address(request)
    return f"{'device' if sender.kind is Kind.DEVICE else 'user'}:{sender.subject}"


def by_address(request: HttpRequest) -> str:
    network = client.network_of(client.address(request)).encode()
    return "address:" + hmac.new(settings.SECRET_KEY.encode(), network, hashlib.sha256).hexdigest()[:24]


def by_session(request: HttpRequest) -> str:
    """The session whose refresh token the body carries, so that a family behind one address can refresh."""
    announced = request.META.get("CONTENT_LENGTH") or ""
    if not announced.isdigit() or int(announced) > settings.MAX_JSON_BYTES:
        return by_address(request)
    try:
        body = orjson.loads(request.body)
    except (ValueError, UnreadablePostError):
        return by_address(request)
    token = body.get("refresh_token") if isinstance(body, dict) else None
    claims = read_person(token, token_type="refresh").claims if isinstance(token, str) else {}
    return f"session:{claims['sid']}" if claims else by_address(request)


def take(scope: str, who: str) -> Verdict:
    """Count one request. Without Redis nothing is refused, except sign-in, which this process counts."""
    limit = settings.RATE_LIMITS[scope]
    if outage.is_over():
        try:
            return counted_by_redis(f"rate:{scope}:{who}", limit)
        except redis.RedisError as error:
            outage.begins(error)
    if scope == "auth":
        return in_process.take(who, limit)
    minute_ends = int(time.time() * 1000) + WINDOW_MS
    return Verdict(limit, passed=True, remaining=limit - 1, reset_at_ms=minute_ends, wait_ms=0)


def counted_by_redis(key: str, limit: int) -> Verdict:
    client = redis_client()
    try:
        found: Any = client.evalsha(SCRIPT_SHA, 1, key, limit, WINDOW_MS)
    except redis.exceptions.NoScriptError:
        found = client.eval(SCRIPT, 1, key, limit, WINDOW_MS)
    passed, remaining, reset_at_ms, wait_ms = found
    return Verdict(limit, bool(passed), remaining, reset_at_ms, wait_ms)


SCRIPT_SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


class Outage:
    """Remembers that Redis is away, so that not every request waits to find out."""

    def __init__(self) -> None:
        self._until = 0.0
        self._complained_at = -math.inf

    def is_over(self) -> bool:
        return time.monotonic() >= self._until

    def begins(self, error: redis.RedisError) -> None:
        now = time.monotonic()
        self._until = now + BREAK_S
        if now - self._complained_at >= COMPLAIN_EVERY_S:
            self._complained_at = now
            log.warning("requests are counted without Redis: %s", type(error).__name__)


class InProcess:
    """The same count in this process alone, for the clients seen last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, tuple[int, int, int]] = OrderedDict()

    def take(self, who: str, limit: int) -> Verdict:
        now = int(time.time() * 1000)
        with self._lock:
            start, count, before = turned(self._seen.pop(who, (now, 0, 0)), now)
            pass_at = fits(count, before, limit)
            passed = pass_at is not None and now - start >= pass_at
            if passed:
                count += 1
                pass_at = fits(count, before, limit)
            self._seen[who] = (start, count, before)
            if len(self._seen) > REMEMBERED_CLIENTS:
                self._seen.popitem(last=False)
        left = max(0, ((limit - count) * WINDOW_MS - before * (WINDOW_MS - now + start)) // WINDOW_MS)
        later = pass_at if pass_at is not None else WINDOW_MS + (fits(0, count, limit) or 0)
        reset_at = start + (WINDOW_MS if left else later)
        return Verdict(limit, passed, left, reset_at, max(0, reset_at - now))


def turned(bucket: tuple[int, int, int], now: int) -> tuple[int, int, int]:
    """The buckets as they stand now: start of the present one, its count, the count of the one before."""
    start, count, _ = bucket
    age = now - start
    if age >= 2 * WINDOW_MS or age < 0:
        return now, 0, 0
    return (start + WINDOW_MS, 0, count) if age >= WINDOW_MS else bucket


def fits(count: int, before: int, limit: int) -> int | None:
    """The least age of the present bucket at which one more request fits, if any."""
    if count + 1 > limit:
        return None
    return max(0, WINDOW_MS - (limit - count - 1) * WINDOW_MS // before) if before else 0


outage = Outage()
in_process = InProcess()
