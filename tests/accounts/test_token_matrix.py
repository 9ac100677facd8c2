"""Every way in which an access token can be wrong (OWASP API2)."""

import time
import uuid
from collections.abc import Callable
from typing import Any, cast

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings

from accounts.models import RefreshToken, Session, User
from tests.clients import Api, Phone
from zinzino import clock
from zinzino.api import signing

Claims = dict[str, Any]


def claims_of(alice: Phone) -> Claims:
    claims: Claims = jwt.decode(alice.token, options={"verify_signature": False})
    return claims


def signed(claims: Claims, *, key: str = settings.JWT_SIGNING_KEY, alg: str = "HS256", **header: Any) -> str:
    return jwt.encode(claims, key, algorithm=alg, headers={"kid": signing.current_key_id(), **header})


def without(claims: Claims, name: str) -> Claims:
    return {key: value for key, value in claims.items() if key != name}


def rsa_signed(claims: Claims) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return signed(claims, key=pem.decode(), alg="RS256")


FORGED: dict[str, Callable[[Claims], str]] = {
    "no algorithm": lambda claims: jwt.encode(
        claims, cast("Any", None), algorithm="none", headers={"kid": signing.current_key_id()}
    ),
    "another algorithm": lambda claims: signed(claims, alg="HS512"),
    "RS256": rsa_signed,
    "another key": lambda claims: signed(claims, key="x" * 20 + "another-environments-key-000000"),
    "no kid": lambda claims: jwt.encode(claims, settings.JWT_SIGNING_KEY, algorithm="HS256"),
    "an unknown kid": lambda claims: signed(claims, kid="0123456789abcdef"),
    "a kid that is a path": lambda claims: signed(claims, kid="../../dev/null"),
    "another issuer": lambda claims: signed({**claims, "iss": "elsewhere"}),
    "no issuer": lambda claims: signed(without(claims, "iss")),
    "a refresh token": lambda claims: signed({**claims, "token_type": "refresh"}),
    "no type": lambda claims: signed(without(claims, "token_type")),
    "no user": lambda claims: signed(without(claims, "user_id")),
    "a user that is no id": lambda claims: signed({**claims, "user_id": "1 OR 1=1"}),
    "no session": lambda claims: signed(without(claims, "sid")),
    "a session that is a list": lambda claims: signed({**claims, "sid": ["x"]}),
    "no refresh id": lambda claims: signed(without(claims, "rid")),
    "made in the future": lambda claims: signed({**claims, "iat": int(time.time()) + 3600}),
    "no JSON": lambda claims: "e30.e30.e30",
    "an empty header": lambda claims: "..",
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_token_is_401_token_invalid(alice: Phone, forged: str) -> None:
    answer = Api(FORGED[forged](claims_of(alice))).get("/profile")
    assert (answer.status_code, answer.error["details"]) == (401, {"reason": "token_invalid"})
    assert answer["WWW-Authenticate"] == "Bearer"


def test_a_token_without_an_end_is_refused(alice: Phone) -> None:
    assert Api(signed(without(claims_of(alice), "exp"))).get("/profile").status_code == 401


def test_the_genuine_token_made_the_same_way_is_good(alice: Phone) -> None:
    assert Api(signed(claims_of(alice))).get("/profile").status_code == 200


def test_parts_of_two_people_do_not_make_a_token(alice: Phone, bob: Phone) -> None:
    mixed = {**claims_of(alice), "user_id": str(bob.user.pk)}
    assert Api(signed(mixed)).get("/profile").status_code == 401


@pytest.mark.parametrize("scheme", ["Basic ", "Token ", "Bearer: "])
def test_another_scheme_is_no_bearer(alice: Phone, scheme: str) -> None:
    answer = Api().get("/profile", HTTP_AUTHORIZATION=f"{scheme}{alice.token}")
    assert answer.status_code == 401


def test_state_decides_over_a_good_signature(alice: Phone, bob: Phone) -> None:
    User.objects.filter(pk=bob.user.pk).update(is_active=False)
    assert bob.get("/profile").error["details"] == {"reason": "account_inactive"}
    Session.objects.filter(user=alice.user).update(ended_at=clock.now())
    assert alice.get("/profile").error["details"] == {"reason": "session_revoked"}
    RefreshToken.objects.all().delete()
    assert alice.get("/profile").status_code == 401


def test_a_session_of_another_environment_is_unknown(alice: Phone) -> None:
    claims = {**claims_of(alice), "sid": str(uuid.uuid4())}
    assert Api(signed(claims)).get("/profile").status_code == 401
