"""Tokens of Google and Apple, the real verification against key servers on loopback."""

import base64
import hashlib
import hmac
import io
import json
import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
import requests
import time_machine
from allauth.socialaccount.models import SocialAccount
from django.contrib import admin

from accounts import provider_keys, social
from accounts.models import RefreshToken, Session, User
from accounts.provider_keys import KeptKeys, lifetime
from accounts.social_views import EXAMPLE
from tests import make
from tests.accounts.providers import (
    APPLE_CLIENT,
    WEB_CLIENT,
    KeyServer,
    apple,
    certificate,
    google,
    jwk,
    key,
    public_pem,
    signed,
)
from tests.clients import Api
from tests.threads import together
from zinzino import clock

GMAIL = {
    "iss": "https://accounts.google.com",
    "aud": WEB_CLIENT,
    "sub": "1",
    "email": "eve@gmail.com",
    "email_verified": True,
}


def by_google(token: Any, **body: Any) -> Any:
    return Api().post("/auth/google", {"id_token": token, **body})


def by_apple(token: Any, **body: Any) -> Any:
    return Api().post("/auth/apple", {"identity_token": token, **body})


def refused(response: Any) -> bool:
    """A token that does not verify: nothing happened, and nobody learns why."""
    nothing = not User.objects.exists() and not Session.objects.exists()
    return nothing and (response.status_code, response.error["code"], response.error["details"]) == (
        400,
        "INVALID_TOKEN",
        {},
    )


def encoded(part: Any) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def in_s(seconds: float) -> int:
    return int(time.time() + seconds)


# ------------------------------------------------------------------------------------ good tokens


@pytest.mark.django_db
def test_google_answers_the_documented_shape(keys: KeyServer) -> None:
    response = by_google(google(), access_token="ya29.something")

    assert response.status_code == 200
    assert set(response.data) == set(EXAMPLE)
    user = response.data["user"]
    assert set(user) == {"id", "email", "full_name", "profile_picture", "created_at"}
    assert (user["email"], user["full_name"]) == ("ayse@gmail.com", "Ayşe Yılmaz")
    assert user["profile_picture"] == "https://lh3.googleusercontent.com/a/ayse=s96-c"
    assert response.data["is_new_user"] is True
    profile = Api(response.data["token"]).get("/profile").data
    assert (profile["id"], profile["is_verified"]) == (user["id"], True)
    assert Api().post("/auth/refresh", {"refresh_token": response.data["refresh_token"]}).status_code == 200


@pytest.mark.django_db
def test_apple_answers_the_documented_shape(keys: KeyServer) -> None:
    body = {"user_id": "001234.0a1b2c3d4e5f.0789", "email": "evil@example.com", "full_name": "Ahmet Yılmaz"}
    response = by_apple(apple(), **body, authorization_code="c0de")

    assert response.status_code == 200
    assert set(response.data) == set(EXAMPLE)
    user = response.data["user"]
    assert set(user) == {"id", "email", "full_name", "created_at"}
    # The address comes from the token, never from the body.
    assert (user["email"], user["full_name"]) == ("x7f@privaterelay.appleid.com", "Ahmet Yılmaz")
    assert response.data["is_new_user"] is True


@pytest.mark.django_db
def test_the_second_sign_in_finds_the_account(keys: KeyServer) -> None:
    first = by_apple(apple(), full_name="Ahmet Yılmaz")
    # Apple tells the name only once; a later one comes from anybody.
    later = by_apple(apple(iat=in_s(-1), email="moved@icloud.com"), full_name="Somebody Else")

    assert later.data["is_new_user"] is False
    assert later.data["user"] == first.data["user"]
    assert Session.objects.count() == 2
    user = User.objects.get()
    assert (user.oauth_provider, user.oauth_provider_id) == ("apple", "001234.0a1b2c3d4e5f.0789")
    assert not user.has_usable_password()


