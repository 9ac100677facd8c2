"""Whose account an identity opens: the policy as a table, then each case through HTTP."""

from types import SimpleNamespace
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount

from accounts import one_time
from accounts.linking import Account, Identity, Outcome, Provider, decide
from accounts.models import Mail, OneTimeToken, SecurityEvent, Session, User
from accounts.one_time import Purpose
from tests import make
from tests.accounts.providers import KeyServer, apple, google
from tests.clients import Api, Phone
from tests.threads import together
from zinzino import clock

VERIFIED = SimpleNamespace(is_active=True, is_verified=True)
UNVERIFIED = SimpleNamespace(is_active=True, is_verified=False)
INACTIVE = SimpleNamespace(is_active=False, is_verified=True)
INACTIVE_UNVERIFIED = SimpleNamespace(is_active=False, is_verified=False)


def known(provider: Provider, email: str | None, *, verified: bool = True, hosted: bool = False) -> Identity:
    return Identity(
        provider=provider,
        subject="1",
        email=email,
        email_verified=verified and email is not None,
        email_hidden=email is None,
        hosted=hosted,
        full_name="",
        picture=None,
        issued_at=clock.now(),
    )


GMAIL = known(Provider.GOOGLE, "a@gmail.com")
WORKSPACE = known(Provider.GOOGLE, "a@firm.example", hosted=True)
FOREIGN = known(Provider.GOOGLE, "a@firm.example")
LOOKALIKE = known(Provider.GOOGLE, "a@gmail.com.example")
UNPROVEN = known(Provider.GOOGLE, "a@gmail.com", verified=False)
UNPROVEN_WORKSPACE = known(Provider.GOOGLE, "a@firm.example", verified=False, hosted=True)
NAMELESS = known(Provider.GOOGLE, None)
APPLE = known(Provider.APPLE, "a@firm.example")
APPLE_UNPROVEN = known(Provider.APPLE, "a@firm.example", verified=False)
APPLE_HIDDEN = known(Provider.APPLE, None)

TABLE: list[tuple[str, Identity, Any, Any, Outcome]] = [
    # name, identity, linked account, account with the address, outcome
    ("known", GMAIL, VERIFIED, None, Outcome.SIGN_IN),
    ("known, unverified account", GMAIL, UNVERIFIED, None, Outcome.SIGN_IN),
    ("known, address of another account", GMAIL, VERIFIED, UNVERIFIED, Outcome.SIGN_IN),
    ("known, address not proven", UNPROVEN, VERIFIED, None, Outcome.SIGN_IN),
    ("known, foreign domain", FOREIGN, VERIFIED, VERIFIED, Outcome.SIGN_IN),
    ("known, without address", NAMELESS, VERIFIED, None, Outcome.SIGN_IN),
    ("known, Apple", APPLE_HIDDEN, VERIFIED, None, Outcome.SIGN_IN),
    ("known, inactive", GMAIL, INACTIVE, None, Outcome.INACTIVE),
    ("known, inactive, Apple", APPLE_HIDDEN, INACTIVE, None, Outcome.INACTIVE),
    ("gmail, verified account", GMAIL, None, VERIFIED, Outcome.LINK),
    ("gmail, unverified account", GMAIL, None, UNVERIFIED, Outcome.LINK_AND_WIPE),
    ("gmail, inactive account", GMAIL, None, INACTIVE, Outcome.INACTIVE),
    ("gmail, inactive unverified account", GMAIL, None, INACTIVE_UNVERIFIED, Outcome.INACTIVE),
    ("gmail, nobody", GMAIL, None, None, Outcome.CREATE),
    ("workspace, verified account", WORKSPACE, None, VERIFIED, Outcome.LINK),
    ("workspace, unverified account", WORKSPACE, None, UNVERIFIED, Outcome.LINK_AND_WIPE),
    ("workspace, nobody", WORKSPACE, None, None, Outcome.CREATE),
    ("foreign domain, verified account", FOREIGN, None, VERIFIED, Outcome.LINK_REQUIRED),
    ("foreign domain, unverified account", FOREIGN, None, UNVERIFIED, Outcome.LINK_REQUIRED),
    # Whether an account is inactive is told only to its owner.
    ("foreign domain, inactive account", FOREIGN, None, INACTIVE, Outcome.LINK_REQUIRED),
    ("foreign domain, nobody", FOREIGN, None, None, Outcome.CREATE),
    ("almost gmail, verified account", LOOKALIKE, None, VERIFIED, Outcome.LINK_REQUIRED),
    ("not proven, verified account", UNPROVEN, None, VERIFIED, Outcome.NO_VERIFIED_EMAIL),
    ("not proven, unverified account", UNPROVEN, None, UNVERIFIED, Outcome.NO_VERIFIED_EMAIL),
    ("not proven, nobody", UNPROVEN, None, None, Outcome.NO_VERIFIED_EMAIL),
    ("not proven, workspace", UNPROVEN_WORKSPACE, None, VERIFIED, Outcome.NO_VERIFIED_EMAIL),
    ("Google without address", NAMELESS, None, None, Outcome.NO_VERIFIED_EMAIL),
    ("Apple, verified account", APPLE, None, VERIFIED, Outcome.LINK),
    ("Apple, unverified account", APPLE, None, UNVERIFIED, Outcome.LINK_AND_WIPE),
    ("Apple, inactive account", APPLE, None, INACTIVE, Outcome.INACTIVE),
    ("Apple, nobody", APPLE, None, None, Outcome.CREATE),
    ("Apple not proven, account", APPLE_UNPROVEN, None, VERIFIED, Outcome.NO_VERIFIED_EMAIL),
    ("Apple not proven, nobody", APPLE_UNPROVEN, None, None, Outcome.NO_VERIFIED_EMAIL),
    ("Apple without address", APPLE_HIDDEN, None, None, Outcome.CREATE),
]


