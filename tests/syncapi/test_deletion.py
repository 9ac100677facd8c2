"""`DELETE /profile` (mission 2.5, api.md 2): what ends inside the request."""

from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.hashers import make_password
from django.db import transaction

from accounts import services as accounts
from accounts import social
from accounts.models import EndReason, OneTimeToken, Session, User
from devices.models import Device, DeviceCredential
from syncapi import erasure
from tests import make
from tests.clients import Api, Phone, Unit
from tests.threads import together
from zinzino import clock

GOOD = {"password": make.PASSWORD, "confirmation": "DELETE"}


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The jobs that were woken; none runs by itself."""
    names: list[str] = []
    for place in ("syncapi.erasure.wake", "syncapi.exports.wake", "accounts.mails.wake"):
        monkeypatch.setattr(place, lambda task: names.append(task.name))
    return names


def delete(phone: Api, body: Any, method: str = "DELETE") -> Any:
    return phone.delete("/profile", body) if method == "DELETE" else phone.post("/profile/delete", body)


@pytest.mark.parametrize("method", ["DELETE", "POST"])
def test_a_deletion_says_so_and_ends_everything_at_once(
    alice: Phone, kitchen: Unit, anyone: Api, method: str
) -> None:
    answer = delete(alice, GOOD, method)
    assert answer.json() == {"success": True, "message": "Hesabınız kalıcı olarak silindi"}

    after = alice.get("/profile")
    assert (after.status_code, after.error["details"]) == (401, {"reason": "account_deleted"})
    assert anyone.post("/auth/refresh", {"refresh_token": alice.refresh_token}).status_code == 401
    assert kitchen.cup(True).status_code == 401
    assert anyone.post("/auth/login", {"email": "alice@example.com", "password": make.PASSWORD}).status_code == 401
    assert Session.objects.get().end_reason == EndReason.ACCOUNT_DELETED
    assert not DeviceCredential.objects.filter(ended_at=None).exists()
    assert not OneTimeToken.objects.exists()
    assert delete(alice, GOOD, method).error["details"] == {"reason": "account_deleted"}


def test_the_row_that_is_left_is_nobody(alice: Phone) -> None:
    alice.put("/profile", {"phone": "+905551234567"})
    User.objects.filter(pk=alice.user.pk).update(oauth_provider="google", oauth_provider_id="1", is_staff=True)
    delete(alice, GOOD)
    user = User.objects.get()
    assert (user.email, user.full_name, user.phone, user.profile_picture) == (None, "", None, None)
    assert (user.oauth_provider, user.oauth_provider_id, user.profile_thumbnail) == ("", "", "")
    assert (user.is_active, user.is_staff, user.is_superuser, user.is_verified) == (False, False, False, False)
    assert not user.has_usable_password()
    assert user.deleted_at is not None


def test_the_same_address_serial_and_mac_can_be_registered_at_once(alice: Phone, anyone: Api) -> None:
    unit = {
        "device_name": "Mutfak",
        "device_type": "fish_oil",
        "mac_address": "AA:BB:CC:DD:EE:FF",
        "serial_number": "ZNZ-1",
    }
    assert alice.post("/devices", unit).status_code == 201
    delete(alice, GOOD)
    person = {"email": "Alice@example.com", "password": "another-one", "full_name": "Alice Again"}
    again = anyone.post("/auth/register", person)
    assert again.status_code == 201
    assert Api(again.data["token"]).post("/devices", unit).status_code == 201
    assert Api(again.data["token"]).get("/devices").data[0]["serial_number"] == "ZNZ-1"


def test_a_person_with_many_dispensers_can_go(alice: Phone) -> None:
    for _ in range(12):
        alice.dispenser()
    assert delete(alice, GOOD).status_code == 200
    freed = Device.objects.values_list("mac_address", "serial_number")
    assert len(set(freed)) == 12
    assert all(mac.startswith("!") and serial.startswith("!") for mac, serial in freed)


def test_nobody_else_notices(alice: Phone, bob: Phone) -> None:
    unit = bob.dispenser()
    delete(alice, GOOD)
    assert bob.get("/profile").status_code == 200
    assert unit.cup(True).data["should_dispense"] is True


@pytest.mark.parametrize("method", ["DELETE", "POST"])
@pytest.mark.parametrize(
    ("body", "field"),
    [
        (None, "confirmation"),
        ({}, "confirmation"),
        ({"password": make.PASSWORD}, "confirmation"),
        ({"password": make.PASSWORD, "confirmation": "delete"}, "confirmation"),
        ({"password": make.PASSWORD, "confirmation": True}, "confirmation"),
        ({"password": make.PASSWORD, "confirmation": ["DELETE"]}, "confirmation"),
        ({"password": make.PASSWORD, "confirmation": None}, "confirmation"),
        ({"confirmation": "DELETE"}, "password"),
        ({"confirmation": "DELETE", "password": 5_000 * "x"}, "password"),
        ({"confirmation": "DELETE", "provider": "google"}, "password"),
        ({"confirmation": "DELETE", "provider": "myspace", "id_token": "x"}, "provider"),
    ],
)
def test_what_is_missing_is_named_before_the_password_is_looked_at(
    alice: Phone, monkeypatch: pytest.MonkeyPatch, method: str, body: Any, field: str
) -> None:
    def never(*_args: object) -> bool:
        raise AssertionError

    monkeypatch.setattr(User, "check_password", never)
    answer = delete(alice, body, method)
    assert (answer.status_code, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert field in answer.error["details"]
    assert alice.get("/profile").status_code == 200


@pytest.mark.parametrize(
    "proof",
    [
        {"password": "wrong"},
        {"password": make.PASSWORD + " "},
        # Who has a password needs it.
        {"provider": "google", "id_token": "a.b.c"},
    ],
)
def test_a_wrong_password_is_401_and_changes_nothing(alice: Phone, kitchen: Unit, proof: dict[str, str]) -> None:
    answer = delete(alice, {**proof, "confirmation": "DELETE"})
    assert (answer.status_code, answer.error["code"]) == (401, "UNAUTHORIZED")
    assert answer.error["details"] == {"reason": "credentials"}
    assert answer.error["message"] == "Geçersiz şifre."
    assert alice.get("/profile").status_code == 200
    assert kitchen.cup(True).status_code == 200


@pytest.fixture
def only_google(alice: Phone, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Alice has no password; a token "good" of Google proves her. The questions that were asked."""
    User.objects.filter(pk=alice.user.pk).update(password=make_password(None))
    SocialAccount.objects.create(user_id=alice.user.pk, provider="google", uid="sub-1")
    asked: list[tuple[Any, ...]] = []

    def confirms(user_id: Any, provider: str, token: str, *, now: Any) -> bool:
        asked.append((user_id, provider, token))
        return token == "good"

    monkeypatch.setattr(social, "confirms", confirms)
    return asked


