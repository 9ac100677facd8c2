"""Proving an address, choosing a new password, moving to another address (mission 1.6, 1.7, 1.9, 2.4).

Each change of credentials is one transaction on the person's locked row, with its mail in the same.
"""

import time
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy

from accounts import lock, mails, one_time, provider_links, services, sessions
from accounts.models import EndReason, OneTimeToken, SecurityEvent, Session, User, normalized_email
from accounts.one_time import InvalidToken, Purpose
from accounts.services import EmailTaken, WrongCredentials, send_verification
from zinzino.api.errors import InvalidFields, NotFound, RateLimitExceeded

HOUR = timedelta(hours=1)
# Several times what the slower of the two cases takes.
SILENT_ANSWER_S = 0.25


class EmailUnknown(NotFound):
    message = gettext_lazy("No account uses this email address.")


class CurrentPasswordWrong(WrongCredentials):
    message = gettext_lazy("The current password is incorrect.")


class NoAddress(InvalidFields):
    message = gettext_lazy("This account has no email address.")


class TooManyMails(RateLimitExceeded):
    message = gettext_lazy("Too many mails were requested. Please try again later.")


def request_reset(email: str, *, now: datetime) -> None:
    """Mail a link for a new password. Raises EmailUnknown, TooManyMails (both by setting)."""
    started = time.monotonic()
    mail_reset(email, now=now)
    if not settings.REVEAL_UNKNOWN_EMAIL:
        # Writing a mail takes longer than writing none: the time of the answer must not tell either.
        time.sleep(max(0.0, SILENT_ANSWER_S - (time.monotonic() - started)))


@transaction.atomic
def mail_reset(email: str, *, now: datetime) -> None:
    user = (
        User.objects.select_for_update(no_key=True).filter(email=normalized_email(email), is_active=True).first()
    )
    if user is None or user.email is None:
        if settings.REVEAL_UNKNOWN_EMAIL:
            raise EmailUnknown
        return
    try:
        count_mail(user, Purpose.RESET_PASSWORD, now=now)
    except TooManyMails:
        if settings.REVEAL_UNKNOWN_EMAIL:
            raise
        return  # an unknown address would not be refused either
    token = one_time.issue(user, Purpose.RESET_PASSWORD, email=user.email, now=now)
    mails.queue(user, mails.reset, token, now=now)


def count_mail(user: User, purpose: Purpose, *, now: datetime) -> None:
    """Raises TooManyMails when this hour's mails of one kind have all gone out."""
    recent = user.mails.filter(kind=purpose.value, created_at__gt=now - HOUR).order_by("created_at")
    times = list(recent.values_list("created_at", flat=True))
    if len(times) >= settings.RESET_MAILS_PER_HOUR:
        raise TooManyMails(retry_after=max(1, int((times[0] + HOUR - now).total_seconds()) + 1))


@transaction.atomic
def reset_password(token: str, new_password: str, *, now: datetime) -> None:
    """Set a new password by a mailed token: all sessions end, the address is proven, the lock is off.

    Sign-ins that somebody else may have added end too. Raises InvalidToken, InvalidFields: the token stays good.
    """
    spent = one_time.spend(token, Purpose.RESET_PASSWORD, now=now)
    user = spent.user
    if user.email != spent.email:
        raise InvalidToken
    set_password(user, new_password, now=now)
    provider_links.end_doubtful(user, now=now)
    User.objects.filter(pk=user.pk).update(is_verified=True)
    sessions.end(user.sessions.all(), EndReason.PASSWORD_RESET, now=now)
    transaction.on_commit(lambda: lock.forget(spent.email))


@transaction.atomic
def change_password(user_id: UUID, session_id: UUID, current: str, new_password: str, *, now: datetime) -> None:
    """Set a new password by the current one; the other sessions end.

    Raises CurrentPasswordWrong, AccountLocked, InvalidFields.
    """
    user = User.objects.select_for_update(no_key=True).get(pk=user_id)
    if not services.confirm(user, current, session_id=session_id):
        raise CurrentPasswordWrong
    set_password(user, new_password, now=now)
    others = Session.objects.filter(user_id=user_id).exclude(pk=session_id)
    sessions.end(others, EndReason.PASSWORD_CHANGED, now=now)
    SecurityEvent.objects.create(user=user, kind=SecurityEvent.Kind.PASSWORD_CHANGED, occurred_at=now)


