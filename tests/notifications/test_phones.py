"""`/notifications/push-tokens`: which phones are whose (api.md 7)."""

import uuid
from typing import Any

import pytest

from accounts import sessions
from accounts.authentication import SessionEnded
from accounts.models import EndReason, Session
from notifications import phones
from notifications.models import PushToken
from tests import make
from tests.clients import Phone
from tests.threads import together
from zinzino import clock

APPLES = "a1" * 32


def registered(phone: Phone, name: str = "fcm:token-1", **described: Any) -> Any:
    return phone.post("/notifications/push-tokens", {"token": name, "platform": "android", **described})


def living(phone: Phone) -> list[str]:
    return [row["id"] for row in phone.get("/notifications/push-tokens").data]


def another_phone(phone: Phone) -> Phone:
    signed_in = phone.post("/auth/login", {"email": phone.user.email, "password": make.PASSWORD}).data
    other = Phone.__new__(Phone)
    other.__dict__ |= phone.__dict__ | {"token": signed_in["token"]}
    return other


def test_a_phone_is_new_once_and_known_afterwards(alice: Phone, statements: make.Statements) -> None:
    alice.get("/profile")
    with statements(8):
        first = registered(alice, device_name="Pixel 9", local_reminders=True)
    again = registered(alice)
    assert (first.status_code, again.status_code) == (201, 200)
    assert set(first.data) == {
        "id",
        "token",
        "platform",
        "provider",
        "device_name",
        "local_reminders",
        "current",
        "created_at",
        "registered_at",
    }
    assert first.data["token"] == "…oken-1"
    # What the second call does not say stays as it was.
    assert alice.get("/notifications/push-tokens").data == [again.data]
    assert (again.data["id"], again.data["device_name"]) == (first.data["id"], "Pixel 9")
    assert (again.data["local_reminders"], again.data["current"]) == (True, True)


@pytest.mark.parametrize(
    ("sent", "provider"),
    [
        ({"token": "dQw4:APA91b", "platform": "android"}, "fcm"),
        ({"token": APPLES, "platform": "ios"}, "apns"),
        ({"token": "dQw4:APA91b", "platform": "ios"}, "fcm"),
        ({"token": APPLES, "platform": "ios", "provider": "fcm"}, "fcm"),
    ],
)
def test_the_provider_is_told_by_the_token(alice: Phone, sent: dict[str, Any], provider: str) -> None:
    assert alice.post("/notifications/push-tokens", sent).data["provider"] == provider


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"token": "x"}, "platform"),
        ({"platform": "ios"}, "token"),
        ({"token": "with space", "platform": "ios"}, "token"),
        ({"token": "x" * 4097, "platform": "ios"}, "token"),
        ({"token": "x", "platform": "windows"}, "platform"),
        ({"token": "x", "platform": "ios", "provider": "apns"}, "token"),
        ({"token": APPLES, "platform": "android", "provider": "apns"}, "provider"),
    ],
)
def test_a_wrong_value_names_its_field(alice: Phone, sent: dict[str, Any], field: str) -> None:
    answer = alice.post("/notifications/push-tokens", sent)
    assert (answer.status_code, list(answer.error["details"])) == (422, [field])
    assert not PushToken.objects.exists()


def test_a_phone_that_is_passed_on_belongs_to_the_last(alice: Phone, bob: Phone) -> None:
    registered(alice)
    assert registered(bob).status_code == 201
    assert (living(alice), len(living(bob))) == ([], 1)
    assert PushToken.objects.get(user=alice.user).end_reason == "moved"
    assert registered(alice).status_code == 200
    assert (len(living(alice)), living(bob)) == (1, [])


def test_the_eleventh_phone_takes_the_place_of_the_oldest(alice: Phone) -> None:
    ids = [registered(alice, f"token-{number}").data["id"] for number in range(11)]
    assert living(alice) == ids[:0:-1]
    assert PushToken.objects.get(pk=ids[0]).end_reason == "too_many"


