"""Who may do what: every method of every route, with every kind of token (OWASP API2, API5, API8).

Routes and methods come from the URLconf, the tokens that a route takes from the OpenAPI document. Each cell of the
matrix is one exact answer.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import jwt
import pytest
from django.conf import settings
from django.db import transaction

from accounts import one_time, sessions
from accounts.models import EndReason, OneTimeToken
from devices import services as devices
from syncapi.live import tickets
from tests.accounts.test_token_matrix import claims_of, signed
from tests.clients import Api, Phone, Unit
from tests.routes import Route, routes
from tests.test_ownership import DISPENSER, PERSON, address, body, ids_of, operation
from zinzino import clock
from zinzino.api.bearer import new_device_token

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
Answer = tuple[int, str | None]
INVALID: Answer = (401, "token_invalid")
WRONG_KIND: Answer = (403, "wrong_credential_kind")


@dataclass(frozen=True)
class Role:
    """A token, and what it is answered where a person's is wanted and where a dispenser's is."""

    token: Callable[[Phone, Unit], str]
    person: Answer
    dispenser: Answer


def link(purpose: OneTimeToken.Purpose, alice: Phone, _unit: Unit) -> str:
    return one_time.issue(alice.user, purpose, email=alice.user.email or "", now=clock.now())


def ticket(alice: Phone, _unit: Unit) -> str:
    session = alice.user.sessions.get()
    now = clock.now()
    admission = tickets.Admission(alice.user.pk, session.pk, now, now + timedelta(hours=1))
    return str(tickets.issue(admission)["ticket"])


def altered(alice: Phone, _unit: Unit, **claims: Any) -> str:
    return signed({**claims_of(alice), **claims})


def of_a_deleted_account(alice: Phone, _unit: Unit) -> str:
    return signed({**claims_of(alice), "user_id": str(uuid4()), "sid": str(uuid4()), "rid": str(uuid4())})


def of_an_ended_session(alice: Phone, _unit: Unit) -> str:
    sessions.end(alice.user.sessions.all(), EndReason.REVOKED, now=clock.now())
    return alice.token


def of_an_inactive_account(alice: Phone, _unit: Unit) -> str:
    type(alice.user).objects.filter(pk=alice.user.pk).update(is_active=False)
    return alice.token


def of_a_removed_dispenser(alice: Phone, unit: Unit) -> str:
    devices.remove(unit.id, alice.user.pk, now=clock.now())
    return unit.token


def replaced(alice: Phone, unit: Unit) -> str:
    devices.new_token(unit.id, alice.user.pk, now=clock.now(), revoke_old=True)
    return unit.token


def of_another_environment(alice: Phone, _unit: Unit) -> str:
    return jwt.encode(claims_of(alice), settings.SECRET_KEY, algorithm="HS256", headers={"kid": "another"})


ROLES: dict[str, Role] = {
    "nobody": Role(lambda *_: "", INVALID, INVALID),
    "a dispenser": Role(lambda _, unit: unit.token, WRONG_KIND, (200, None)),
    "a person": Role(lambda alice, _: alice.token, (200, None), WRONG_KIND),
    "a refresh token": Role(lambda alice, _: alice.refresh_token, INVALID, INVALID),
    "a token of another environment": Role(of_another_environment, INVALID, INVALID),
    "a token that is over": Role(partial(altered, exp=1, iat=0), (401, "token_expired"), INVALID),
    "a token of a deleted account": Role(of_a_deleted_account, (401, "account_deleted"), WRONG_KIND),
    "a token of an ended session": Role(of_an_ended_session, (401, "session_revoked"), WRONG_KIND),
    "a token of an inactive account": Role(of_an_inactive_account, (403, "account_inactive"), WRONG_KIND),
    "a link to verify": Role(partial(link, OneTimeToken.Purpose.VERIFY_EMAIL), INVALID, INVALID),
    "a link to reset": Role(partial(link, OneTimeToken.Purpose.RESET_PASSWORD), INVALID, INVALID),
    "a ticket of the live channel": Role(ticket, INVALID, INVALID),
    "the password": Role(lambda *_: "SecurePassword123!", INVALID, INVALID),
    "a token of a removed dispenser": Role(of_a_removed_dispenser, WRONG_KIND, INVALID),
    "a token that was replaced": Role(replaced, WRONG_KIND, INVALID),
    "a token of no dispenser": Role(lambda *_: new_device_token(uuid4()), WRONG_KIND, INVALID),
}
# Those try the methods that a route does not have, too.
THOROUGH = ("nobody", "a dispenser", "a person")
# Of those who are let in.
LET_IN = (200, None)


def acts(*, thorough: bool) -> Iterator[tuple[Route, str]]:
    for route in routes():
        yield from ((route, method) for method in METHODS if thorough or method in route.methods)


def answered(api: Api, method: str, path: str, sent: Any) -> Any:
    """What it does is taken back: it could end the very account that asks."""
    with transaction.atomic():
        answer = api.send(method, path, sent)
        transaction.set_rollback(True)
    return answer


def seen(answer: Any) -> Answer:
    return answer.status_code, (answer.error or {}).get("details", {}).get("reason")


def served(route: Route) -> str:
    """A method that the route has, which says what it wants."""
    return next(method for method in route.methods if method != "HEAD")


def wanted(route: Route, method: str, role: Role) -> Answer | None:
    """The exact answer; None where the role is let in and all depends on what it asks for."""
    served_by = method if method in route.methods else served(route)
    security = operation(route, served_by)["security"]
    if PERSON in security:
        told = role.person
    elif DISPENSER in security:
        told = role.dispenser
    else:
        told = LET_IN
    return None if told == LET_IN else told


@pytest.mark.parametrize("name", ROLES)
def test_each_token_is_answered_exactly_so_by_every_method_of_every_route(
    alice: Phone, kitchen: Unit, name: str
) -> None:
    role, ids = ROLES[name], ids_of(alice, kitchen)
    api = Api(role.token(alice, kitchen))
    wrong, let_in = [], 0
    for route, method in acts(thorough=name in THOROUGH):
        is_served = method in route.methods
        expected = wanted(route, method, role)
        answer = answered(api, method, address(route, ids), body(route, method) if is_served else None)
        if expected is None and is_served:
            documented = {int(status) for status in operation(route, method)["responses"]}
            is_right = answer.status_code in documented and answer.status_code not in (500, 503)
            let_in += 1
        elif expected is None:
            is_right = answer.status_code == 405
        else:
            is_right = seen(answer) == expected
        if not is_right:
            wrong.append((method, str(route), seen(answer), expected))
    assert wrong == []
    assert let_in >= 15


def test_every_kind_of_route_is_among_them() -> None:
    kinds = {str(operation(route, served(route))["security"]) for route in routes()}
    assert kinds == {str([PERSON]), str([DISPENSER]), str([{}])}
