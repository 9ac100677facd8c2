"""`outbox` and `send_test_push`: what waits, sending it, trying again."""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from pytest_django import Settings

from accounts import mails
from accounts.models import Mail
from notifications import outbox, phones
from notifications.models import NotificationType, PushDelivery, PushRoute, PushToken
from notifications.telling import Telling, tell_all
from tests.clients import Phone
from tests.notifications.conftest import google, reachable, services  # noqa: F401  (fixtures)
from tests.notifications.fakes import Answer, FakeFcm, fcm_error
from zinzino import clock

HOUR = timedelta(hours=1)


def said(*words: str) -> dict[str, Any]:
    out = StringIO()
    with suppress(CommandError):
        call_command(*words, "--json", stdout=out)
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


def heaps(*words: str) -> list[tuple[str, str, str, int]]:
    return [
        (each["outbox"], each["status"], each["reason"], each["count"])
        for each in said("outbox", *words)["standing"]
    ]


def told(phone: Phone, cause: str, *, ago: timedelta = timedelta()) -> PushDelivery:
    """A push that was made then; it is of use for a week."""
    now = clock.now() - ago
    known = set(PushDelivery.objects.values_list("pk", flat=True))
    tell_all([Telling(phone.user.pk, NotificationType.SECURITY, cause, text="password_changed")], now=now)
    return PushDelivery.objects.exclude(pk__in=known).get()


def became(push: PushDelivery, **columns: Any) -> None:
    PushDelivery.objects.filter(pk=push.pk).update(**columns)


@pytest.fixture
def phone(alice: Phone) -> PushToken:
    """Alice's phone; no mail waits."""
    Mail.objects.all().delete()
    return reachable(alice, now=clock.now() - 300 * HOUR)


def write(alice: Phone, *, ago: timedelta, **columns: Any) -> Mail:
    written = clock.now() - ago
    with_words = {"user": alice.user, "kind": "reset_password", "to": "a@example.com", "subject": "s", "text": "t"}
    return Mail.objects.create(**with_words, **{"created_at": written, "next_attempt_at": written, **columns})


# ------------------------------------------------------------------------------------------- looking


def test_what_waits_and_what_failed_is_told_by_age(alice: Phone, phone: PushToken) -> None:
    write(alice, ago=5 * HOUR, last_error="ConnectionRefusedError")
    for _ in range(2):
        write(alice, ago=3 * HOUR, status="failed", last_error="SMTPRecipientsRefused")
    write(alice, ago=4 * HOUR, status="sent")
    told(alice, "waits", ago=1 * HOUR)
    became(told(alice, "failed", ago=2 * HOUR), status="failed", reason="gave_up")
    became(told(alice, "long ago", ago=30 * HOUR), status="failed", reason="gave_up")
    became(told(alice, "sent", ago=6 * HOUR), status="sent")
    assert heaps() == [
        ("mail", "pending", "ConnectionRefusedError", 1),
        ("mail", "failed", "SMTPRecipientsRefused", 2),
        ("push", "failed", "gave_up", 1),
        ("push", "queued", "", 1),
    ]
    assert heaps("--only", "push", "--since", "31h")[0] == ("push", "failed", "gave_up", 2)
    [oldest, *_] = said("outbox")["standing"]
    assert 5 * 3600 <= oldest["age_s"] < 5 * 3600 + 60
    assert oldest["due_at"] == oldest["oldest_at"]
    out = StringIO()
    call_command("outbox", stdout=out)
    assert "│ SMTPRecipientsRefused  │ 2     │ 3:00:00 │" in out.getvalue()
    assert "example.com" not in out.getvalue()


def test_where_nothing_waits_it_says_so(phone: PushToken) -> None:
    out = StringIO()
    call_command("outbox", stdout=out)
    assert out.getvalue().strip() == "nothing waits, nothing failed"


@pytest.mark.parametrize("words", [("--since", "yesterday"), ("--since", "2026-01-31T18:00:00")])
def test_a_time_that_is_none_is_refused(db: None, words: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match="is neither a time"):
        call_command("outbox", *words)


def test_a_span_that_ends_before_it_begins_is_refused(db: None) -> None:
    with pytest.raises(CommandError, match="must be before"):
        call_command("outbox", "--since", "1h", "--until", "2h")


# ------------------------------------------------------------------------------------------- again


def test_what_failed_in_that_time_and_is_of_use_is_sent_after_all(
    alice: Phone,
    phone: PushToken,
    google: FakeFcm,  # noqa: F811
) -> None:
    ours = told(alice, "ours", ago=HOUR)
    became(ours, status="failed", reason="gave_up", attempts=6)
    became(told(alice, "before", ago=3 * HOUR), status="failed", reason="gave_up")
    became(told(alice, "gone", ago=HOUR), status="failed", reason="phone_gone")
    became(told(alice, "too late", ago=HOUR), status="failed", reason="gave_up", expires_at=clock.now())
    words = ("outbox", "--retry", "--only", "push", "--since", "2h")
    expected = {"push_put_back": 1, "push_due_now": 0, "push_lost": 2}
    assert said(*words, "--dry-run") == {"dry_run": True, **expected}
    assert PushDelivery.objects.filter(status="failed").count() == 4
    drained = said(*words, "--drain")
    assert drained == {"dry_run": False, **expected, "push_sent": 1, "push_left": 0}
    assert list(google.by_id()) == [str(ours.pk)]
    ours.refresh_from_db()
    assert (ours.status, ours.attempts) == ("sent", 7)


def test_who_gave_up_gets_one_more_attempt_and_not_endless_ones(
    alice: Phone,
    phone: PushToken,
    google: FakeFcm,  # noqa: F811
) -> None:
    became(told(alice, "ours"), status="failed", reason="gave_up", attempts=6)
    google.default = Answer(503)
    assert said("outbox", "--retry", "--drain")["push_put_back"] == 1
    assert PushDelivery.objects.get().status == "failed"


