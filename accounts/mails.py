"""The mails of this app: what they say, and their outbox (api.md 1).

A mail is a row that is written with the change that causes it and sent by a job, so that neither can
happen without the other. It is in its reader's language, as HTML and as text.
"""

import smtplib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import structlog
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.db.models import QuerySet
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.utils.translation import override

from accounts.models import Mail, User
from zinzino.wakeup import wake

log = structlog.get_logger(__name__)

# A worker that dies while it sends leaves the mail to the next after this long.
LEASE = timedelta(minutes=2)
FIRST_RETRY = timedelta(minutes=1)
MAX_ATTEMPTS = 8
BATCH = 50
# What support is asked about; afterwards an address that somebody gave up need not stand here any more.
KEPT = timedelta(days=90)
CHUNK_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class Letter:
    """The words of one mail; the layout is the same for all."""

    kind: str
    subject: str
    paragraphs: tuple[str, ...]
    button: str = ""
    # Path and token of the page that the button opens.
    page: str = ""
    token: str = ""

    @property
    def link(self) -> str:
        return f"{settings.PUBLIC_URL}{self.page}?{urlencode({'token': self.token})}" if self.page else ""


def verification(token: str) -> Letter:
    return Letter(
        "verify_email",
        _("Please confirm your e-mail address"),
        (
            _("Welcome to Zinzino. Please confirm that this address is yours."),
            _("The link is good for 48 hours."),
            _("If you did not register, do not confirm: somebody else has chosen the password."),
        ),
        _("Confirm"),
        "/verify-email",
        token,
    )


def reset(token: str) -> Letter:
    return Letter(
        "reset_password",
        _("Reset your password"),
        (
            _("Somebody asked to reset the password of your Zinzino account. The link is good for one hour."),
            _("If this was not you, you need not do anything."),
        ),
        _("Choose a new password"),
        "/reset-password",
        token,
    )


def reset_after_undo(token: str) -> Letter:
    """The old password is void, so that nobody may be told that they need not do anything."""
    return Letter(
        "reset_password",
        _("Choose a new password"),
        (
            _("Your Zinzino account uses this address again, and all sessions have ended."),
            _("To sign in, please choose a new password. The link is good for one hour."),
        ),
        _("Choose a new password"),
        "/reset-password",
        token,
    )


def email_change(token: str) -> Letter:
    return Letter(
        "change_email",
        _("Please confirm your new e-mail address"),
        (
            _("Please confirm that your Zinzino account shall use this address."),
            _("The link is good for 48 hours."),
            _("If this was not you, do not confirm: the account is somebody else's."),
        ),
        _("Confirm"),
        "/verify-email",
        token,
    )


def email_changed(token: str, new_email: str) -> Letter:
    return Letter(
        "email_changed",
        _("Your e-mail address was changed"),
        (
            _("Your Zinzino account now uses the address %(email)s.") % {"email": new_email},
            _("If this was not you, undo it within seven days; all sessions will end."),
        ),
        _("This was not me"),
        "/undo-email-change",
        token,
    )


def password_changed() -> Letter:
    return Letter(
        "password_changed",
        _("Your password was changed"),
        (
            _("The password of your Zinzino account was changed just now."),
            _("If this was not you, reset your password at once."),
        ),
    )


def queue(user: User, letter: Any, *facts: str, to: str | None = None, now: datetime) -> Mail | None:
    """Write a letter into the outbox, in the language of its reader; part of the caller's transaction."""
    address = to or user.email
    if not address:  # Apple may keep it from us
        return None
    with override(user.language):
        words: Letter = letter(*facts)
        # Strangers get no word that somebody else has written: a name could say "you have won".
        known = user.is_verified and address == user.email
        shown = {"letter": words, "name": user.full_name if known else "", "language": user.language}
        mail = Mail.objects.create(
            user=user,
            kind=words.kind,
            to=address,
            subject=words.subject,
            text=render_to_string("accounts/mail.txt", shown),
            html=render_to_string("accounts/mail.html", shown),
            created_at=now,
            next_attempt_at=now,
        )
    transaction.on_commit(wake_sender)
    return mail


def wake_sender() -> None:
    from accounts.tasks import send_mails

    wake(send_mails)


def send_waiting(*, now: datetime) -> int:
    """Send what is due, on any number of workers at once; answers how many were sent."""
    return sum(send(mail, now=now) for mail in claimed(now=now))


def due(*, now: datetime) -> QuerySet[Mail]:
    return Mail.objects.filter(status=Mail.Status.PENDING, next_attempt_at__lte=now)


def due_since(*, now: datetime) -> datetime | None:
    """The moment since which the oldest has waited; by mails_pending."""
    return due(now=now).order_by("next_attempt_at").values_list("next_attempt_at", flat=True).first()


@transaction.atomic
def claimed(*, now: datetime) -> list[Mail]:
    """Mails that nobody else sends now: they are ours until the lease ends."""
    mails = list(due(now=now).select_for_update(skip_locked=True).order_by("next_attempt_at")[:BATCH])
    for mail in mails:
        mail.attempts += 1
        mail.next_attempt_at = now + LEASE
    Mail.objects.bulk_update(mails, ("attempts", "next_attempt_at"))
    return mails


def send(mail: Mail, *, now: datetime) -> bool:
    message = EmailMultiAlternatives(mail.subject, mail.text, settings.DEFAULT_FROM_EMAIL, [mail.to])
    message.attach_alternative(mail.html, "text/html")
    # The same for every attempt: a mail that went out twice can be told from two mails.
    message.extra_headers["Message-ID"] = f"<mail-{mail.pk}@{settings.MAIL_DOMAIN}>"
    try:
        message.send()
    except Exception as error:  # noqa: BLE001  (whatever one mail raises, the others go out)
        failed(mail, error, now=now)
        return False
    # What was sent is no longer needed; its links are secrets.
    Mail.objects.filter(pk=mail.pk).update(status=Mail.Status.SENT, sent_at=now, last_error="", text="", html="")
    return True


def failed(mail: Mail, error: Exception, *, now: datetime) -> None:
    """Try again later, each time twice as late; give up after the last attempt."""
    refused_for_good = isinstance(error, smtplib.SMTPRecipientsRefused)
    over = refused_for_good or mail.attempts >= MAX_ATTEMPTS
    # As after a success: a link that nobody will get must not lie here either.
    forgotten = {"text": "", "html": ""} if over else {}
    Mail.objects.filter(pk=mail.pk).update(
        status=Mail.Status.FAILED if over else Mail.Status.PENDING,
        next_attempt_at=now + FIRST_RETRY * 2 ** (min(mail.attempts, MAX_ATTEMPTS) - 1),
        last_error=type(error).__name__,
        **forgotten,
    )
    log.warning("a mail was not sent", kind=mail.kind, mail=mail.pk, error=type(error).__name__, given_up=over)


def prune(*, now: datetime, dry_run: bool = False) -> int:
    """Delete mails that were sent or given up 90 days ago, in chunks so that no lock lasts; how many."""
    old = Mail.objects.filter(created_at__lt=now - KEPT).exclude(status=Mail.Status.PENDING)
    if dry_run:
        return old.count()
    total = 0
    # By the primary key, which grows with the time.
    while ids := list(old.order_by("pk").values_list("pk", flat=True)[:CHUNK_ROWS]):
        total += Mail.objects.filter(pk__in=ids).delete()[0]
    return total