@pytest.mark.django_db
def test_apple_may_keep_the_address_to_itself(keys: KeyServer) -> None:
    for subject in ("001.a.1", "001.b.1"):
        response = by_apple(apple(sub=subject, email=None, email_verified=None), full_name=None)
        assert (response.status_code, response.data["user"]["email"]) == (200, None)
        assert response.data["user"]["full_name"] == ""
    assert User.objects.filter(email=None).count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("sign_in", "token"),
    [
        (by_google, lambda: google(iss="accounts.google.com")),
        (by_google, lambda: google(aud=WEB_CLIENT)),
        (by_google, lambda: google(iat=in_s(8))),
        (by_google, lambda: google(exp=in_s(-8), iat=in_s(-3600))),
        (by_google, lambda: google(jti="x", nbf=in_s(5))),
        (by_google, lambda: google(email_verified="true")),
        (by_google, lambda: google(name="x" * 300, picture="javascript:alert(1)")),
        (by_google, lambda: google(name=7, picture=["x"], hd=1, locale=None)),
        (by_apple, lambda: apple(iss="https://account.apple.com")),
        (by_apple, lambda: apple(email_verified=True)),
    ],
)
def test_what_providers_really_send_is_accepted(
    keys: KeyServer, sign_in: Callable[[str], Any], token: Callable[[], str]
) -> None:
    assert sign_in(token()).status_code == 200


@pytest.mark.django_db
def test_a_name_is_one_line_of_a_hundred_characters(keys: KeyServer) -> None:
    by_google(google(name="\x00 Ay\u0007şe\n\ud800" + "x" * 200))
    assert User.objects.get().full_name == "Ayşe" + "x" * 96


# --------------------------------------------------------------------------------- hostile tokens


def unsigned(alg: Any) -> str:
    return f"{encoded({'alg': alg, 'kid': 'k1'})}.{encoded(GMAIL | {'iat': in_s(0), 'exp': in_s(60)})}."


def hmac_with_the_public_key(secret: bytes) -> str:
    """The oldest trick: the public key as the secret of HS256."""
    head = f"{encoded({'alg': 'HS256', 'kid': 'k1'})}.{encoded(GMAIL | {'iat': in_s(0), 'exp': in_s(60)})}"
    return f"{head}.{encoded(hmac.digest(secret, head.encode(), 'sha256'))}"


def with_header(**header: Any) -> str:
    """Really signed, with a header of one's own."""
    whole = {"alg": "RS256", "kid": "k1", **header}
    head = (
        f"{encoded({k: v for k, v in whole.items() if v is not None})}.{encoded(json.loads(claims_of(google())))}"
    )
    signature = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).sign(head.encode(), key())
    return f"{head}.{encoded(signature)}"


def claims_of(token: str) -> bytes:
    part = token.split(".")[1]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def with_other_claims() -> str:
    head, _, signature = google().split(".")
    return f"{head}.{encoded(GMAIL | {'iat': in_s(0), 'exp': in_s(60)})}.{signature}"