def test_after_a_key_was_mended_nothing_waits_for_the_breaker(
    alice: Phone,
    phone: PushToken,
    google: FakeFcm,  # noqa: F811
) -> None:
    later = clock.now() + HOUR
    for cause in ("one", "two"):
        became(told(alice, cause), reason="provider_down", next_attempt_at=later)
    PushRoute.objects.create(name="fcm-android", failures=3, open_until=later, detail="UNAUTHENTICATED")
    assert said("outbox", "--drain") == {
        "dry_run": False,
        "mail_sent": 0,
        "mail_left": 0,
        "push_sent": 0,
        "push_left": 2,
    }
    facts = said("outbox", "--retry", "--drain")
    assert (facts["push_due_now"], facts["push_sent"], facts["push_left"]) == (2, 2, 0)
    assert PushRoute.objects.get().failures == 0


def test_what_a_worker_sends_at_this_moment_is_left_to_it(alice: Phone, phone: PushToken) -> None:
    push, letter = told(alice, "ours"), write(alice, ago=HOUR)
    outbox.claim(now=clock.now()), mails.claimed(now=clock.now())
    facts = said("outbox", "--retry", "--drain")
    assert {name: count for name, count in facts.items() if count} == {}
    push.refresh_from_db()
    letter.refresh_from_db()
    assert (push.status, letter.attempts, mail.outbox) == ("sending", 1, [])


def test_mails_that_wait_after_a_failure_go_out_and_those_given_up_are_lost(
    alice: Phone, phone: PushToken
) -> None:
    later = {"next_attempt_at": clock.now() + HOUR, "last_error": "ConnectionRefusedError"}
    write(alice, ago=2 * HOUR, **later), write(alice, ago=30 * HOUR, **later)
    write(alice, ago=2 * HOUR, status="failed")
    words = ("outbox", "--retry", "--only", "mail")
    assert said(*words, "--dry-run") == {"dry_run": True, "mail_due_now": 1, "mail_lost": 1}
    assert said("outbox", "--drain", "--dry-run", "--only", "mail") == {"dry_run": True, "mail_due": 0}
    facts = said(*words, "--drain")
    assert facts == {"dry_run": False, "mail_due_now": 1, "mail_lost": 1, "mail_sent": 1, "mail_left": 1}
    assert len(mail.outbox) == 1
    with pytest.raises(CommandError, match="Not all was sent"):
        call_command("outbox", "--drain", stdout=StringIO())


# ------------------------------------------------------------------------------------------- a test push


def test_each_phone_is_told_of_and_one_that_got_it_is_enough(
    alice: Phone,
    google: FakeFcm,  # noqa: F811
) -> None:
    reachable(alice, "good", device_name="Pixel"), reachable(alice, "gone-123456")
    google.says("gone-123456", fcm_error(404, "NOT_FOUND", "UNREGISTERED"))
    out = StringIO()
    call_command("send_test_push", "Alice@Example.com", "--dry-run", stdout=out)
    assert sorted(out.getvalue().splitlines()) == ["Pixel · fcm · would be told", "…123456 · fcm · would be told"]
    assert google.received == []
    out = StringIO()
    call_command("send_test_push", "Alice@Example.com", stdout=out)
    assert sorted(line.split(" · ")[:4] for line in out.getvalue().splitlines()) == [
        ["Pixel", "fcm", "sent"],
        ["…123456", "fcm", "failed", "phone_gone"],
    ]


@pytest.mark.parametrize(
    ("answer", "became"),
    [(Answer(503), ("queued", "retrying")), (fcm_error(400, "INVALID_ARGUMENT"), ("failed", "rejected"))],
)
def test_where_no_phone_got_it_it_ends_with_1_and_does_not_wait_for_the_next_try(
    alice: Phone,
    google: FakeFcm,  # noqa: F811
    answer: Answer,
    became: tuple[str, str],
) -> None:
    reachable(alice)
    google.default = answer
    out = StringIO()
    with pytest.raises(CommandError, match="None of the phones got it") as end:
        call_command("send_test_push", "alice@example.com", "--wait", "600", "--json", stdout=out)
    [phone] = json.loads(out.getvalue())["phones"]
    assert (end.value.returncode, (phone["status"], phone["reason"])) == (1, became)


def no_account(_alice: Phone) -> str:
    return "nobody@example.com"


def no_phone(alice: Phone) -> str:
    phones.end(phones.of(alice.user.pk), PushToken.EndReason.REMOVED, now=clock.now())
    return "alice@example.com"


def too_many(alice: Phone) -> str:
    for _ in range(3):
        alice.post("/notifications/test")
    return "alice@example.com"


@pytest.mark.parametrize(
    ("case", "says"), [(no_account, "No account"), (no_phone, "No phone is registered"), (too_many, "Too many")]
)
def test_the_refusals_are_those_of_the_api(
    alice: Phone, phone: PushToken, case: Callable[[Phone], str], says: str
) -> None:
    with pytest.raises(CommandError, match=says):
        call_command("send_test_push", case(alice))


def test_beside_a_worker_it_waits_for_what_the_worker_does(
    alice: Phone, phone: PushToken, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drain(**_how: Any) -> int:
        """Nothing is due: a worker has it, and has sent it at the second look."""
        became(
            PushDelivery.objects.get(),
            status="sent" if PushDelivery.objects.get().status == "sending" else "sending",
        )
        return 0

    monkeypatch.setattr("notifications.outbox.drain", drain)
    assert [each["status"] for each in said("send_test_push", "alice@example.com")["phones"]] == ["sent"]