@pytest.mark.parametrize(
    ("identity", "linked", "holder", "outcome"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE]
)
def test_the_policy(identity: Identity, linked: Account | None, holder: Account | None, outcome: Outcome) -> None:
    assert decide(identity, linked=linked, holder=holder) is outcome


def test_every_outcome_is_in_the_table() -> None:
    assert {row[-1] for row in TABLE} == set(Outcome)


# ------------------------------------------------------------------------------------ through HTTP


def by_google(**claims: Any) -> Any:
    return Api().post("/auth/google", {"id_token": google(**claims)})


def by_apple(**claims: Any) -> Any:
    return Api().post("/auth/apple", {"identity_token": apple(**claims)})


def local(email: str, *, verified: bool) -> Phone:
    phone = Phone(make.person(email, full_name="Ayşe Önce"))
    User.objects.filter(pk=phone.user.pk).update(is_verified=verified)
    Mail.objects.all().delete()
    return phone


def links() -> set[tuple[str, str, Any]]:
    return set(SocialAccount.objects.values_list("provider", "uid", "user_id"))


@pytest.mark.django_db
def test_a_proven_address_on_both_sides_is_linked(keys: KeyServer) -> None:
    ayse = local("ayse@gmail.com", verified=True)
    response = by_google(email="Ayse@Gmail.com", sub="g1")

    assert (response.status_code, response.data["is_new_user"]) == (200, False)
    assert response.data["user"]["id"] == str(ayse.user.pk)
    # What the account says of itself stays.
    assert response.data["user"]["full_name"] == "Ayşe Önce"
    assert links() == {("google", "g1", ayse.user.pk)}
    assert ayse.get("/profile").status_code == 200
    ayse.user.refresh_from_db()
    assert ayse.user.check_password(make.PASSWORD)
    assert (ayse.user.oauth_provider, ayse.user.oauth_provider_id) == ("google", "g1")
    event = SecurityEvent.objects.get()
    assert (event.user_id, event.kind) == (ayse.user.pk, "provider_linked")
    assert event.details == {"provider": "google", "wiped": False}
    mail = Mail.objects.get()
    assert (mail.to, mail.kind) == ("ayse@gmail.com", "provider_linked")
    assert "Google" in mail.text


