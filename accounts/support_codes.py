"""The code that a person reads out on the phone: it proves to support whose account they may look at.

Six digits, for 15 minutes, good once, for this alone; it signs nobody in. Kept as a hash under a key of ours,
since six digits are quickly tried where a hash is known.
"""

import hmac
import secrets
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_lazy

from accounts.models import SupportCode
from zinzino.api.errors import ApiError

GOOD_FOR = timedelta(minutes=15)
DIGITS = 6
ATTEMPTS = 5


class WrongSupportCode(ApiError):
    """400. The same for a wrong code, an old one, and one that was tried too often."""

    code = "INVALID_TOKEN"
    message = gettext_lazy("The code is wrong or has expired. Please ask for a new one in the app.")


def issue(user_id: UUID, *, now: datetime) -> tuple[str, datetime]:
    """A new code, and when it ends; the one before ends now."""
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
    fresh = {"code_hash": hashed(user_id, code), "created_at": now, "expires_at": now + GOOD_FOR}
    SupportCode.objects.update_or_create(user_id=user_id, defaults={**fresh, "attempts": 0, "used_at": None})
    return code, now + GOOD_FOR


def redeem(user_id: UUID, code: str, *, now: datetime) -> None:
    """Use the code up. Raises WrongSupportCode; the try counts also then."""
    if not taken(user_id, "".join(code.split()), now=now):
        raise WrongSupportCode


@transaction.atomic
def taken(user_id: UUID, code: str, *, now: datetime) -> bool:
    row = SupportCode.objects.select_for_update().filter(pk=user_id, used_at=None, expires_at__gt=now).first()
    if row is None or row.attempts >= ATTEMPTS:
        return False
    right = hmac.compare_digest(row.code_hash, hashed(user_id, code))
    row.attempts += 1
    row.used_at = now if right else None
    row.save(update_fields=("attempts", "used_at"))
    return right


def hashed(user_id: UUID, code: str) -> str:
    return hmac.new(settings.SECRET_KEY.encode(), f"support-code:{user_id}:{code}".encode(), "sha256").hexdigest()
