"""Who is pushed what, when, and what the ledger says of the rest (api.md 7, notifications.md B4)."""

from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import SecurityEvent, User
from notifications import policy, services
from notifications.models import Notification, NotificationType, PushDelivery
from notifications.policy import Audience, quiet_until, share_of
from notifications.telling import Telling, tell, tell_all
from tests import make
from tests.clients import Phone, Unit
from tests.notifications.conftest import reachable
from tests.threads import together
from zinzino import clock

NIGHT = datetime(2026, 3, 10, 20, 30, tzinfo=UTC)  # 23:30 in Istanbul
MORNING = datetime(2026, 3, 11, 5, 0, tzinfo=UTC)  # 08:00 there


def audience(**known: Any) -> Audience:
    described: dict[str, Any] = {
        "user_id": UUID(int=7),
        "language": "tr",
        "timezone": "Europe/Istanbul",
        "push_enabled": True,
        "quiet_enabled": True,
        "quiet_start": time(22),
        "quiet_end": time(8),
        "switched_off": frozenset(),
        "phones": (),
    }
    return Audience(**described | known)


# ------------------------------------------------------------------------------------- quiet hours


@pytest.mark.parametrize(
    ("at", "start", "end", "until"),
    [
        ("2026-03-10T18:59", 22, 8, None),
        ("2026-03-10T19:00", 22, 8, "2026-03-11T05:00"),
        ("2026-03-10T22:00", 22, 8, "2026-03-11T05:00"),
        ("2026-03-11T04:59", 22, 8, "2026-03-11T05:00"),
        ("2026-03-11T05:00", 22, 8, None),
        # Within one day.
        ("2026-03-10T09:59", 13, 15, None),
        ("2026-03-10T10:00", 13, 15, "2026-03-10T12:00"),
        ("2026-03-10T12:00", 13, 15, None),
    ],
)
def test_quiet_hours_end_when_they_say(at: str, start: int, end: int, until: str | None) -> None:
    known = audience(quiet_start=time(start), quiet_end=time(end))
    found = quiet_until(known, datetime.fromisoformat(at).replace(tzinfo=UTC))
    assert found == (datetime.fromisoformat(until).replace(tzinfo=UTC) if until else None)


@given(
    st.integers(0, 2 * 365 * 24 * 60),
    st.times(),
    st.times(),
    st.sampled_from(["Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Pacific/Apia", "UTC"]),
)
def test_their_end_lies_ahead_within_a_day_and_is_not_quiet(
    minute: int, start: time, end: time, zone: str
) -> None:
    if start == end:
        return
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    known = audience(quiet_start=start, quiet_end=end, timezone=zone)
    until = quiet_until(known, now)
    if until is not None:
        assert timedelta() < until - now <= timedelta(hours=25)


@pytest.mark.parametrize(
    ("kind", "severity", "late"),
    [
        ("low_battery", "low", True),
        ("low_battery", "critical", False),
        ("device_offline", None, True),
        ("achievement", None, True),
        ("dose_missed", None, True),
        ("reminder", None, False),
        ("dose_warning", None, False),
        ("security", None, False),
    ],
)
def test_what_may_come_at_night(kind: str, severity: str | None, late: bool) -> None:
    phone = policy.Phone(UUID(int=1), local_reminders=False)
    decision = policy.decided(NotificationType(kind), audience(), phone, now=NIGHT, severity=severity)
    assert (decision.status, decision.due_at) == ("queued", MORNING if late else NIGHT)
    assert decision.reason == ("quiet_hours" if late else "")
    assert decision.expires_at - decision.due_at == policy.USEFUL_FOR.get(kind, policy.USEFUL)


def test_the_row_is_there_at_once_and_the_push_in_the_morning(alice: Phone, kitchen: Unit) -> None:
    alice.put("/notifications/settings", {"quiet_hours": {"enabled": True}})
    reachable(alice)
    with time_machine.travel(NIGHT, tick=False):
        kitchen.status(battery_level=15)
    row = PushDelivery.objects.get()
    assert Notification.objects.get().created_at == NIGHT
    assert (row.status, row.reason, row.next_attempt_at) == ("queued", "quiet_hours", MORNING)


# -------------------------------------------------------------------------------------- the ledger


def ledger() -> list[tuple[str, str]]:
    rows = PushDelivery.objects.order_by("created_at", "id")
    return list(rows.values_list("status", "reason"))


def test_every_phone_gets_one_and_the_rows_name_it(alice: Phone, kitchen: Unit) -> None:
    one, other = reachable(alice, "one"), reachable(alice, "other")
    kitchen.status(battery_level=15)
    notification = Notification.objects.get()
    rows = PushDelivery.objects.all()
    assert {(row.notification_id, row.phone_id, row.kind) for row in rows} == {
        (notification.pk, one.pk, "low_battery"),
        (notification.pk, other.pk, "low_battery"),
    }
    assert notification.metadata["link"] == f"zinzino://devices/{kitchen.id}"


def test_without_a_phone_the_ledger_says_so(kitchen: Unit) -> None:
    kitchen.status(battery_level=15)
    assert ledger() == [("suppressed", "no_phone")]


def test_a_person_who_wants_no_pushes_still_gets_rows(alice: Phone, kitchen: Unit) -> None:
    reachable(alice)
    alice.put("/profile", {"notification_enabled": False})
    kitchen.status(battery_level=15)
    assert (Notification.objects.count(), ledger()) == (1, [("suppressed", "push_disabled")])


def test_a_type_that_is_off_is_in_the_ledger_only(alice: Phone, kitchen: Unit) -> None:
    reachable(alice)
    alice.put("/notifications/settings", {"low_battery_enabled": False})
    kitchen.status(battery_level=15)
    assert (Notification.objects.count(), ledger()) == (0, [("suppressed", "type_disabled")])


