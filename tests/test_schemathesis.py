"""Every operation of the OpenAPI document under generated values, called by who may call it: no 5xx, no status and
no shape of an answer that the document does not know (api.md 0)."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.clients import Phone, Unit
from tests.test_ownership import DISPENSER, PERSON, described, ids_of

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
# Stopped before anything was looked at; other reasons of a 403 are answers.
TURNED_AWAY = {401, 404, 405}
AT_THE_DOOR = {"not_owner", "wrong_credential_kind", "account_inactive"}


@cache
def operations() -> list[Any]:
    schema: Any = schemathesis.openapi.from_dict(described())
    schema.app = get_wsgi_application()
    return [found.ok() for found in schema.get_all_operations()]


@contextmanager
def taken_back() -> Iterator[None]:
    """On the test's own connection; what is done is undone: it could end the very account that asks."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    try:
        with transaction.atomic():
            yield
            transaction.set_rollback(True)
    finally:
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)


def reason_of(answer: Any) -> str:
    if answer.status_code < 400:
        return ""
    return str(answer.json()["error"]["details"].get("reason", ""))


def is_reached(answer: Any) -> bool:
    return answer.status_code not in TURNED_AWAY and reason_of(answer) not in AT_THE_DOOR


def tried(operation: Any, mode: GenerationMode, token: str, ids: dict[str, str], *, times: int) -> Counter[str]:
    """What so many requests were answered, and how often that came from the operation itself.

    Raises FailureGroup with what the checks find.
    """
    seen: Counter[str] = Counter()

    @settings(
        max_examples=times,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def sent(case: Case[Any]) -> None:
        case.path_parameters = {**(case.path_parameters or {}), **ids}
        with taken_back():
            answer = case.call(headers={"Authorization": f"Bearer {token}"} if token else {})
        case.validate_response(answer, checks=CHECKS)
        seen[f"{answer.status_code} {reason_of(answer)}".strip()] += is_reached(answer)

    sent()
    return seen


def all_tried(security: list[Any], token: str, ids: dict[str, str], *, times: int) -> None:
    found: dict[str, str] = {}
    for operation in operations():
        if operation.definition.raw["security"] != security:
            continue
        own = {name: ids[name] for name in ids if f"{{{name}}}" in operation.path}
        seen: Counter[str] = Counter()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            try:
                seen.update(tried(operation, mode, token, own, times=times))
            except FailureGroup as fault:  # all of them are told at the end
                found[operation.label] = f"{type(fault).__name__}: {fault}"
        if not seen.total() and operation.label not in found:
            found[operation.label] = f"was never reached: {dict(seen)}"
    assert not found, "\n\n".join(f"{label}\n{fault}" for label, fault in found.items())


TIMES = [pytest.param(4, id="briefly"), pytest.param(200, id="long", marks=pytest.mark.soak)]


@pytest.mark.parametrize("times", TIMES)
def test_what_people_may_ask_for(alice: Phone, kitchen: Unit, times: int) -> None:
    all_tried([PERSON], alice.token, ids_of(alice, kitchen), times=times)


@pytest.mark.parametrize("times", TIMES)
def test_what_dispensers_may_ask_for(alice: Phone, kitchen: Unit, times: int) -> None:
    all_tried([DISPENSER], kitchen.token, ids_of(alice, kitchen), times=times)


@pytest.mark.parametrize("times", TIMES)
def test_what_anybody_may_ask_for(alice: Phone, kitchen: Unit, times: int) -> None:
    all_tried([{}], "", ids_of(alice, kitchen), times=times)