@pytest.mark.django_db
@pytest.mark.parametrize("provider", ["google", "apple"])
def test_whoever_registered_the_address_before_its_owner_keeps_nothing(keys: KeyServer, provider: str) -> None:
    """The classic: somebody registers your address, waits for you to sign in with Google, and reads along."""
    attacker = local("victim@gmail.com", verified=False)
    user = attacker.user
    second = Api().post("/auth/login", {"email": "victim@gmail.com", "password": make.PASSWORD}).data
    SocialAccount.objects.create(user=user, provider="apple", uid="attacker's")
    SocialAccount.objects.create(user=user, provider="google", uid="attacker's")
    reset = one_time.issue(user, Purpose.RESET_PASSWORD, email="victim@gmail.com", now=clock.now())
    one_time.issue(user, Purpose.CHANGE_EMAIL, email="attacker@example.com", now=clock.now())

    response = {"google": by_google, "apple": by_apple}[provider](email="victim@gmail.com", sub="owner's")

    assert (response.status_code, response.data["is_new_user"]) == (200, False)
    assert response.data["user"]["id"] == str(user.pk)
    assert links() == {(provider, "owner's", user.pk)}
    user.refresh_from_db()
    assert (user.has_usable_password(), user.is_verified) == (False, True)
    for token in (attacker.token, second["token"]):
        dead = Api(token).get("/profile")
        assert (dead.status_code, dead.error["details"]) == (401, {"reason": "session_revoked"})
    assert Api().post("/auth/refresh", {"refresh_token": attacker.refresh_token}).status_code == 401
    login = Api().post("/auth/login", {"email": "victim@gmail.com", "password": make.PASSWORD})
    assert login.status_code == 401
    assert not OneTimeToken.objects.exists()
    spent = Api().post("/auth/reset-password", {"token": reset, "new_password": "AttackersPassword1"})
    assert spent.status_code == 400
    assert set(Session.objects.filter(ended_at=None).values_list("user_id", flat=True)) == {user.pk}
    assert set(Session.objects.exclude(ended_at=None).values_list("end_reason", flat=True)) == {"wiped"}
    assert SecurityEvent.objects.get().details == {"provider": provider, "wiped": True}
    assert Api(response.data["token"]).get("/profile").data["is_verified"] is True


@pytest.mark.django_db
@pytest.mark.parametrize("verified", [True, False])
def test_a_provider_that_cannot_speak_for_the_address_needs_the_password_first(
    keys: KeyServer, verified: bool
) -> None:
    ceo = local("ceo@acme.example", verified=verified)
    response = by_google(email="ceo@acme.example", sub="g3")

    assert (response.status_code, response.error["code"]) == (409, "DUPLICATE_ENTRY")
    assert response.error["details"] == {"reason": "link_required"}
    assert links() == set()
    assert Session.objects.count() == 1

    # With the password, and then for ever.
    assert (
        ceo.post("/auth/link/google", {"id_token": google(email="ceo@acme.example", sub="g3")}).status_code == 200
    )
    again = by_google(email="ceo@acme.example", sub="g3")
    assert (again.status_code, again.data["user"]["id"]) == (200, str(ceo.user.pk))


@pytest.mark.django_db
def test_a_workspace_speaks_for_its_addresses(keys: KeyServer) -> None:
    ceo = local("ceo@acme.example", verified=True)
    response = by_google(email="ceo@acme.example", hd="acme.example")
    assert (response.status_code, response.data["user"]["id"]) == (200, str(ceo.user.pk))


@pytest.mark.django_db
def test_an_inactive_account_is_403(keys: KeyServer) -> None:
    by_google(sub="g4")
    local("charlie@icloud.com", verified=True)
    User.objects.update(is_active=False)
    sessions = Session.objects.count()

    for response in (by_google(sub="g4", email="moved@gmail.com"), by_apple(email="charlie@icloud.com")):
        assert (response.status_code, response.error["code"]) == (403, "FORBIDDEN")
        assert response.error["details"] == {"reason": "account_inactive"}
    assert (Session.objects.count(), len(links())) == (sessions, 1)