def test_without_a_password_a_fresh_token_of_the_provider_does(
    alice: Phone, only_google: list[tuple[Any, ...]]
) -> None:
    proof = {"provider": "google", "id_token": "good", "confirmation": "DELETE"}
    assert delete(alice, proof).status_code == 200
    assert only_google == [(alice.user.pk, "google", "good")]
    assert not SocialAccount.objects.exists()


@pytest.mark.parametrize("proof", [{"password": "x"}, {"provider": "google", "id_token": "stale"}])
def test_without_a_password_nothing_else_does(
    alice: Phone, only_google: list[tuple[Any, ...]], proof: dict[str, str]
) -> None:
    answer = delete(alice, {**proof, "confirmation": "DELETE"})
    assert (answer.status_code, answer.error["details"]) == (401, {"reason": "credentials"})
    assert "Google" in answer.error["message"]
    assert SocialAccount.objects.exists()


def test_others_may_not(anyone: Api, kitchen: Unit) -> None:
    assert delete(anyone, GOOD).status_code == 401
    assert delete(kitchen, GOOD).error["details"] == {"reason": "wrong_credential_kind"}


def test_reading_and_changing_the_profile_keep_their_rules(alice: Phone) -> None:
    assert alice.put("/profile", {"theme_preference": "pink"}).status_code == 422
    assert alice.get("/profile").status_code == 200


def test_a_deletion_takes_thirteen_statements(alice: Phone, kitchen: Unit, statements: make.Statements) -> None:
    alice.get("/profile")
    with statements(13):
        delete(alice, GOOD)


def test_a_password_that_was_changed_meanwhile_is_refused(alice: Phone) -> None:
    checked = User.objects.values_list("password", flat=True).get()
    User.objects.update(password=make_password("another"))
    with pytest.raises(accounts.WrongCredentials):
        erasure.close(alice.user.pk, now=clock.now(), password=checked)
    assert alice.get("/profile").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_the_eraser_is_woken_after_the_commit_only(woken: list[str]) -> None:
    alice = Phone(make.person())
    woken.clear()
    with transaction.atomic():
        delete(alice, GOOD)
        assert woken == []
        transaction.set_rollback(True)
    assert woken == []
    assert alice.get("/profile").status_code == 200
    delete(alice, GOOD)
    assert woken == ["syncapi.tasks.erase_accounts"]


@pytest.mark.django_db(transaction=True)
def test_of_two_deletions_at_once_both_learn_the_truth() -> None:
    alice = Phone(make.person())
    answers = together(lambda _: delete(alice, GOOD), range(4))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("_round", range(6))
def test_a_deletion_beside_events_and_requests_of_all_kinds_fails_for_nobody(_round: int) -> None:
    alice = Phone(make.person())
    units = [alice.dispenser(device_type=kind) for kind in ("fish_oil", "krill_oil", "vitamin_d")]

    def live(who: Unit | Phone | str) -> list[int]:
        phone = Api(alice.token)
        seen = []
        for turn in range(12):
            if isinstance(who, Unit):
                own = Unit(who.id, who.token)
                seen += [
                    own.cup(turn % 2 == 0).status_code,
                    own.status(battery_level=(5, 50)[turn % 2]).status_code,
                ]
            elif who == "deletes" and turn == 3:
                seen.append(delete(phone, GOOD).status_code)
            elif who == "refreshes":
                again = Api().post("/auth/refresh", {"refresh_token": alice.refresh_token})
                seen.append(again.status_code)
            elif who == "changes":
                seen.append(phone.put("/profile", {"theme_preference": ("dark", "light")[turn % 2]}).status_code)
                seen.append(phone.put("/notifications/read-all").status_code)
            elif who == "syncs":
                seen.append(phone.post("/sync/full").status_code)
        return seen

    everyone = [*units, "deletes", "refreshes", "changes", "syncs"]
    seen = together(live, everyone)
    assert seen[3] == [200]
    assert {status for each in seen for status in each} <= {200, 401}
    assert alice.get("/profile").error["details"] == {"reason": "account_deleted"}
