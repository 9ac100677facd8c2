"""The second factor of staff: a code of an authenticator app, or one of the recovery codes.

allauth keeps the secrets and checks the codes; between password and code nobody is signed in.
"""

import base64
import hmac
from datetime import datetime, timedelta
from typing import Any

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret, validate_totp_code
from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.http import HttpRequest
from redis.exceptions import RedisError

from accounts import lock
from accounts.models import User
from zinzino import clock
from zinzino.api.client import address, network_of

PASSED, PENDING, SECRET = "second_factor", "pending", "pending_secret"
# Between the password and the code.
PENDING_FOR = timedelta(minutes=5)
DIGITS = 6
# Longer than a code can be good, with the tolerance of `MFA_TOTP_TOLERANCE`.
CODE_REMEMBERED_S = 120
Type = Authenticator.Type


class Adapter(DefaultMFAAdapter):
    """Secrets lie encrypted in the database; the mails that allauth would send are not ours."""

    def encrypt(self, text: str) -> str:
        return box().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """What was sealed under another SECRET_KEY is a secret that nobody knows, never an empty one."""
        try:
            return box().decrypt(encrypted_text).decode()
        except InvalidToken:
            return str(generate_totp_secret())

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        return None


def box() -> Fernet:
    key = hmac.digest(settings.SECRET_KEY.encode(), b"second-factor", "sha256")
    return Fernet(base64.urlsafe_b64encode(key))


def authenticator(user: User, type: str) -> Authenticator | None:
    found: Authenticator | None = Authenticator.objects.filter(user_id=user.pk, type=type).first()
    return found


def is_due(user: User) -> bool:
    """Whether the password alone opens nothing: where the setting says so, or the person has set one up."""
    return settings.STAFF_MFA_REQUIRED or authenticator(user, Type.TOTP) is not None


def passed(request: HttpRequest) -> bool:
    return not settings.STAFF_MFA_REQUIRED or request.session.get(PASSED) is True


def remember(request: HttpRequest, *, passed: bool) -> None:
    request.session[PASSED] = passed


def begin(request: HttpRequest, user: User, page: str) -> None:
    request.session.flush()
    request.session[PENDING] = {"user": str(user.pk), "at": clock.now().isoformat(), "next": page}


def pending(request: HttpRequest) -> tuple[User, str] | None:
    """Who has given the right password just now, and where they want to go."""
    kept = request.session.get(PENDING)
    if not kept or clock.now() - datetime.fromisoformat(kept["at"]) > PENDING_FOR:
        return None
    user = User.objects.filter(pk=kept["user"], is_active=True, is_staff=True).first()
    return (user, kept["next"]) if user else None


def gate(request: HttpRequest, user: User) -> lock.Gate:
    """Guesses are counted as those of passwords are."""
    return lock.Gate(f"second-factor:{user.pk}", network_of(address(request)))


def is_right(request: HttpRequest, user: User, code: str) -> bool:
    """Whether the code is the app's of now, or a recovery code; each is good once. Raises AccountLocked."""
    code = "".join(code.split())
    return proves(request, user, code, Type.TOTP if len(code) == DIGITS else Type.RECOVERY_CODES)


def proves(request: HttpRequest, user: User, code: str, type: str) -> bool:
    tries = gate(request, user)
    tries.check()
    row = authenticator(user, type)
    plain = code.isdecimal() and code.isascii()
    if row is not None and plain and fits(row, code) and first_use(user, code):
        tries.passed()
        return True
    tries.failed()
    return False


def fits(row: Authenticator, code: str) -> bool:
    """allauth's own check of an app's code asks Valkey, and fails without it."""
    if row.type == Type.TOTP:
        return bool(validate_totp_code(Adapter().decrypt(row.data["secret"]), code))
    return bool(row.wrap().validate_code(code))


def first_use(user: User, code: str) -> bool:
    """Without Valkey a code may be used twice: staff are needed most when something is down."""
    try:
        return bool(cache.add(f"second-factor:{user.pk}:{code}", True, CODE_REMEMBERED_S))
    except RedisError:
        return True


def new_secret(request: HttpRequest) -> str:
    """The secret that is being set up; the same until it is."""
    secret: str = request.session.get(SECRET) or generate_totp_secret()
    request.session[SECRET] = secret
    return secret


@transaction.atomic
def set_up(request: HttpRequest, user: User, code: str) -> list[str] | None:
    """Take the secret of the session where the code proves that the app has it; answers the recovery codes.

    Raises AccountLocked. None for a wrong code, or where there is a factor already.
    """
    tries = gate(request, user)
    tries.check()
    secret = request.session.get(SECRET)
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if authenticator(user, Type.TOTP) or not secret or not validate_totp_code(secret, "".join(code.split())):
        tries.failed()
        return None
    TOTP.activate(user, secret)
    Authenticator.objects.filter(user_id=user.pk, type=Type.RECOVERY_CODES).delete()
    codes: list[str] = RecoveryCodes.activate(user).get_unused_codes()
    request.session.pop(SECRET)
    return codes


@transaction.atomic
def renew_codes(request: HttpRequest, user: User, code: str) -> list[str] | None:
    """New recovery codes for a code of the app; the former ones are void. None for a wrong code.

    Raises AccountLocked. A recovery code is not enough: who found the paper must not get the next one.
    """
    if not proves(request, user, "".join(code.split()), Type.TOTP):
        return None
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    row = Authenticator.objects.select_for_update().filter(user_id=user.pk, type=Type.RECOVERY_CODES).first()
    if row is None:
        return list(RecoveryCodes.activate(user).get_unused_codes())
    # The same row: a sign-in with a former code waits for it, and then finds the new ones.
    row.data = {"seed": Adapter().encrypt(RecoveryCodes.generate_seed()), "used_mask": 0}
    row.save(update_fields=["data"])
    return list(RecoveryCodes(row).get_unused_codes())


def codes_left(user: User) -> int:
    row = authenticator(user, Type.RECOVERY_CODES)
    return len(RecoveryCodes(row).get_unused_codes()) if row else 0


def take_away(user: User) -> int:
    """For somebody who lost phone and codes; how many factors there were."""
    return int(Authenticator.objects.filter(user_id=user.pk).delete()[0])


def qr_code(user: User, secret: str) -> str:
    """As SVG; `settings.MFA_TOTP_ISSUER` names us in the app."""
    adapter = Adapter()
    svg: str = adapter.build_totp_svg(adapter.build_totp_url(user, secret))
    return svg.partition("?>")[2] or svg
