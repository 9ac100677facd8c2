"""Who may add a dispenser: anybody, only of known units, or only with the code from the box (api.md 3)."""

import hashlib
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.utils.crypto import get_random_string
from django.utils.translation import gettext_lazy

from devices.models import ManufacturedUnit
from zinzino.api.errors import InvalidFields, RateLimitExceeded
from zinzino.redis_client import client

# Codes are random and long: the rounds only have to make a stolen table expensive, not a word list. An import
# has to hash millions of them.
HASH_ROUNDS = 1_000
HOUR_S = 3600

# Counted before the code is looked at, so that no number of requests at once brings more tries.
# KEYS: the counter. ARGV: tries allowed, window. Answers how long to wait, or 0.
TRY = """
local tries = redis.call('INCR', KEYS[1])
if tries == 1 then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
if tries > tonumber(ARGV[1]) then return math.max(1, redis.call('TTL', KEYS[1])) end
return 0
"""


class UnknownUnit(InvalidFields):
    """422. One answer for every difference: nobody learns which serial or address exists."""

    reason = "unit_unknown"
    message = gettext_lazy("We do not know this dispenser. Please check its serial number and type.")


class ClaimCodeRequired(InvalidFields):
    reason = "claim_code_required"
    message = gettext_lazy("Please enter the code from the box.")


class ClaimCodeWrong(InvalidFields):
    reason = "claim_code_wrong"
    message = gettext_lazy("The code is wrong. It is printed in the box.")


class TooManyTries(RateLimitExceeded):
    message = gettext_lazy("Too many wrong codes. Please try again later.")


@dataclass(frozen=True, slots=True)
class Claim:
    """What a person says of the dispenser that they want to add."""

    serial_number: str
    mac_address: str
    device_type: str
    code: str | None


def check(claim: Claim) -> None:
    """Raises UnknownUnit, ClaimCodeRequired, ClaimCodeWrong, TooManyTries with `retry_after` in seconds.

    Without Valkey nobody can be kept from guessing: with mode `code` nothing is added then (503).
    """
    if settings.DEVICE_CLAIM_MODE == "open":
        return
    unit = ManufacturedUnit.objects.filter(pk=claim.serial_number, mac_address=claim.mac_address).first()
    if unit is None or unit.device_type not in ("", claim.device_type):
        raise UnknownUnit(serial_number=[str(UnknownUnit.message)])
    if settings.DEVICE_CLAIM_MODE == "code":
        prove(unit, claim.code)


def prove(unit: ManufacturedUnit, code: str | None) -> None:
    if not code:
        raise ClaimCodeRequired(claim_code=[str(ClaimCodeRequired.message)])
    wait = int(client().eval(TRY, 1, _tries(unit.pk), settings.CLAIM_TRIES_PER_HOUR, HOUR_S))
    if wait:
        raise TooManyTries(retry_after=wait)
    if not is_code(code, unit.claim_code_hash):
        raise ClaimCodeWrong(claim_code=[str(ClaimCodeWrong.message)])
    forget_tries(unit.pk)


def forget_tries(serial_number: str) -> None:
    client().delete(_tries(serial_number))


def hashed(code: str) -> str:
    return PBKDF2PasswordHasher().encode(code, get_random_string(12), HASH_ROUNDS)


def is_code(code: str, stored: str) -> bool:
    """In constant time. A unit that came without a code can be claimed by nobody in this mode."""
    return bool(stored) and PBKDF2PasswordHasher().verify(code, stored)


def _tries(serial_number: str) -> str:
    return f"claim:tries:{hashlib.sha256(serial_number.encode()).hexdigest()[:32]}"