def test_a_level_that_swings_makes_rows_but_one_push_a_day(alice: Phone, kitchen: Unit) -> None:
    reachable(alice)
    start = clock.now()

    def reports(*levels: int, after: timedelta = timedelta()) -> None:
        for number, level in enumerate(levels):
            with time_machine.travel(start + after + timedelta(seconds=number), tick=False):
                kitchen.status(battery_level=level)

    reports(20, 24, 20, 25, 20)
    assert ledger() == [("queued", ""), ("suppressed", "cool_down")]
    reports(9, after=timedelta(minutes=1))  # another severity
    assert ledger()[2:] == [("queued", "")]
    reports(25, 20, after=timedelta(hours=23, minutes=59))
    assert ledger()[3:] == [("suppressed", "cool_down")]
    reports(25, 20, after=timedelta(hours=24, minutes=1))
    assert ledger()[4:] == [("queued", "")]
    reports(40, 20, after=timedelta(hours=25))  # charged: the next one is news
    assert ledger()[5:] == [("queued", "")]
    assert Notification.objects.count() == 6


def test_late_samples_say_nothing(alice: Phone, kitchen: Unit) -> None:
    from devices.models import Device
    from notifications.models import AlertKind, AlertState

    now = clock.now()
    for newest, minutes in ((60, 16), (5, 16), (5, 6)):
        Device.objects.update(levels_at=now - timedelta(minutes=newest))
        device = Device.objects.get()
        sampled_at = now - timedelta(minutes=minutes)
        assert services.observe_levels(device, {AlertKind.BATTERY: 3}, now=now, sampled_at=sampled_at) == []
    assert not AlertState.objects.exists()
    assert services.observe_levels(device, {AlertKind.BATTERY: 3}, now=now, sampled_at=now) == ["low_battery"]


def test_a_phone_that_reminds_by_itself_is_left_alone(alice: Phone) -> None:
    reachable(alice, "itself", local_reminders=True)
    reachable(alice, "other")
    for kind, text in ((NotificationType.REMINDER, "test"), (NotificationType.SECURITY, "password_changed")):
        tell(Telling(alice.user.pk, kind, f"cause:{kind}", text=text), now=clock.now())
    found = PushDelivery.objects.order_by("kind", "phone__token")
    assert [(row.kind, row.status, row.reason) for row in found.select_related("phone")] == [
        ("reminder", "suppressed", "local_reminder"),
        ("reminder", "queued", ""),
        ("security", "queued", ""),
        ("security", "queued", ""),
    ]


def test_the_reminders_of_a_minute_are_spread_over_four() -> None:
    spread = timedelta(seconds=240)
    shares = [share_of(make.uuid_of(number), spread) for number in range(2000)]
    assert min(shares) >= timedelta()
    assert max(shares) < spread
    assert len(set(shares)) == 240
    assert shares == [share_of(make.uuid_of(number), spread) for number in range(2000)]
    assert share_of(make.uuid_of(1), timedelta()) == timedelta()


def test_only_reminders_are_spread() -> None:
    phone, spread = policy.Phone(UUID(int=1), local_reminders=False), timedelta(seconds=240)
    known = audience(quiet_enabled=False)  # of the person 7
    due = {
        kind: policy.decided(kind, known, phone, now=NIGHT, spread=spread).due_at - NIGHT
        for kind in (NotificationType.REMINDER, NotificationType.SECURITY)
    }
    assert due == {NotificationType.REMINDER: timedelta(seconds=7), NotificationType.SECURITY: timedelta()}


# ------------------------------------------------------------------------------------ row exactly once


def security(user_id: UUID, cause: str = "same") -> Telling:
    return Telling(user_id, NotificationType.SECURITY, cause, text="password_changed")


def test_however_many_are_told_it_takes_three_statements(db: None, statements: make.Statements) -> None:
    people = [make.person().user.pk for _ in range(30)]
    with statements(3):
        assert len(tell_all([security(user_id) for user_id in people], now=clock.now())) == 30
    assert not tell_all([security(user_id) for user_id in people], now=clock.now())
    assert (Notification.objects.count(), PushDelivery.objects.count()) == (30, 30)


def test_who_has_gone_is_told_nothing(charlie: Phone) -> None:
    assert not tell(security(charlie.user.pk), now=clock.now())
    assert not PushDelivery.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_same_cause_at_once_makes_one_row_and_one_delivery() -> None:
    """In whatever order it is told: so many that two of opposite order would wait for each other."""
    people = User.objects.bulk_create(
        User(id=make.uuid_of(number), email=f"{number}@example.com", full_name="X") for number in range(300)
    )
    for rounds in (1, 2, 3):
        tellings = [security(user.pk, cause=f"round {rounds}") for user in people]
        made = together(partial(tell_all, now=clock.now()), [tellings, tellings[::-1]] * 2)
        assert sum(map(len, made)) == 300
        assert Notification.objects.count() == PushDelivery.objects.count() == 300 * rounds


@pytest.mark.django_db(transaction=True)
def test_two_workers_announce_each_security_event_once(alice: Phone) -> None:
    for _ in range(40):
        SecurityEvent.objects.create(
            user=alice.user, kind=SecurityEvent.Kind.PASSWORD_CHANGED, occurred_at=clock.now()
        )
    announced = together(lambda _: services.announce_security_events(now=clock.now(), limit=15), range(4))
    while more := services.announce_security_events(now=clock.now(), limit=15):
        announced.append(more)
    assert sum(announced) == Notification.objects.count() == 40
