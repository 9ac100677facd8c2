"""What each answer of Google and Apple leads to: sent, tried again, given up, or never sent to again.

The lists are those of the providers: Firebase "ErrorCode" of the HTTP v1 reference, Apple "Handling
notification responses from APNs".
"""

import itertools
import json
import logging
from datetime import timedelta
from typing import Any

import jwt
import pytest
from pytest_django import Settings

from notifications import outbox, routes
from notifications.models import Notification, NotificationType, PushDelivery, PushRoute, PushToken
from notifications.telling import Telling, tell
from tests.clients import Phone
from tests.notifications.conftest import apples, reachable
from tests.notifications.fakes import HANG, RESET, Answer, FakeApns, FakeFcm, apns_error, apple_key, fcm_error
from zinzino import clock

_numbers = itertools.count()
# Whole milliseconds of a time long ago, and of one to come.
LONG_AGO, TO_COME = 1_600_000_000_000, 4_000_000_000_000


def told(phone: Phone, **more: Any) -> None:
    """Something that may come at any hour."""
    telling = Telling(
        phone.user.pk, NotificationType.SECURITY, f"cause:{next(_numbers)}", text="password_changed", **more
    )
    assert tell(telling, now=clock.now())


def drained(*, later: timedelta = timedelta()) -> int:
    return outbox.drain(now=lambda: clock.now() + later)


def the_delivery() -> tuple[str, str, str]:
    row = PushDelivery.objects.get()
    return row.status, row.reason, row.detail


def the_phone() -> str:
    return PushToken.objects.get().end_reason


# ------------------------------------------------------------------------------------ what is sent


def test_an_android_phone_is_reached_through_google(alice: Phone, google: FakeFcm) -> None:
    reachable(alice, "android-1")
    told(alice)
    assert drained() == 1
    row, notification = PushDelivery.objects.get(), Notification.objects.get()
    [received] = google.received
    message = received.body["message"]
    assert received.headers["authorization"] == "Bearer ya29.1"
    assert message["notification"] == {"title": notification.title, "body": notification.message}
    assert message["token"] == "android-1"
    assert message["data"] == {
        "delivery_id": str(row.pk),
        "notification_id": str(notification.pk),
        "type": "security",
        "link": "zinzino://security",
    }
    assert (message["android"]["collapse_key"], message["android"]["notification"]["tag"]) == (
        str(row.pk),
        str(row.pk),
    )
    assert (message["android"]["priority"], message["android"]["ttl"][-1]) == ("HIGH", "s")
    assert (row.status, row.reason, row.attempts) == ("sent", "", 1)
    assert row.sent_at is not None


def test_an_iphone_is_reached_through_apple(alice: Phone, apple: FakeApns) -> None:
    reachable(alice, apples())
    told(alice)
    assert drained() == 1
    row, notification = PushDelivery.objects.get(), Notification.objects.get()
    [received] = apple.received
    assert (
        received.headers.items()
        >= {
            ":method": "POST",
            ":path": f"/3/device/{apples()}",
            "apns-id": str(row.pk),
            "apns-collapse-id": str(row.pk),
            "apns-push-type": "alert",
            "apns-priority": "10",
            "apns-topic": "example.zinzino.app",
            "apns-expiration": str(int(row.expires_at.timestamp())),
        }.items()
    )
    assert received.body["aps"]["alert"] == {"title": notification.title, "body": notification.message}
    assert received.body["notification_id"] == str(notification.pk)
    provider_token = received.headers["authorization"].removeprefix("bearer ")
    claims = jwt.decode(provider_token, apple_key().public_key(), algorithms=["ES256"])
    assert (claims["iss"], jwt.get_unverified_header(provider_token)["kid"]) == ("TEAM000001", "KEY0000001")


def test_many_pushes_share_few_connections_and_one_token(alice: Phone, apple: FakeApns, google: FakeFcm) -> None:
    for number in range(5):
        reachable(alice, apples(number))
        reachable(alice, f"android-{number}")
    for _ in range(10):
        told(alice)
    assert drained() == 100
    assert apple.connections <= 8
    assert google.tokens_given == 1
    assert len({each.headers["authorization"] for each in apple.received}) == 1