@pytest.mark.django_db
def test_the_provider_s_own_id_decides_not_the_address(keys: KeyServer) -> None:
    first = by_google(sub="g5", email="old@gmail.com").data["user"]
    other = local("new@gmail.com", verified=True)
    later = by_google(sub="g5", email="new@gmail.com").data["user"]
    assert (later["id"], later["email"]) == (first["id"], "old@gmail.com")
    assert later["id"] != str(other.user.pk)


@pytest.mark.django_db
def test_one_subject_at_two_providers_is_two_people(keys: KeyServer) -> None:
    assert by_google(sub="same", email="a@gmail.com").data["is_new_user"] is True
    assert by_apple(sub="same", email="b@icloud.com").data["is_new_user"] is True


@pytest.mark.django_db
def test_a_new_account_is_verified_only_where_the_provider_speaks_for_the_address(keys: KeyServer) -> None:
    assert by_google(sub="g6", email="a@gmail.com").status_code == 200
    assert not Mail.objects.exists()
    assert by_google(sub="g7", email="b@acme.example").status_code == 200
    assert dict(User.objects.values_list("email", "is_verified")) == {"a@gmail.com": True, "b@acme.example": False}
    assert [(mail.to, mail.kind) for mail in Mail.objects.all()] == [("b@acme.example", "verify_email")]
    assert not SecurityEvent.objects.exists()


