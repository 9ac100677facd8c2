import re
import uuid

import pytest

from accounts.models import User
from tests import make
from tests.clients import Api, Phone
from tests.threads import together

AHMET = {"email": "ahmet@example.com", "password": "SecurePassword123!", "full_name": "Ahmet Yılmaz"}


@pytest.mark.django_db
def test_registration_answers_the_documented_shape(anyone: Api) -> None:
    response = anyone.post("/auth/register", AHMET)

    assert response.status_code == 201
    assert set(response.data) == {"user", "token", "refresh_token"}
    assert set(response.data["user"]) == {"id", "email", "full_name", "created_at"}
    assert response.data["user"]["email"] == "ahmet@example.com"
    assert response.data["user"]["full_name"] == "Ahmet Yılmaz"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", response.data["user"]["created_at"])
    assert Api(response.data["token"]).get("/profile").data["id"] == response.data["user"]["id"]


@pytest.mark.django_db
def test_the_password_is_kept_as_bcrypt(anyone: Api) -> None:
    anyone.post("/auth/register", AHMET)
    assert User.objects.get().password.startswith("bcrypt_sha256$")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "no address"),
        ("email", 5),
        ("email", None),
        ("email", "a" * 250 + "@x.com"),
        # Our mails would go to somebody else, or to nobody.
        ("email", "ahmet@example\u017f.com"),
        ("email", "\u017fener@example.com"),
        ("email", "a@" + "\u00fc" * 59 + ".com"),
        ("email", "a@" + "\u0131" * 60 + ".com"),
        ("email", "root@[127.0.0.1]"),
        ("password", "12345"),
        ("password", "x" * 129),
        ("password", ["secret"]),
        ("full_name", "A"),
        ("full_name", "A" * 101),
        ("full_name", "Ah\tmet"),
        ("full_name", "Ah\x00met"),
        ("timezone", "Mars/Olympus"),
        ("timezone", "localtime"),
        ("language", "de"),
    ],
)
def test_a_wrong_field_is_named_with_400(anyone: Api, field: str, value: object) -> None:
    response = anyone.post("/auth/register", {**AHMET, field: value})

    assert (response.status_code, response.error["code"]) == (400, "VALIDATION_ERROR")
    assert list(response.error["details"]) == [field]
    assert not User.objects.exists()


@pytest.mark.django_db
def test_a_domain_may_have_letters_of_its_own(anyone: Api) -> None:
    assert anyone.post("/auth/register", {**AHMET, "email": "ahmet@Çığdem.example"}).status_code == 201


@pytest.mark.django_db
@pytest.mark.parametrize("peer", ["", "unix:", "fe80::1%eth0"])
def test_a_peer_without_a_plain_address_can_register(anyone: Api, peer: str) -> None:
    assert anyone.post("/auth/register", AHMET, REMOTE_ADDR=peer).status_code == 201


@pytest.mark.django_db
def test_all_failing_fields_are_named_at_once(anyone: Api) -> None:
    response = anyone.post("/auth/register", {"email": "x", "password": "y"})
    assert set(response.error["details"]) == {"email", "password", "full_name"}


@pytest.mark.django_db
@pytest.mark.parametrize("spelling", ["ahmet@example.com", "AHMET@Example.COM", "  ahmet@example.com "])
def test_one_address_has_one_account_in_any_spelling(anyone: Api, spelling: str) -> None:
    anyone.post("/auth/register", AHMET)
    response = anyone.post("/auth/register", {**AHMET, "email": spelling})

    assert (response.status_code, response.error["code"]) == (409, "DUPLICATE_ENTRY")
    assert response.error["details"] == {"reason": "duplicate"}
    assert User.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(("header", "language"), [("en-GB", "en"), ("tr-TR", "tr"), ("", "tr"), ("de", "en")])
def test_the_language_comes_from_the_header(anyone: Api, header: str, language: str) -> None:
    anyone.post("/auth/register", AHMET, HTTP_ACCEPT_LANGUAGE=header)
    assert User.objects.get().language == language


@pytest.mark.django_db
def test_a_lost_answer_can_be_asked_for_again(anyone: Api) -> None:
    key = {"HTTP_IDEMPOTENCY_KEY": str(uuid.uuid4())}
    first = anyone.post("/auth/register", AHMET, **key)
    again = anyone.post("/auth/register", AHMET, **key)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.data["user"] == first.data["user"]
    assert again.data["token"] != first.data["token"]
    assert Api(again.data["token"]).get("/profile").status_code == 200


@pytest.mark.django_db
def test_the_retry_needs_the_same_body(anyone: Api) -> None:
    key = {"HTTP_IDEMPOTENCY_KEY": str(uuid.uuid4())}
    anyone.post("/auth/register", AHMET, **key)
    other = anyone.post("/auth/register", {**AHMET, "password": "AnotherPassword1"}, **key)
    assert (other.status_code, other.error["details"]) == (409, {"reason": "duplicate"})


@pytest.mark.django_db(transaction=True)
def test_two_spellings_at_once_make_one_account() -> None:
    spellings = ["race@example.com", "RACE@example.com", "Race@Example.com", "race@EXAMPLE.com"]
    answers = together(lambda email: Api().post("/auth/register", {**AHMET, "email": email}), spellings)

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert User.objects.count() == 1


@pytest.mark.django_db
def test_read_only_fields_are_ignored(alice: Phone) -> None:
    answer = alice.put(
        "/profile", {"is_staff": True, "is_verified": True, "email": "x@y.com", "full_name": "Alice A."}
    )
    user = User.objects.get(pk=alice.user.pk)
    assert (answer.status_code, user.full_name) == (200, "Alice A.")
    assert (user.is_staff, user.is_verified, user.email) == (False, False, "alice@example.com")


@pytest.mark.django_db
def test_the_profile_has_the_documented_fields(alice: Phone, statements: make.Statements) -> None:
    alice.get("/profile")
    with statements(2):
        profile = alice.get("/profile").data
    assert {
        "id",
        "email",
        "full_name",
        "profile_picture",
        "phone",
        "notification_enabled",
        "theme_preference",
        "language",
        "created_at",
        "updated_at",
    } <= set(profile)