DEEPER = b'"a":{'
HOSTILE: dict[str, Callable[[], Any]] = {
    "alg none": lambda: unsigned("none"),
    "alg None": lambda: unsigned("None"),
    "alg none with a signature": lambda: unsigned("none") + "c2ln",
    "alg missing": lambda: with_header(alg=None),
    "alg a list": lambda: with_header(alg=["RS256"]),
    "HS256 with the public key": lambda: hmac_with_the_public_key(public_pem()),
    "HS256 with the certificate": lambda: hmac_with_the_public_key(certificate("k1").encode()),
    "RS512": lambda: jwt.encode(GMAIL | {"iat": in_s(0), "exp": in_s(60)}, key(), "RS512", {"kid": "k1"}),
    "another key under the right id": lambda: google(by="evil", kid="k1"),
    "unknown key id": lambda: google(by="evil"),
    "no key id": lambda: with_header(kid=None),
    "key id a list": lambda: with_header(kid=["k1"]),
    "key id a number": lambda: with_header(kid=1),
    "key id of a path": lambda: with_header(kid="../../k1"),
    "detached payload": lambda: with_header(b64=False, crit=["b64"]),
    "unknown critical header": lambda: with_header(crit=["exp-2"]),
    "claims changed": with_other_claims,
    "signature cut": lambda: google()[:-8],
    "signature gone": lambda: google().rpartition(".")[0] + ".",
    "wrong audience": lambda: google(aud="other.google.example"),
    "audience of Apple": lambda: google(aud=APPLE_CLIENT),
    "audience a list with ours": lambda: google(aud=[WEB_CLIENT, "other"]),
    "audience missing": lambda: google(aud=None),
    "audience an object": lambda: google(aud={WEB_CLIENT: 1}),
    "wrong issuer": lambda: google(iss="https://accounts.google.com.evil.example"),
    "issuer http": lambda: google(iss="http://accounts.google.com"),
    "issuer of Apple": lambda: google(iss="https://appleid.apple.com"),
    "issuer missing": lambda: google(iss=None),
    "issuer a list": lambda: google(iss=["https://accounts.google.com"]),
    "expired": lambda: google(exp=in_s(-15), iat=in_s(-3600)),
    "no expiry": lambda: google(exp=None),
    "expiry a text": lambda: google(exp="tomorrow"),
    "expiry infinite": lambda: google(exp=float("inf")),
    "from the future": lambda: google(iat=in_s(20)),
    "no time of issue": lambda: google(iat=None),
    "issued in year zero": lambda: google(iat=-(10**15)),
    "issued before time": lambda: google(iat=-(10**30)),
    "not yet valid": lambda: google(nbf=in_s(60)),
    "no subject": lambda: google(sub=None),
    "subject empty": lambda: google(sub=""),
    "subject a number": lambda: google(sub=5),
    "subject an object": lambda: google(sub={"$ne": None}),
    "subject with NUL": lambda: google(sub="1\x00"),
    "subject too long": lambda: google(sub="1" * 192),
    "e-mail a number": lambda: google(email=5),
    "huge": lambda: google(padding="x" * 8192),
    "huger": lambda: "x" * 200_000,
    "garbage": lambda: "garbage",
    "three parts of garbage": lambda: "a.b.c",
    "dots": lambda: "..",
    "four parts": lambda: google() + ".x",
    "five parts": lambda: "a.b.c.d.e",
    "not ASCII": lambda: "ş.ş.ş",
    "line break": lambda: google() + "\n.",
    "nested token": lambda: f"{encoded({'alg': 'RS256', 'kid': 'k1', 'cty': 'JWT'})}.{encoded(google())}.x",
    "deep header": lambda: f"{encoded(b'[' * 4000)}.{encoded({})}.x",
    "deep claims": lambda: f"{encoded({'alg': 'RS256', 'kid': 'k1'})}.{encoded(b'[' * 2900 + b']' * 2900)}.x",
    "deep object": lambda: f"{encoded({})}.{encoded(b'{%s}' % (DEEPER * 900 + b'}' * 900))}.x",
    "claims a list": lambda: f"{encoded({'alg': 'RS256', 'kid': 'k1'})}.{encoded([])}.x",
    "claims no UTF-8": lambda: f"{encoded({'alg': 'RS256', 'kid': 'k1'})}.{encoded(bytes([200, 200]))}.x",
    "an access token of ours": lambda: jwt.encode({"user_id": "x"}, "s" * 32, "HS256"),
    "a number": lambda: 5,
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tokens_are_refused(keys: KeyServer, name: str) -> None:
    assert refused(by_google(HOSTILE[name]())), name


@pytest.mark.django_db
@pytest.mark.parametrize(
    "token",
    [
        lambda: google(),
        lambda: apple(aud="com.other.app"),
        lambda: apple(iss="https://accounts.google.com"),
        lambda: apple(exp=in_s(-15), iat=in_s(-60)),
        lambda: apple(exp=None),
        lambda: apple(sub=None),
        lambda: apple(by="evil", kid="k1"),
        lambda: apple(by="evil"),
        lambda: apple(name="no object"),
        lambda: hmac_with_the_public_key(json.dumps(jwk("k1")).encode()),
    ],
)
def test_hostile_tokens_are_refused_for_apple_too(keys: KeyServer, token: Callable[[], str]) -> None:
    assert refused(by_apple(token()))


@pytest.mark.django_db
def test_a_stranger_s_token_costs_no_request_to_the_provider(keys: KeyServer) -> None:
    for token in (google(aud="other"), unsigned("none"), "a.b.c", google(padding="x" * 8192)):
        assert refused(by_google(token))
    assert keys.hits == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    "body", [{}, {"id_token": None}, {"id_token": ""}, {"id_token": ["x"]}, {"id_token": True}]
)
def test_a_missing_token_is_named_with_400(keys: KeyServer, body: dict[str, Any]) -> None:
    response = Api().post("/auth/google", body)
    assert (response.status_code, response.error["code"]) == (400, "VALIDATION_ERROR")
    assert set(response.error["details"]) == {"id_token"}


