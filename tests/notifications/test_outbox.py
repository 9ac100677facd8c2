"""Deliveries that several workers are after: a lease keeps them, one that is over is taken over."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from pytest_django import Settings

from notifications import outbox
from notifications.models import NotificationType, PushDelivery
from notifications.outbox import LEASE, Settled, Status
from notifications.telling import Telling, tell_all
from tests import make
from tests.clients import Phone
from tests.notifications.conftest import apples, reachable
from tests.notifications.fakes import FakeApns, FakeFcm
from tests.threads import together
from zinzino import clock

SECOND = timedelta(seconds=1)


def told(*user_ids: UUID, cause: str = "cause") -> None:
    tellings = [
        Telling(user_id, NotificationType.SECURITY, cause, text="password_changed") for user_id in user_ids
    ]
    assert len(tell_all(tellings, now=clock.now())) == len(user_ids)


def state() -> tuple[str, int]:
    row = PushDelivery.objects.get()
    return row.status, row.attempts


def test_a_delivery_that_is_being_sent_is_nobody_elses(alice: Phone) -> None:
    reachable(alice)
    told(alice.user.pk)
    now = clock.now()
    assert len(outbox.claim(now=now)) == 1
    assert outbox.claim(now=now + LEASE - SECOND) == []
    assert outbox.claim(now=now + LEASE)[0].attempts == 2


def test_a_dead_workers_delivery_goes_out_under_the_same_id(alice: Phone, google: FakeFcm) -> None:
    reachable(alice)
    told(alice.user.pk)
    now = clock.now()
    [dead] = outbox.claim(now=now)
    outbox.send_one(dead, now=now)  # it reached the phone, and nobody wrote it down
    assert outbox.drain(now=lambda: now + LEASE - SECOND) == 0
    assert outbox.drain(now=lambda: now + LEASE) == 1
    assert state() == ("sent", 2)
    assert google.by_id() == {str(PushDelivery.objects.get().pk): 2}


@pytest.mark.parametrize("later", [lambda _: None, lambda now: outbox.drain(now=lambda: now + LEASE)])
def test_who_wakes_after_their_lease_writes_nothing(
    alice: Phone, google: FakeFcm, later: Callable[[Any], Any]
) -> None:
    """Neither over the one who sends it now, nor over what that one has written."""
    reachable(alice)
    told(alice.user.pk)
    now = clock.now()
    [late] = outbox.claim(now=now)
    if not later(now):
        outbox.claim(now=now + LEASE)
    before = state()
    outbox.settle([Settled(late, Status.FAILED, "gave_up")], now=now)
    assert state() == before
    assert before in (("sending", 2), ("sent", 2))


def test_whoever_dies_each_time_does_not_send_for_ever(alice: Phone, google: FakeFcm) -> None:
    reachable(alice)
    told(alice.user.pk)
    now = clock.now()
    expires_at = PushDelivery.objects.get().expires_at
    while now < expires_at:
        assert outbox.claim(now=now)
        now += timedelta(hours=12)
    assert outbox.drain(now=lambda: now) == 0
    assert (state()[0], google.received) == ("expired", [])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("batch", [7, 100])
def test_four_workers_send_each_push_once(
    google: FakeFcm, apple: FakeApns, monkeypatch: pytest.MonkeyPatch, settings: Settings, batch: int
) -> None:
    settings.PUSH_TIMEOUT_S = 10  # a busy machine is no outage
    monkeypatch.setattr(outbox, "BATCH", batch)
    phones = [Phone(make.person()) for _ in range(30)]
    for number, phone in enumerate(phones):
        reachable(phone, f"android-{number}")
        reachable(phone, apples(number))
    told(*(phone.user.pk for phone in phones))
    sent = together(lambda _: outbox.drain(now=clock.now), range(4))
    assert sum(sent) == 60
    assert set((google.by_id() | apple.by_id()).values()) == {1}
    assert len(google.received) == len(apple.received) == 30
    assert set(PushDelivery.objects.values_list("status", "attempts")) == {("sent", 1)}
