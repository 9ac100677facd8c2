import smtplib
from datetime import timedelta
from typing import cast

import pytest
from django.core import mail as django_mail
from django.core.mail import EmailMultiAlternatives
from django.db import transaction

from accounts import mails
from accounts.models import Mail, User
from tests import make
from tests.clients import Api, Phone
from tests.threads import together
from zinzino import clock


def test_a_mail_is_sent_once_in_both_forms_and_forgotten(alice: Phone) -> None:
    now = clock.now()
    assert (mails.send_waiting(now=now), mails.send_waiting(now=now)) == (1, 0)
    [sent] = cast("list[EmailMultiAlternatives]", django_mail.outbox)
    row = Mail.objects.get()

    assert sent.to == ["alice@example.com"]
    assert sent.subject == "Lütfen e-posta adresinizi doğrulayın"
    assert "/verify-email?token=" in sent.body
    [(html, kind)] = sent.alternatives
    assert kind == "text/html"
    assert "/verify-email?token=" in str(html)
    assert (row.status, row.text, row.html) == ("sent", "", "")


def test_an_english_person_gets_english_mail_whatever_the_request_says(db: None) -> None:
    make.person("eve@example.com", language="en")
    assert Mail.objects.get(to="eve@example.com").subject == "Please confirm your e-mail address"


def test_names_cannot_smuggle_markup_or_headers(db: None) -> None:
    eve = make.person("eve@example.com", full_name="<script>alert(1)</script>").user
    eve.is_verified = True
    row = mails.queue(eve, mails.password_changed, now=clock.now())
    assert row
    assert "&lt;script&gt;" in row.html
    assert "<script>" not in row.html
    assert "\n" not in row.subject


def test_strangers_get_no_word_that_somebody_else_has_written(anyone: Api, db: None) -> None:
    """Or our mails would carry anybody's advertisement to anybody's address."""
    eve = Phone(make.person("victim@example.com", full_name="You have won, see evil.example"))
    anyone.post("/auth/forgot-password", {"email": "victim@example.com"})
    User.objects.update(is_verified=True)
    eve.post("/profile/email", {"new_email": "other@example.com", "password": make.PASSWORD})
    sent = Mail.objects.order_by("pk")
    assert [row.kind for row in sent] == ["verify_email", "reset_password", "change_email"]
    assert not [row for row in sent if "evil" in row.text + row.html]


def test_a_mail_that_cannot_be_written_holds_up_no_other(db: None) -> None:
    """A name in it is longer than DNS knows: Python's codec refuses it in the middle of the batch."""
    now = clock.now()
    user = make.person("first@example.com").user
    User.objects.filter(pk=user.pk).update(email=f"a@{'ü' * 59}.com")
    Mail.objects.update(to=f"a@{'ü' * 59}.com")
    make.person("second@example.com")
    assert mails.send_waiting(now=now + timedelta(seconds=1)) == 1
    assert dict(Mail.objects.order_by("pk").values_list("last_error", "status")) == {
        "UnicodeError": "pending",
        "": "sent",
    }


def test_a_mail_shares_the_fate_of_its_cause(db: None) -> None:
    with transaction.atomic():
        make.person("gone@example.com")
        transaction.set_rollback(True)
    assert not Mail.objects.filter(to="gone@example.com").exists()


@pytest.mark.parametrize("error", [OSError(), smtplib.SMTPServerDisconnected()])
def test_a_failure_is_tried_again_later_each_time_twice_as_late(
    alice: Phone, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(_self: object) -> None:
        raise error

    monkeypatch.setattr(EmailMultiAlternatives, "send", fails)
    now = clock.now()
    for minutes in (1, 2, 4):
        assert mails.send_waiting(now=now) == 0
        now = Mail.objects.get().next_attempt_at
        assert Mail.objects.get().next_attempt_at - now <= timedelta(minutes=minutes)
    for _ in range(5):
        mails.send_waiting(now=now)
        now = Mail.objects.get().next_attempt_at
    row = Mail.objects.get()
    assert (row.status, row.attempts, row.text, row.html) == ("failed", 8, "", "")


def test_a_refused_recipient_is_given_up_at_once(alice: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_self: object) -> None:
        raise smtplib.SMTPRecipientsRefused({})

    monkeypatch.setattr(EmailMultiAlternatives, "send", refused)
    mails.send_waiting(now=clock.now())
    assert Mail.objects.get().status == "failed"


def test_a_mail_of_a_dead_worker_is_sent_after_its_lease(alice: Phone) -> None:
    now = clock.now()
    assert len(mails.claimed(now=now)) == 1  # and then the worker died
    assert mails.send_waiting(now=now + timedelta(minutes=1)) == 0
    assert mails.send_waiting(now=now + timedelta(minutes=2)) == 1


@pytest.mark.django_db(transaction=True)
def test_four_workers_send_each_mail_once() -> None:
    for _ in range(20):
        make.person()
    sent = together(lambda _: mails.send_waiting(now=clock.now() + timedelta(seconds=1)), range(4))
    assert sum(sent) == 20
    assert len({message.to[0] for message in django_mail.outbox}) == len(django_mail.outbox) == 20