def test_a_locked_screen_shows_nothing_private(alice: Phone, google: FakeFcm, apple: FakeApns) -> None:
    alice.put("/notifications/settings", {"push_content": "private"})
    reachable(alice, "android-1")
    reachable(alice, apples())
    told(alice)
    drained()
    shown = {"title": "Zinzino", "body": "Yeni bir bildiriminiz var."}
    assert google.received[0].body["message"]["notification"] == shown
    assert apple.received[0].body["aps"]["alert"] == shown


# ------------------------------------------------------------------------------- what is answered

AGAIN = ("queued", "retrying")
REJECTED, DEAD = ("failed", "rejected"), ("failed", "phone_gone")
HELD = ("queued", "provider_down")

GOOGLE = [
    ("UNREGISTERED", fcm_error(404, "NOT_FOUND", "UNREGISTERED"), DEAD, "unregistered"),
    ("SENDER_ID_MISMATCH", fcm_error(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"), DEAD, "wrong_sender"),
    ("INVALID_ARGUMENT", fcm_error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"), REJECTED, ""),
    ("INVALID_ARGUMENT", fcm_error(400, "INVALID_ARGUMENT"), REJECTED, ""),
    # Our project, not the phone, is what they do not know.
    ("NOT_FOUND", fcm_error(404, "NOT_FOUND"), REJECTED, ""),
    ("QUOTA_EXCEEDED", fcm_error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), AGAIN, ""),
    ("UNAVAILABLE", fcm_error(503, "UNAVAILABLE", "UNAVAILABLE"), AGAIN, ""),
    ("INTERNAL", fcm_error(500, "INTERNAL", "INTERNAL"), AGAIN, ""),
    ("UNSPECIFIED_ERROR", fcm_error(500, "UNKNOWN", "UNSPECIFIED_ERROR"), AGAIN, ""),
    ("THIRD_PARTY_AUTH_ERROR", fcm_error(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"), HELD, ""),
    ("UNAUTHENTICATED", fcm_error(401, "UNAUTHENTICATED"), HELD, ""),
    ("PERMISSION_DENIED", fcm_error(403, "PERMISSION_DENIED"), HELD, ""),
    ("500", Answer(500), AGAIN, ""),
    ("502", Answer(502, "<html>"), AGAIN, ""),
    ("302", Answer(302, headers={"Location": "http://127.0.0.1:9/"}), REJECTED, ""),
    ("404", Answer(404, ["nonsense"]), REJECTED, ""),
    ("ReadTimeout", Answer(instead=HANG), AGAIN, ""),
    ("ConnectionError", Answer(instead=RESET), AGAIN, ""),
]
APPLE_REJECTS = {
    400: (
        "BadCollapseId",
        "BadExpirationDate",
        "BadMessageId",
        "BadPriority",
        "BadTopic",
        "DeviceTokenNotForTopic",
        "DuplicateHeaders",
        "InvalidPushType",
        "MissingDeviceToken",
        "MissingTopic",
        "PayloadEmpty",
        "TopicDisallowed",
    ),
    404: ("BadPath",),
    405: ("MethodNotAllowed",),
    413: ("PayloadTooLarge",),
}
APPLE_REFUSES = (
    "BadCertificate",
    "BadCertificateEnvironment",
    "ExpiredProviderToken",
    "Forbidden",
    "InvalidProviderToken",
    "MissingProviderToken",
    "UnrelatedKeyIdInToken",
    "BadEnvironmentKeyIdInToken",
)
APPLE = [
    *(
        (reason, apns_error(status, reason), REJECTED, "")
        for status, reasons in APPLE_REJECTS.items()
        for reason in reasons
    ),
    *((reason, apns_error(403, reason), HELD, "") for reason in APPLE_REFUSES),
    ("BadDeviceToken", apns_error(400, "BadDeviceToken"), DEAD, "bad_token"),
    ("Unregistered", apns_error(410, "Unregistered", timestamp=TO_COME), DEAD, "unregistered"),
    ("ExpiredToken", apns_error(410, "ExpiredToken", timestamp=TO_COME), DEAD, "unregistered"),
    ("410", Answer(410), DEAD, "unregistered"),
    # It was registered anew since Apple saw it go.
    ("Unregistered", apns_error(410, "Unregistered", timestamp=LONG_AGO), DEAD, ""),
    ("IdleTimeout", apns_error(400, "IdleTimeout"), AGAIN, ""),
    ("TooManyRequests", apns_error(429, "TooManyRequests"), AGAIN, ""),
    ("TooManyProviderTokenUpdates", apns_error(429, "TooManyProviderTokenUpdates"), AGAIN, ""),
    ("InternalServerError", apns_error(500, "InternalServerError"), AGAIN, ""),
    ("ServiceUnavailable", apns_error(503, "ServiceUnavailable"), AGAIN, ""),
    ("Shutdown", apns_error(503, "Shutdown"), AGAIN, ""),
    ("500", Answer(500), AGAIN, ""),
    ("400", Answer(400, "<html>"), REJECTED, ""),
    ("ReadTimeout", Answer(instead=HANG), AGAIN, ""),
    ("RemoteProtocolError", Answer(instead=RESET), AGAIN, ""),
]


@pytest.mark.parametrize(("detail", "answer", "expected", "end_reason"), GOOGLE)
def test_what_google_answers(
    alice: Phone, google: FakeFcm, detail: str, answer: Answer, expected: tuple[str, str], end_reason: str
) -> None:
    reachable(alice, "android-1")
    google.says("android-1", answer)
    told(alice)
    assert drained() == 0
    assert (the_delivery(), the_phone()) == ((*expected, detail), end_reason)
    assert len(google.received) == 1


@pytest.mark.parametrize(("detail", "answer", "expected", "end_reason"), APPLE)
def test_what_apple_answers(
    alice: Phone, apple: FakeApns, detail: str, answer: Answer, expected: tuple[str, str], end_reason: str
) -> None:
    reachable(alice, apples())
    apple.says(apples(), answer)
    told(alice)
    assert drained() == 0
    status, reason, said = the_delivery()
    assert ((status, reason), the_phone()) == (expected, end_reason)
    assert said == detail or answer.instead == RESET
    assert len(apple.received) == 1


# ------------------------------------------------------------------------------------ trying again


@pytest.mark.parametrize("name", ["android-1", apples()])
def test_each_pause_is_twice_as_long_and_the_sixth_failure_is_the_last(
    alice: Phone, google: FakeFcm, apple: FakeApns, name: str
) -> None:
    google.default = apple.default = Answer(503)
    reachable(alice, name)
    told(alice)
    later = timedelta()
    for attempt in range(1, 6):
        drained(later=later)
        row = PushDelivery.objects.get()
        pause = (row.next_attempt_at - clock.now() - later).total_seconds()
        assert 0.75 * 30 * 2 ** (attempt - 1) < pause <= 1.2 * 30 * 2 ** (attempt - 1)
        later += timedelta(seconds=pause + 1)
        PushRoute.objects.all().delete()  # the breaker is another test
    drained(later=later)
    assert the_delivery() == ("failed", "gave_up", row.detail)
    assert PushDelivery.objects.get().attempts == 6
    assert the_phone() == ""
    ids = google.by_id() | apple.by_id()
    assert ids == {str(row.pk): 6}


@pytest.mark.parametrize("name", ["android-1", apples()])
@pytest.mark.parametrize("status", [429, 503])
def test_the_providers_own_pause_is_kept(
    alice: Phone, google: FakeFcm, apple: FakeApns, name: str, status: int
) -> None:
    google.default = apple.default = Answer(status, headers={"retry-after": "1200"})
    reachable(alice, name)
    told(alice)
    drained()
    pause = PushDelivery.objects.get().next_attempt_at - clock.now()
    assert timedelta(minutes=19) < pause <= timedelta(minutes=20)
    google.default = apple.default = Answer()
    assert drained(later=timedelta(minutes=19)) == 0
    assert drained(later=timedelta(minutes=20)) == 1


def test_what_is_too_late_is_never_sent(alice: Phone, google: FakeFcm) -> None:
    google.default = Answer(503, headers={"retry-after": str(8 * 24 * 3600)})
    reachable(alice)
    told(alice)
    drained()
    row = PushDelivery.objects.get()
    assert row.next_attempt_at == row.expires_at
    google.default = Answer()
    assert drained(later=timedelta(days=7)) == 0
    assert PushDelivery.objects.get().status == "expired"


# --------------------------------------------------------------------------------------- the breaker


def test_a_refusal_holds_all_pushes_back_and_one_tries_again(
    alice: Phone, apple: FakeApns, google: FakeFcm
) -> None:
    apple.default = apns_error(403, "InvalidProviderToken")
    phones = [apples(number) for number in range(10)]
    for name in phones:
        reachable(alice, name)
    for _ in range(5):
        told(alice)
    drained()
    # A thread each may have been on its way.
    assert len(apple.received) <= 8
    assert {(row.status, row.reason, row.attempts) for row in PushDelivery.objects.all()} == {
        ("queued", "provider_down", 0)
    }
    route = PushRoute.objects.get()
    assert (route.name, route.failures, route.detail) == ("apns-ios", 1, "InvalidProviderToken")
    assert timedelta(minutes=4) < route.open_until - clock.now() <= timedelta(minutes=5)

    # Still refused: one has tried, and the pause is twice as long.
    apple.received.clear()
    drained(later=timedelta(minutes=6))
    assert len(apple.received) == 1
    route.refresh_from_db()
    assert timedelta(minutes=15) < route.open_until - clock.now() <= timedelta(minutes=16)

    apple.default = Answer()
    assert drained(later=timedelta(minutes=17)) == 50
    assert PushRoute.objects.get().failures == 0
    assert set(apple.by_id().values()) <= {1, 2}


def test_the_other_provider_goes_on(alice: Phone, apple: FakeApns, google: FakeFcm) -> None:
    apple.default = apns_error(403, "InvalidProviderToken")
    reachable(alice, apples())
    reachable(alice, "android-1")
    told(alice)
    assert drained() == 1
    told(alice)
    assert drained() == 1
    assert (len(google.received), len(apple.received)) == (2, 1)


@pytest.mark.parametrize("answer", [Answer(500), Answer(instead=HANG), Answer(instead=RESET)])
def test_five_failures_in_a_row_are_an_outage(alice: Phone, apple: FakeApns, answer: Answer) -> None:
    apple.default = answer
    for number in range(10):
        reachable(alice, apples(number))
    for _ in range(4):
        told(alice)
    drained()
    assert len(apple.received) < 30
    assert PushRoute.objects.get().failures == 1
    assert PushDelivery.objects.filter(reason="provider_down", attempts=0).count() >= 10
    apple.default = Answer()
    assert drained(later=timedelta(hours=1)) == 40


def test_a_key_that_google_does_not_take_is_a_refusal(alice: Phone, google: FakeFcm) -> None:
    google.token_answer = Answer(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
    reachable(alice)
    told(alice)
    drained()
    assert the_delivery() == ("queued", "provider_down", "RefreshError")
    google.token_answer = None
    assert drained(later=timedelta(minutes=6)) == 1


def test_a_token_that_google_forgot_is_replaced(alice: Phone, google: FakeFcm) -> None:
    google.says("android-1", fcm_error(401, "UNAUTHENTICATED"), Answer())
    reachable(alice)
    told(alice)
    drained()
    assert drained(later=timedelta(minutes=6)) == 1
    assert [each.headers["authorization"] for each in google.received] == ["Bearer ya29.1", "Bearer ya29.2"]


@pytest.mark.parametrize(("refused", "expected"), [(True, [5, 10, 20, 40, 60, 60]), (False, [1, 2, 4, 8, 15, 15])])
def test_the_pause_doubles_up_to_the_longest(db: None, refused: bool, expected: list[int]) -> None:
    now, pauses = clock.now(), []
    for _ in range(6):
        until = routes.trip("apns-ios", "", refused=refused, now=now)
        pauses.append((until - now).total_seconds() / 60)
        # The same outage, seen by another worker, does not make it longer.
        assert routes.trip("apns-ios", "", refused=refused, now=now) == until
        now = until
    assert pauses == expected


def test_nobody_waits_for_a_provider_longer_than_a_push_is_of_use(alice: Phone, apple: FakeApns) -> None:
    reachable(alice, apples())
    alice.post("/notifications/test")  # of use for ten minutes
    PushRoute.objects.create(name="apns-ios", failures=1, open_until=clock.now() + timedelta(hours=1))
    assert drained() == 0
    row = PushDelivery.objects.get()
    assert (row.status, row.reason, row.next_attempt_at) == ("queued", "provider_down", row.expires_at)
    assert drained(later=timedelta(minutes=10)) == 0
    assert the_delivery()[:2] == ("expired", "provider_down")
    assert apple.received == []


# ------------------------------------------------------------------------------- seen at the last moment


def test_production_without_a_key_says_so(alice: Phone, settings: Settings) -> None:
    settings.PUSH_CONSOLE = False
    reachable(alice)
    told(alice)
    assert drained() == 0
    assert the_delivery() == ("failed", "not_configured", "")


def test_without_a_key_development_logs(alice: Phone, capsys: Any) -> None:
    reachable(alice)
    told(alice)
    assert drained() == 1


@pytest.mark.parametrize(
    ("meanwhile", "reason"),
    [
        (lambda alice, row: alice.put(f"/notifications/{row.pk}/read"), "already_read"),
        (lambda alice, row: alice.delete(f"/notifications/{row.pk}"), "deleted"),
        (lambda alice, row: alice.put("/profile", {"notification_enabled": False}), "push_disabled"),
        (lambda alice, row: alice.post("/auth/logout"), "phone_ended"),
        (lambda alice, row: alice.put("/notifications/settings", {"push_token": None}), "phone_ended"),
    ],
)
def test_what_has_become_needless_is_not_sent(alice: Phone, google: FakeFcm, meanwhile: Any, reason: str) -> None:
    reachable(alice)
    told(alice)
    assert meanwhile(alice, Notification.objects.get()).status_code == 200
    assert drained() == 0
    assert (the_delivery()[:2], google.received) == (("suppressed", reason), [])


def test_a_stranger_never_gets_what_was_queued_for_the_former_owner(
    alice: Phone, bob: Phone, google: FakeFcm
) -> None:
    reachable(alice, "android-1")
    told(alice)
    reachable(bob, "android-1")
    assert drained() == 0
    assert the_delivery()[:2] == ("suppressed", "phone_ended")
    assert google.received == []


@pytest.mark.parametrize(
    ("status", "expected"), [(400, ("failed", "rejected")), (403, ("queued", "provider_down"))]
)
@pytest.mark.parametrize("reason", ["\0", "\ud800", "x" * 1000, 7, None, {"a": 1}])
def test_whatever_a_provider_says_can_be_written_down(
    alice: Phone, apple: FakeApns, google: FakeFcm, reason: Any, status: int, expected: tuple[str, str]
) -> None:
    reachable(alice, apples())
    reachable(alice, "android-1")
    apple.default = Answer(status, {"reason": reason, "timestamp": reason})
    details = [{"@type": "x.FcmError", "errorCode": reason}]
    google.default = Answer(status, {"error": {"status": reason, "details": details}})
    told(alice)
    assert drained() == 0
    assert set(PushDelivery.objects.values_list("status", "reason")) == {expected}
    assert not PushToken.objects.exclude(ended_at=None).exists()


def test_no_log_line_holds_what_a_push_is_made_of(
    alice: Phone, google: FakeFcm, apple: FakeApns, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither tokens nor keys nor words, not even where everything is logged."""
    caplog.set_level(logging.DEBUG)
    names = ["android-secret-1", apples(0xC0FFEE)]
    for name in names:
        reachable(alice, name)
    answers = [Answer(), Answer(403), Answer(400), Answer(500), Answer(instead=RESET), fcm_error(404, "NOT_FOUND")]
    for number, answer in enumerate([*answers, Answer(410)]):
        google.default = apple.default = answer
        told(alice)
        drained(later=number * timedelta(minutes=20))
    lines = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert "pushes are held back" in lines
    assert "a provider does not take our push" in lines
    bearer = {each.headers["authorization"] for each in [*google.received, *apple.received]}
    words = {Notification.objects.first().message}  # type: ignore[union-attr]
    keys = {settings.APNS_KEY.split("\n")[1], json.loads(settings.FCM_SERVICE_ACCOUNT)["private_key"][40:90]}
    for secret in {*names, *(each.split()[1] for each in bearer), *words, *keys}:
        assert secret not in lines


def test_a_push_that_cannot_be_made_does_not_hold_up_the_others(
    alice: Phone, google: FakeFcm, monkeypatch: pytest.MonkeyPatch
) -> None:
    reachable(alice, "android-1")
    reachable(alice, "android-2")
    real = outbox.push_of
    monkeypatch.setattr(outbox, "push_of", lambda each: real(each) if each.token == "android-1" else 1 / 0)
    told(alice)
    assert drained() == 1
    assert PushDelivery.objects.get(phone__token="android-2").detail == "ZeroDivisionError"
    assert not PushToken.objects.exclude(ended_at=None).exists()