@pytest.mark.django_db
def test_wrong_fields_beside_the_token_are_named_with_400(keys: KeyServer) -> None:
    wrong = {"full_name": "x" * 101, "user_id": ["x"], "nonce": {}, "email": [], "authorization_code": False}
    response = by_apple(apple(), **wrong)
    assert (response.status_code, set(response.error["details"])) == (400, set(wrong))


@pytest.mark.django_db
def test_the_body_cannot_name_another_person(keys: KeyServer) -> None:
    assert refused(by_apple(apple(), user_id="001234.somebody.else"))
    assert by_apple(apple(), user_id="").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("sign_in", [(by_google, google), (by_apple, apple)], ids=["google", "apple"])
def test_a_nonce_that_is_sent_must_be_the_token_s(keys: KeyServer, sign_in: Any) -> None:
    send, make_token = sign_in
    raw = "n0nce"
    assert refused(send(make_token(), nonce=raw))
    assert refused(send(make_token(nonce="other"), nonce=raw))
    assert refused(send(make_token(nonce=[raw]), nonce=raw))
    assert send(make_token(nonce=raw), nonce=raw).status_code == 200
    hashed = hashlib.sha256(raw.encode()).hexdigest()
    assert send(make_token(nonce=hashed), nonce=raw).status_code == 200
    assert send(make_token(nonce="of an app that does not send it")).status_code == 200


@pytest.mark.django_db
def test_an_access_token_must_be_the_one_that_came_along(keys: KeyServer) -> None:
    access = "ya29.token"
    at_hash = encoded(hashlib.sha256(access.encode()).digest()[:16])
    assert refused(by_google(google(at_hash=at_hash), access_token="ya29.of.another.app"))
    assert refused(by_google(google(at_hash=5), access_token=access))
    assert by_google(google(at_hash=at_hash), access_token=access).status_code == 200
    assert by_google(google(at_hash=at_hash, iat=in_s(-1)), access_token=None).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("sign_in", "token"),
    [
        (by_google, lambda: google(email_verified=False)),
        (by_google, lambda: google(email_verified="false")),
        (by_google, lambda: google(email_verified=None)),
        (by_google, lambda: google(email_verified=1)),
        (by_google, lambda: google(email=None)),
        (by_google, lambda: google(email="no address")),
        (by_google, lambda: google(email="a\x00@gmail.com")),
        (by_google, lambda: google(email=f"{'a' * 250}@gmail.com")),
        (by_google, lambda: google(email=["ayse@gmail.com"])),
        (by_apple, lambda: apple(email_verified="false")),
        (by_apple, lambda: apple(email_verified=None)),
        (by_apple, lambda: apple(email="no address")),
    ],
)
def test_a_good_token_without_a_verified_address_is_401(
    keys: KeyServer, sign_in: Callable[[str], Any], token: Callable[[], str]
) -> None:
    response = sign_in(token())
    assert (response.status_code, response.error["code"]) == (401, "UNAUTHORIZED")
    assert response.error["details"] == {"reason": "credentials"}
    assert not User.objects.exists()


# --------------------------------------------------------------------------------- retries, replay


@pytest.mark.django_db
@pytest.mark.parametrize("sign_in", [(by_google, google), (by_apple, apple)], ids=["google", "apple"])
def test_a_lost_answer_is_given_again(keys: KeyServer, sign_in: Any) -> None:
    send, make_token = sign_in
    now = clock.now()
    with time_machine.travel(now, tick=False):
        token = make_token(jti="a1")
        first = send(token)
    with time_machine.travel(now + timedelta(minutes=4, seconds=59), tick=False):
        again = send(token)
    assert (again.status_code, again.data) == (200, first.data)
    assert (User.objects.count(), Session.objects.count(), RefreshToken.objects.count()) == (1, 1, 1)


