"""The login lock: who guesses passwords waits, longer each time (api.md 1).

Counters live in Valkey under a hash of the e-mail, for unknown addresses alike, so that the answer tells
nobody which accounts exist. Without Valkey there is no lock; the rate limit of the address still holds.
"""

import contextlib
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import redis
from django.conf import settings
from django.utils.translation import gettext_lazy

from zinzino.api.errors import Forbidden
from zinzino.redis_client import client

WINDOW_S = 15 * 60
FIRST_LOCK_S = 15 * 60
LONGEST_LOCK_S = 24 * 3600
# Without a failure for this long, the next lock is a first one again.
QUIET_S = 24 * 3600

# KEYS: counter, lock, level. ARGV: failures allowed, window, first lock, longest lock, quiet time.
FAILED = """
local failures = redis.call('INCR', KEYS[1])
if failures == 1 then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
if failures < tonumber(ARGV[1]) then return 0 end
local level = redis.call('INCR', KEYS[3])
local seconds = math.min(ARGV[3] * 2 ^ (level - 1), ARGV[4])
redis.call('EXPIRE', KEYS[3], seconds + ARGV[5])
redis.call('SET', KEYS[2], '1', 'EX', seconds)
redis.call('DEL', KEYS[1])
return seconds
"""


class AccountLocked(Forbidden):
    reason = "account_locked"
    message = gettext_lazy("Too many failed attempts. Please try again later.")


@dataclass(frozen=True, slots=True)
class Gate:
    """The two locks that one attempt has to pass: of its origin for this e-mail, and of the e-mail."""

    email: str
    # The network that a login comes from, or the session that asks for its person's password again.
    origin: str

    def check(self) -> None:
        """Raises AccountLocked with `retry_after` in seconds."""
        try:
            waits = [int(client().ttl(self._key("lock", scope))) for scope in self._scopes()]
        except redis.RedisError:
            return
        if (wait := max(waits)) > 0:
            raise AccountLocked(retry_after=wait)

    def failed(self) -> None:
        try:
            for scope, allowed in self._scopes().items():
                keys = [self._key(kind, scope) for kind in ("failures", "lock", "level")]
                limits = (allowed, WINDOW_S, FIRST_LOCK_S, LONGEST_LOCK_S, QUIET_S)
                client().eval(FAILED, len(keys), *keys, *limits)
        except redis.RedisError:
            return

    def passed(self) -> None:
        try:
            client().delete(self._key("failures", self.origin))
        except redis.RedisError:
            return

    def _scopes(self) -> dict[str, int]:
        return {self.origin: settings.LOGIN_FAILURES_PER_ADDRESS, "": settings.LOGIN_FAILURES_PER_EMAIL}

    def _key(self, kind: str, scope: str) -> str:
        name = _name(self.email)
        return f"login:{kind}:{{{name}}}:{_generation(name)}:{hashlib.sha256(scope.encode()).hexdigest()[:16]}"


def waits(email: str, origins: Iterable[str] = ()) -> int:
    """For how many seconds nobody is let in under an e-mail: from anywhere, or from one of these networks."""
    gates = (Gate(email, origin) for origin in ("", *origins))
    try:
        return max(0, *(int(client().ttl(each._key("lock", each.origin))) for each in gates))
    except redis.RedisError:
        return 0


def unlock(email: str) -> None:
    """Forget all failures and locks of an e-mail, whatever addresses they came from."""
    name = _name(email)
    client().incr(f"login:generation:{name}")
    client().expire(f"login:generation:{name}", LONGEST_LOCK_S + QUIET_S)


def forget(email: str) -> None:
    """The same after a reset of the password, which must not fail for want of Valkey."""
    with contextlib.suppress(redis.RedisError):
        unlock(email)


def _name(email: str) -> str:
    return hashlib.sha256(email.encode()).hexdigest()[:32]


def _generation(name: str) -> int:
    return int(client().get(f"login:generation:{name}") or 0)