def set_password(user: User, new_password: str, *, now: datetime) -> None:
    """Raises InvalidFields for one that is too short for a member of staff."""
    try:
        validate_password(new_password, user)
    except ValidationError as error:
        raise InvalidFields(new_password=error.messages) from error
    user.set_password(new_password)
    user.updated_at = now
    user.save(update_fields=("password", "updated_at"))
    # A move that the former password began must not take the account away from the new one.
    over = (Purpose.RESET_PASSWORD, Purpose.CHANGE_EMAIL)
    OneTimeToken.objects.filter(user=user, purpose__in=over, used_at=None).delete()
    mails.queue(user, mails.password_changed, now=now)


@transaction.atomic
def resend_verification(user_id: UUID, *, now: datetime) -> bool:
    """Mail another link; False where the address is proven already. Raises NoAddress, TooManyMails."""
    user = User.objects.select_for_update(no_key=True).get(pk=user_id)
    if user.email is None:
        raise NoAddress
    if user.is_verified:
        return False
    count_mail(user, Purpose.VERIFY_EMAIL, now=now)
    send_verification(user, now=now)
    return True


def verify_email(token: str, *, now: datetime) -> None:
    """Take the address that the token proves: the account's own, or the new one that was asked for.

    Raises InvalidToken, EmailTaken.
    """
    try:
        with transaction.atomic():
            spent = one_time.spend(token, Purpose.VERIFY_EMAIL, Purpose.CHANGE_EMAIL, now=now)
            if spent.purpose == Purpose.CHANGE_EMAIL:
                move(spent.user, spent.email, now=now)
            elif spent.email != spent.user.email:
                raise InvalidToken
            User.objects.filter(pk=spent.user_id).update(is_verified=True, updated_at=now)
    except IntegrityError as error:
        raise EmailTaken from error


@transaction.atomic
def request_email_change(user_id: UUID, session_id: UUID, new_email: str, password: str, *, now: datetime) -> None:
    """Mail a link to the new address. Raises WrongCredentials, AccountLocked, EmailTaken, TooManyMails."""
    user = User.objects.select_for_update(no_key=True).get(pk=user_id)
    if not services.confirm(user, password, session_id=session_id):
        raise CurrentPasswordWrong
    new_email = normalized_email(new_email)
    taken = User.objects.filter(email=new_email).exists()
    if taken or one_time.keeps_back(new_email, now=now, but=user_id):
        raise EmailTaken
    count_mail(user, Purpose.CHANGE_EMAIL, now=now)
    token = one_time.issue(user, Purpose.CHANGE_EMAIL, email=new_email, now=now)
    mails.queue(user, mails.email_change, token, to=new_email, now=now)


def move(user: User, new_email: str, *, now: datetime) -> None:
    """Change the address and tell the old one, which can undo it."""
    former = user.email
    User.objects.filter(pk=user.pk).update(email=new_email)
    SecurityEvent.objects.create(user=user, kind=SecurityEvent.Kind.EMAIL_CHANGED, occurred_at=now)
    one_time.end_all(user)
    if former:
        undo = one_time.issue(user, Purpose.UNDO_EMAIL_CHANGE, email=former, now=now)
        mails.queue(user, mails.email_changed, undo, new_email, to=former, now=now)


def undo_email_change(token: str, *, now: datetime) -> None:
    """Give the account back to its former address: sessions and links to providers end, the password is void,
    a reset is mailed."""
    try:
        with transaction.atomic():
            spent = one_time.spend(token, Purpose.UNDO_EMAIL_CHANGE, now=now)
            user = spent.user
            user.email, user.is_verified, user.updated_at = spent.email, True, now
            user.set_unusable_password()
            user.save(update_fields=("email", "is_verified", "password", "updated_at"))
            one_time.end_all(user)
            provider_links.end(provider_links.of(user), user, now=now)
            sessions.end(user.sessions.all(), EndReason.REVOKED, now=now)
            reset = one_time.issue(user, Purpose.RESET_PASSWORD, email=spent.email, now=now)
            mails.queue(user, mails.reset_after_undo, reset, now=now)
    except IntegrityError as error:
        raise EmailTaken from error