@pytest.mark.django_db
def test_after_five_minutes_the_same_token_opens_another_session(keys: KeyServer) -> None:
    now = clock.now()
    token = google()
    first = by_google(token)
    with time_machine.travel(now + timedelta(minutes=5, seconds=1), tick=False):
        later, again = by_google(token), by_google(token)
    assert (later.data["is_new_user"], later.data["user"]) == (False, first.data["user"])
    assert later.data["refresh_token"] != first.data["refresh_token"]
    assert again.data == later.data


@pytest.mark.django_db
def test_a_session_that_ended_is_not_given_again(keys: KeyServer) -> None:
    token = google()
    first = by_google(token).data
    Api(first["token"]).post("/auth/logout")
    second = by_google(token).data
    assert Api(second["token"]).get("/profile").status_code == 200
    Api().post("/auth/refresh", {"refresh_token": second["refresh_token"]})
    assert by_google(token).data["refresh_token"] not in (first["refresh_token"], second["refresh_token"])


@pytest.mark.django_db
def test_a_token_signs_in_one_installation(keys: KeyServer) -> None:
    token = google()
    phone = {
        "HTTP_USER_AGENT": "Zinzino/1.0 iOS",
        "HTTP_X_DEVICE_NAME": "Ay%C5%9Fe's iPhone",
    }
    assert Api().post("/auth/google", {"id_token": token}, **phone).status_code == 200
    thief = Api().post("/auth/google", {"id_token": token}, HTTP_USER_AGENT="curl/8")
    assert (thief.status_code, thief.error["code"]) == (400, "INVALID_TOKEN")
    assert Session.objects.count() == 1


@pytest.mark.django_db
def test_a_refused_sign_in_does_not_spend_the_token(keys: KeyServer) -> None:
    token = google(email="ayse@example.com")
    make.person("ayse@example.com")
    assert by_google(token).status_code == 409
    User.objects.all().delete()
    assert by_google(token).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_twins_of_one_token_share_one_session(keys: KeyServer) -> None:
    token = google()
    with time_machine.travel(clock.now(), tick=False):
        answers = together(lambda _: by_google(token), range(6))
    assert [answer.status_code for answer in answers] == [200] * 6
    assert len({answer.data["refresh_token"] for answer in answers}) == 1
    assert Session.objects.count() == 1


# ------------------------------------------------------------------------------------ signing keys


@pytest.mark.django_db
def test_keys_are_fetched_once_and_kept(keys: KeyServer) -> None:
    for number in range(5):
        assert by_google(google(sub=str(number), email=f"a{number}@gmail.com")).status_code == 200
        assert by_apple(apple(sub=f"00.{number}", email=None)).status_code == 200
    assert sorted(keys.hits) == ["/apple", "/google"]


@pytest.mark.django_db
def test_google_s_keys_may_come_as_a_jwks(keys: KeyServer, settings: Any) -> None:
    settings.GOOGLE_KEYS_URL = keys.url("apple")
    assert by_google(google()).status_code == 200


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("public, max-age=19000", 19_000),
        ("max-age=999999", 6 * 3600),
        ("max-age=0", 60),
        ("no-store", 3600),
        ("", 3600),
        ("max-age=x", 3600),
        ("max-age=" + "9" * 50, 3600),
    ],
)
def test_how_long_keys_are_fresh(header: str, seconds: int) -> None:
    assert lifetime({"Cache-Control": header}) == timedelta(seconds=seconds)


@pytest.mark.django_db
def test_keys_are_asked_for_again_when_they_are_old(keys: KeyServer) -> None:
    now = clock.now()
    by_google(google())
    with time_machine.travel(now + timedelta(seconds=19_001), tick=False):
        assert by_google(google()).status_code == 200
    assert keys.hits == ["/google", "/google"]


