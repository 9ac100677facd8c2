import uuid

import pytest
from pytest_django import Settings

from accounts.models import RefreshToken, Session
from tests import make
from tests.clients import Api, Phone
from zinzino.api import signing


@pytest.fixture
def tablet(alice: Phone) -> Api:
    """Another session of Alice's."""
    answer = Api().post(
        "/auth/login",
        {"email": "alice@example.com", "password": make.PASSWORD},
        HTTP_X_DEVICE_NAME="iPad",
        HTTP_X_PLATFORM="ios",
    )
    return Api(answer.data["token"])


def test_the_list_tells_which_session_asks(alice: Phone, tablet: Api, statements: make.Statements) -> None:
    tablet.get("/profile")
    with statements(2):
        rows = tablet.get("/auth/sessions").data
    assert [(row["device_name"], row["current"]) for row in rows] == [("iPad", True), ("", False)]
    assert set(rows[0]) == {
        "id",
        "device_name",
        "platform",
        "app_version",
        "created_at",
        "last_seen_at",
        "current",
    }


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("Ay%C5%9Fe%E2%80%99nin%20iPhone%E2%80%99u", "Ayşe’nin iPhone’u"),
        ("100% Pixel", "100% Pixel"),
        ("a%00b%0Ac%C5", "abc\N{REPLACEMENT CHARACTER}"),
        ("%C5%9F" * 101, "ş" * 100),
    ],
)
def test_a_phone_has_the_name_that_its_owner_gave_it(anyone: Api, alice: Phone, sent: str, shown: str) -> None:
    known = {"email": "alice@example.com", "password": make.PASSWORD}
    assert anyone.post("/auth/login", known, HTTP_X_DEVICE_NAME=sent).status_code == 200
    assert shown in [row["device_name"] for row in alice.get("/auth/sessions").data]


def test_one_session_is_ended_at_once(alice: Phone, tablet: Api) -> None:
    [other] = [row["id"] for row in alice.get("/auth/sessions").data if not row["current"]]
    assert alice.delete(f"/auth/sessions/{other}").status_code == 200
    assert tablet.get("/profile").error["details"] == {"reason": "session_revoked"}
    assert alice.get("/profile").status_code == 200


def test_a_foreign_session_is_403_and_stays(alice: Phone, bob: Phone) -> None:
    [mine] = [row["id"] for row in alice.get("/auth/sessions").data]
    assert bob.delete(f"/auth/sessions/{mine}").status_code == 403
    assert bob.delete(f"/auth/sessions/{uuid.uuid4()}").status_code == 404
    assert alice.get("/profile").status_code == 200


def test_all_others_or_all_can_be_ended(alice: Phone, tablet: Api) -> None:
    assert alice.delete("/auth/sessions").data == {"ended_count": 1}
    assert tablet.get("/profile").status_code == 401
    assert alice.post("/auth/logout", {"all": True}).status_code == 200
    assert not Session.objects.filter(ended_at=None).exists()


def test_a_new_key_logs_nobody_out(alice: Phone, settings: Settings) -> None:
    old = settings.JWT_SIGNING_KEY
    settings.JWT_SIGNING_KEY, settings.JWT_OLD_KEYS = "n" * 20 + "ew-key-of-forty-characters", [old]

    assert alice.get("/profile").status_code == 200
    pair = Api().post("/auth/refresh", {"refresh_token": alice.refresh_token}).data
    assert RefreshToken.objects.get(used_at=None).key_id == signing.current_key_id()
    assert Api(pair["token"]).get("/profile").status_code == 200


def test_a_lost_answer_is_the_same_after_a_key_roll(alice: Phone, settings: Settings) -> None:
    first = Api().post("/auth/refresh", {"refresh_token": alice.refresh_token}).data
    old = settings.JWT_SIGNING_KEY
    settings.JWT_SIGNING_KEY, settings.JWT_OLD_KEYS = "n" * 20 + "ew-key-of-forty-characters", [old]
    again = Api().post("/auth/refresh", {"refresh_token": alice.refresh_token}).data
    assert again["refresh_token"] == first["refresh_token"]
    assert Api().post("/auth/refresh", {"refresh_token": again["refresh_token"]}).status_code == 200


def test_a_forgotten_key_ends_its_tokens(alice: Phone, settings: Settings) -> None:
    settings.JWT_SIGNING_KEY, settings.JWT_OLD_KEYS = "n" * 20 + "ew-key-of-forty-characters", []
    assert alice.get("/profile").error["details"] == {"reason": "token_invalid"}