@pytest.mark.parametrize(
    "ended",
    [
        lambda phone: phone.post("/auth/logout"),
        lambda phone: phone.post("/auth/logout", {"all": True}),
        lambda phone: (
            phone.put(
                "/auth/change-password", {"current_password": make.PASSWORD, "new_password": "another-one-1"}
            )
            and phone.post("/auth/logout")
        ),
        lambda phone: sessions.end(Session.objects.all(), EndReason.REVOKED, now=clock.now()),
    ],
)
def test_a_session_that_ends_takes_its_phone_along(alice: Phone, bob: Phone, ended: Any) -> None:
    registered(bob, "bobs")
    registered(alice)
    ended(alice)
    phone = PushToken.objects.get(user=alice.user)
    assert (phone.end_reason, phone.ended_at is not None) == ("session_ended", True)


def test_the_session_of_another_phone_leaves_mine(alice: Phone) -> None:
    other = another_phone(alice)
    registered(alice, "mine")
    registered(other, "other")
    alice.delete("/auth/sessions")
    assert [row["token"] for row in alice.get("/notifications/push-tokens").data] == ["…mine"]


def test_the_settings_carry_the_calling_phones_own_token(alice: Phone) -> None:
    other = another_phone(alice)
    registered(other, "other")
    assert alice.get("/notifications/settings").data["push_token"] is None
    data = alice.put("/notifications/settings", {"push_token": "mine", "push_platform": "android"}).data
    assert (data["push_token"], data["push_platform"]) == ("mine", "android")
    assert other.get("/notifications/settings").data["push_token"] == "other"
    alice.put("/notifications/settings", {"push_token": "mine-2"})
    assert sorted(PushToken.objects.filter(ended_at=None).values_list("token", flat=True)) == ["mine-2", "other"]
    assert alice.put("/notifications/settings", {"push_token": None}).data["push_token"] is None
    assert list(PushToken.objects.filter(ended_at=None).values_list("token", flat=True)) == ["other"]


def test_a_foreign_phone_is_403_and_stays(alice: Phone, bob: Phone) -> None:
    phone_id = registered(alice).data["id"]
    assert bob.delete(f"/notifications/push-tokens/{phone_id}").status_code == 403
    assert bob.delete(f"/notifications/push-tokens/{uuid.uuid4()}").status_code == 404
    assert living(alice) == [phone_id]
    assert alice.delete(f"/notifications/push-tokens/{phone_id}").status_code == 200
    assert alice.delete(f"/notifications/push-tokens/{phone_id}").status_code == 404
    assert living(alice) == []


@pytest.mark.django_db(transaction=True)
def test_two_people_at_once_leave_one_owner() -> None:
    people = [make.person() for _ in range(6)]
    session_of = {person.user.pk: person.user.sessions.get().pk for person in people}

    def register(user_id: uuid.UUID) -> None:
        described = {"token": "the-same", "platform": "android"}
        phones.register(user_id, session_of[user_id], now=clock.now(), **described)

    together(register, list(session_of))
    assert PushToken.objects.filter(ended_at=None).count() == 1
    assert PushToken.objects.filter(end_reason="moved").count() == 5


@pytest.mark.django_db(transaction=True)
def test_a_logout_at_the_same_moment_leaves_no_phone_bound() -> None:
    for number in range(8):
        person = make.person()
        session = person.user.sessions.get()

        def register(person: Any = person, session: Any = session, number: int = number) -> None:
            try:
                described = {"token": f"token-{number}", "platform": "android"}
                phones.register(person.user.pk, session.pk, now=clock.now(), **described)
            except SessionEnded:
                pass

        def log_out(session: Any = session) -> None:
            sessions.end(Session.objects.filter(pk=session.pk), EndReason.LOGOUT, now=clock.now())

        together(lambda work: work(), [register, log_out])
    assert not PushToken.objects.filter(ended_at=None).exists()