@pytest.mark.django_db
def test_a_new_key_is_found_at_once(keys: KeyServer) -> None:
    assert by_google(google()).status_code == 200
    keys.key_ids = ["k2"]
    assert by_google(google(by="k2")).status_code == 200
    # The old one is no longer good.
    assert by_google(google(iat=in_s(-1))).status_code == 400
    assert keys.hits == ["/google"] * 3


@pytest.mark.django_db
def test_an_unknown_key_is_asked_for_once_a_minute(keys: KeyServer) -> None:
    now = clock.now()
    with time_machine.travel(now, tick=False):
        for _ in range(4):
            assert refused(by_google(google(by="evil", kid="k9")))
        assert keys.hits == ["/google", "/google"]
    with time_machine.travel(now + timedelta(seconds=61), tick=False):
        assert refused(by_google(google(by="evil", kid="k9")))
    assert len(keys.hits) == 3


@pytest.mark.django_db
def test_strangers_with_many_key_ids_cannot_make_us_ask_without_end(keys: KeyServer) -> None:
    for number in range(40):
        assert refused(by_google(google(by="evil", kid=f"invented-{number}")))
    assert len(keys.hits) == 1 + provider_keys.MOST_ASKED


def broken(server: KeyServer, how: str) -> None:
    faults: dict[str, dict[str, Any]] = {
        "500": {"status": 500},
        "a redirect": {"status": 302, "location": server.url("apple")},
        "HTML": {"body": b"<html>"},
        "no keys": {"body": b"{}"},
        "an empty JWKS": {"body": b'{"keys": []}'},
        "keys without ids": {"body": b'{"keys": [{"kty": "RSA"}]}'},
        "a list": {"body": b'["k1"]'},
        "deep": {"body": b"[" * 100_000},
        "too much": {"body": b'{"k1": "' + b"x" * provider_keys.MAX_BYTES + b'"}'},
        "silence": {"delay_s": 1.0},
    }
    for name, value in faults[how].items():
        setattr(server, name, value)


FAULTS = [
    "500", "a redirect", "HTML", "no keys", "an empty JWKS", "keys without ids", "a list", "deep", "too much",
    "silence",
]  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("fault", FAULTS)
def test_without_keys_a_provider_that_is_down_is_503(
    keys: KeyServer, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_keys, "READ_S", 0.2)
    broken(keys, fault)
    started = time.monotonic()
    for send, token in ((by_google, google()), (by_apple, apple())):
        response = send(token)
        assert (response.status_code, response.error["code"]) == (503, "SERVICE_UNAVAILABLE")
        assert int(response["Retry-After"]) > 0
    assert time.monotonic() - started < 2
    # A redirect is not followed.
    assert keys.hits == ["/google", "/apple"]
    assert not User.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("fault", FAULTS)
def test_with_kept_keys_a_provider_may_be_down_for_a_day(
    keys: KeyServer, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_keys, "READ_S", 0.2)
    now = clock.now()
    by_google(google())
    broken(keys, fault)
    with time_machine.travel(now + timedelta(hours=23, minutes=59)):
        assert by_google(google()).status_code == 200
        assert by_google(google(by="k2")).status_code == 503
    with time_machine.travel(now + timedelta(hours=24, minutes=1)):
        assert by_google(google()).status_code == 503


@pytest.mark.django_db
def test_an_outage_is_not_felt_by_every_request(keys: KeyServer) -> None:
    now = clock.now()
    keys.status = 500
    with time_machine.travel(now, tick=False):
        assert [by_google(google()).status_code for _ in range(5)] == [503] * 5
        assert len(keys.hits) == 1
    keys.status = 200
    with time_machine.travel(now + provider_keys.BREAK, tick=False):
        assert by_google(google()).status_code == 200


@pytest.mark.django_db
def test_nobody_listens(settings: Any) -> None:
    settings.APPLE_KEYS_URL = "http://127.0.0.1:9/apple-down"
    assert by_apple(apple()).status_code == 503


@pytest.mark.django_db(transaction=True)
def test_many_first_sign_ins_ask_the_provider_once(keys: KeyServer) -> None:
    keys.delay_s = 0.1
    tokens = [google(sub=str(number), email=f"a{number}@gmail.com") for number in range(8)]
    assert [each.status_code for each in together(by_google, tokens)] == [200] * 8
    assert keys.hits == ["/google"]