@pytest.mark.django_db
def test_turkish_letters_in_an_address_make_no_second_account(keys: KeyServer) -> None:
    first = by_google(sub="g8", email="IŞIK@gmail.com".replace("Ş", "S"))
    assert first.data["user"]["email"] == "isik@gmail.com"
    assert by_apple(email="Isik@Gmail.com").data["user"]["id"] == first.data["user"]["id"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("provider", ["google", "apple without an address"])
def test_six_first_sign_ins_at_once_make_one_account(keys: KeyServer, provider: str) -> None:
    def sign_in(number: int) -> Any:
        if provider == "google":
            return by_google(sub="race", jti=str(number))
        return by_apple(sub="race", jti=str(number), email=None)

    answers = together(sign_in, range(6))
    assert [answer.status_code for answer in answers] == [200] * 6
    assert (User.objects.count(), SocialAccount.objects.count(), Session.objects.count()) == (1, 1, 6)
    assert sorted(answer.data["is_new_user"] for answer in answers) == [False] * 5 + [True]


@pytest.mark.django_db(transaction=True)
def test_a_registration_and_two_providers_at_once_make_one_account(keys: KeyServer) -> None:
    body = {"email": "race@gmail.com", "password": make.PASSWORD, "full_name": "Ayşe Yılmaz"}
    work = [
        lambda: Api().post("/auth/register", body),
        lambda: by_google(sub="g", email="race@gmail.com"),
        lambda: by_apple(sub="a", email="race@gmail.com"),
    ]
    answers = together(lambda number: work[number](), range(3))
    assert {answer.status_code for answer in answers} <= {200, 201, 409}
    assert [answers[1].status_code, answers[2].status_code] == [200, 200]
    user = User.objects.get()
    assert not user.has_usable_password()
    # Of two providers that find an unproven registration, the second finds it proven.
    assert {provider for provider, _, _ in links()} == {"google", "apple"}


# -------------------------------------------------------------------------------- link and unlink


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/auth/link/google", "/auth/link/apple"])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_links_are_for_who_is_signed_in(keys: KeyServer, path: str, method: str) -> None:
    response = Api().send(method, path, {"id_token": google(), "identity_token": apple()})
    assert response.status_code == 401
    assert links() == set()


def test_linking_is_idempotent(keys: KeyServer, alice: Phone) -> None:
    for _ in range(2):
        response = alice.post("/auth/link/google", {"id_token": google(sub="g1")})
        assert (response.status_code, response.json()["message"]) == (200, "Google hesabınız bağlandı.")
    response = alice.post("/auth/link/apple", {"identity_token": apple(sub="a1")}, HTTP_ACCEPT_LANGUAGE="en")
    assert response.json()["message"] == "Your Apple account is linked."
    assert links() == {("google", "g1", alice.user.pk), ("apple", "a1", alice.user.pk)}
    assert SecurityEvent.objects.filter(kind="provider_linked").count() == 2
    assert by_google(sub="g1").data["user"]["id"] == str(alice.user.pk)


def test_a_link_needs_no_address(keys: KeyServer, alice: Phone) -> None:
    token = google(sub="g1", email=None, email_verified=None)
    assert alice.post("/auth/link/google", {"id_token": token}).status_code == 200


def test_an_account_of_somebody_else_cannot_be_linked(keys: KeyServer, alice: Phone, bob: Phone) -> None:
    alice.post("/auth/link/google", {"id_token": google(sub="g1")})
    response = bob.post("/auth/link/google", {"id_token": google(sub="g1")})
    assert (response.status_code, response.error["code"]) == (409, "DUPLICATE_ENTRY")
    assert response.error["details"] == {"reason": "duplicate"}
    assert links() == {("google", "g1", alice.user.pk)}


def test_a_hostile_token_links_nothing(keys: KeyServer, alice: Phone) -> None:
    for path, body in (
        ("/auth/link/google", {"id_token": google(aud="other")}),
        ("/auth/link/google", {"id_token": google(), "nonce": "other"}),
        ("/auth/link/apple", {"identity_token": google()}),
        ("/auth/link/apple", {"identity_token": apple(), "user_id": "somebody else"}),
    ):
        response = alice.post(path, body)
        assert (response.status_code, response.error["code"]) == (400, "INVALID_TOKEN")
    assert alice.post("/auth/link/google", {}).status_code == 422
    assert links() == set()


def test_unlinking(keys: KeyServer, alice: Phone) -> None:
    alice.post("/auth/link/google", {"id_token": google(sub="g1")})
    alice.post("/auth/link/apple", {"identity_token": apple(sub="a1")})
    for _ in range(2):
        response = alice.delete("/auth/link/apple")
        assert response.status_code == 200
        assert response.json()["message"] == "Apple hesabınızın bağlantısı kaldırıldı."
    assert links() == {("google", "g1", alice.user.pk)}
    alice.user.refresh_from_db()
    assert (alice.user.oauth_provider, alice.user.oauth_provider_id) == ("google", "g1")
    alice.delete("/auth/link/google")
    alice.user.refresh_from_db()
    assert (alice.user.oauth_provider, alice.user.oauth_provider_id, links()) == ("", "", set())


@pytest.mark.django_db
def test_the_only_way_in_cannot_be_unlinked(keys: KeyServer) -> None:
    first = by_google(sub="g1").data
    me = Api(first["token"])
    response = me.delete("/auth/link/google")
    assert (response.status_code, response.error["details"]) == (409, {"reason": "link_required"})
    assert len(links()) == 1

    # Another provider is another way in.
    me.post("/auth/link/apple", {"identity_token": apple(sub="a1")})
    assert me.delete("/auth/link/google").status_code == 200
    assert me.delete("/auth/link/apple").status_code == 409


@pytest.mark.django_db
def test_one_cannot_unlink_for_another(keys: KeyServer, alice: Phone, bob: Phone) -> None:
    alice.post("/auth/link/google", {"id_token": google(sub="g1")})
    assert bob.delete("/auth/link/google").status_code == 200
    assert links() == {("google", "g1", alice.user.pk)}


@pytest.mark.django_db(transaction=True)
def test_two_people_who_link_one_account_at_once(keys: KeyServer) -> None:
    people = [Phone(make.person()) for _ in range(4)]
    answers = together(lambda me: me.post("/auth/link/google", {"id_token": google(sub="g1")}), people)
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert len(links()) == 1
