"""`POST /notifications/test`, `GET /notifications/deliveries/:id`, and how long the ledger is kept."""

import uuid
from datetime import timedelta

import pytest
import time_machine

from notifications import outbox, phones, tasks, trial
from notifications.models import PushDelivery, PushToken
from tests import make
from tests.clients import Phone
from tests.notifications.conftest import reachable
from tests.notifications.fakes import Answer, FakeFcm
from zinzino import clock


def test_each_phone_gets_a_test(alice: Phone, google: FakeFcm, statements: make.Statements) -> None:
    expected = {str(reachable(alice, name).pk) for name in ("one", "two")}
    alice.put("/profile", {"notification_enabled": False})
    with statements(5):
        answer = alice.post("/notifications/test")
    assert answer.status_code == 202
    assert {each["push_token_id"] for each in answer.data["deliveries"]} == expected
    assert {each["status"] for each in answer.data["deliveries"]} == {"queued"}
    # It was asked for: no switch holds it back.
    assert outbox.drain(now=clock.now) == 2
    assert google.received[0].body["message"]["notification"]["title"] == "Deneme bildirimi"

    with statements(2):
        shown = alice.get(f"/notifications/deliveries/{answer.data['deliveries'][0]['id']}").data
    assert set(shown) == {
        "id",
        "push_token_id",
        "notification_id",
        "type",
        "status",
        "reason",
        "attempts",
        "created_at",
        "next_attempt_at",
        "expires_at",
        "sent_at",
    }
    assert (shown["status"], shown["type"], shown["reason"], shown["attempts"]) == ("sent", "test", None, 1)
    assert shown["next_attempt_at"] is None


def test_a_delivery_that_waits_says_why_and_until_when(alice: Phone, google: FakeFcm) -> None:
    reachable(alice)
    google.default = Answer(503)
    delivery_id = alice.post("/notifications/test").data["deliveries"][0]["id"]
    outbox.drain(now=clock.now)
    shown = alice.get(f"/notifications/deliveries/{delivery_id}").data
    assert (shown["status"], shown["reason"]) == ("queued", "retrying")
    assert shown["next_attempt_at"] > clock.iso(clock.now())


def test_three_an_hour(alice: Phone) -> None:
    reachable(alice, "one")
    reachable(alice, "two")
    now = clock.now()
    for minutes in (0, 10, 20):
        with time_machine.travel(now + timedelta(minutes=minutes), tick=False):
            assert alice.post("/notifications/test").status_code == 202
    with time_machine.travel(now + timedelta(minutes=30), tick=False):
        refused = alice.post("/notifications/test")
    assert (refused.status_code, refused["Retry-After"]) == (429, str(30 * 60 + 1))
    with time_machine.travel(now + timedelta(minutes=61), tick=False):
        assert alice.post("/notifications/test").status_code == 202
    assert PushDelivery.objects.count() == 8


def test_without_a_phone_there_is_nothing_to_test(alice: Phone, bob: Phone) -> None:
    reachable(bob)
    answer = alice.post("/notifications/test")
    assert (answer.status_code, answer.error["code"]) == (409, "DEVICE_NOT_CONNECTED")
    assert answer.error["details"]["reason"] == "device_offline"
    assert not PushDelivery.objects.exists()


def test_a_foreign_delivery_is_403(alice: Phone, bob: Phone) -> None:
    reachable(alice)
    delivery_id = alice.post("/notifications/test").data["deliveries"][0]["id"]
    assert bob.get(f"/notifications/deliveries/{delivery_id}").status_code == 403
    assert bob.get(f"/notifications/deliveries/{uuid.uuid4()}").status_code == 404


def test_the_ledger_and_ended_phones_are_kept_for_a_month(alice: Phone) -> None:
    now = clock.now()
    for days in (31, 29):
        moment = now - timedelta(days=days)
        reachable(alice, f"phone-{days}", now=moment)
        trial.send_test(alice.user.pk, now=moment)
    PushDelivery.objects.update(status="sent")
    long_ago = now - timedelta(days=31)
    phones.end(PushToken.objects.filter(token="phone-31"), PushToken.EndReason.REMOVED, now=long_ago)
    assert tasks.prune_pushes() == {"stale": 0, "deliveries": 1, "phones": 1}
    assert list(PushToken.objects.values_list("token", flat=True)) == ["phone-29"]
    assert PushDelivery.objects.count() == 1


def test_what_still_waits_is_not_pruned(alice: Phone) -> None:
    reachable(alice)
    trial.send_test(alice.user.pk, now=clock.now() - timedelta(days=40))
    assert outbox.prune(now=clock.now()) == 0
    outbox.drain(now=clock.now)
    assert PushDelivery.objects.get().status == "expired"
    assert outbox.prune(now=clock.now()) == 1


@pytest.mark.parametrize(("days", "reason"), [(269, ""), (271, "stale")])
def test_a_phone_that_nobody_saw_for_nine_months_is_ended(alice: Phone, days: int, reason: str) -> None:
    reachable(alice, now=clock.now() - timedelta(days=days))
    phones.end_stale(now=clock.now())
    assert PushToken.objects.get().end_reason == reason