def test_allauth_reaches_no_network(keys: KeyServer) -> None:
    with KeptKeys() as session, pytest.raises(requests.RequestException):
        session.get(keys.url("google"))
    assert keys.hits == []


# ------------------------------------------------------------------------------------ and the rest


@pytest.mark.django_db
def test_without_client_ids_the_sign_in_is_not_available(keys: KeyServer, settings: Any) -> None:
    settings.GOOGLE_CLIENT_IDS = settings.APPLE_CLIENT_IDS = []
    for response, name in ((by_google(google()), "Google"), (by_apple(apple()), "Apple")):
        assert (response.status_code, response.error["code"]) == (503, "SERVICE_UNAVAILABLE")
        assert name in response.error["message"]
    assert by_google("garbage").status_code == 400


@pytest.mark.django_db
def test_a_refusal_is_in_the_language_of_the_request(keys: KeyServer) -> None:
    api = Api()
    assert api.post("/auth/google", {"id_token": "x"}).error["message"] == "Geçersiz Google anahtarı."
    english = api.post("/auth/google", {"id_token": "x"}, HTTP_ACCEPT_LANGUAGE="en")
    assert english.error["message"] == "Invalid Google token."


@pytest.mark.django_db
def test_the_new_account_speaks_the_language_of_the_request(keys: KeyServer) -> None:
    Api().post("/auth/google", {"id_token": google()}, HTTP_ACCEPT_LANGUAGE="en-GB")
    assert User.objects.get().language == "en"


@pytest.mark.django_db
def test_a_fresh_token_stands_in_for_a_password(keys: KeyServer) -> None:
    by_google(google())
    user = User.objects.get()
    now = clock.now()
    assert social.confirms(user.pk, "google", google(), now=now)
    assert social.confirms(user.pk, "google", google(iat=in_s(-290)), now=now)
    assert not social.confirms(user.pk, "google", google(iat=in_s(-301)), now=now)
    assert not social.confirms(user.pk, "google", google(sub="somebody else"), now=now)
    assert not social.confirms(make.person().user.pk, "google", google(), now=now)
    assert not social.confirms(user.pk, "google", "garbage", now=now)
    assert not social.confirms(user.pk, "apple", google(), now=now)
    assert not social.confirms(user.pk, "github", google(), now=now)
    keys.status = 500
    with pytest.raises(provider_keys.KeysUnreachable):
        social.confirms(user.pk, "apple", apple(), now=now)


@pytest.mark.django_db
def test_no_token_and_no_address_is_logged(keys: KeyServer) -> None:
    out = io.StringIO()
    handler, root = logging.StreamHandler(out), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    tokens = [google(), google(aud="other"), google(by="evil", kid="k1"), google(email_verified=False), apple()]
    try:
        for token in tokens:
            by_google(token, nonce="", access_token="ya29.secret")
        keys.status = 500
        by_apple(tokens[-1])
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    said = out.getvalue()
    assert "a provider's token was refused" in said
    assert "the keys of a provider were not fetched" in said
    for secret in (*(part for token in tokens for part in token.split(".")[1:]), "ayse@", "x7f@", "ya29"):
        assert secret not in said


@pytest.mark.django_db
def test_a_later_sign_in_takes_seven_statements(keys: KeyServer, statements: make.Statements) -> None:
    by_google(google())
    token = google(iat=in_s(-1))
    with statements(7):
        by_google(token)


def test_the_back_office_does_not_show_allauth_s_tables() -> None:
    shown = {model._meta.app_label for model in admin.site._registry}
    assert shown.isdisjoint({"account", "socialaccount"})


@pytest.mark.django_db
def test_only_what_is_needed_is_kept_of_a_token(keys: KeyServer) -> None:
    by_google(google(locale="tr", at_hash="x"))
    link = SocialAccount.objects.get()
    assert (link.provider, link.uid, link.extra_data) == (
        "google",
        "110169484474386276334",
        {"email": "ayse@gmail.com"},
    )


def test_the_helpers_sign_as_the_providers_do() -> None:
    assert jwt.get_unverified_header(signed({}))["kid"] == "k1"
