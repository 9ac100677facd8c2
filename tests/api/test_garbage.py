"""A request ends with its last reference: nothing of it waits for the garbage collector."""

import gc
import json
from collections.abc import Iterator

import pytest
from django.http import HttpRequest, HttpResponseBase
from django.test import RequestFactory
from rest_framework.request import Request

from tests.clients import HANDLER, Phone, Unit
from zinzino.api.views import ApiViewSet

OF_A_REQUEST = (HttpRequest, Request, HttpResponseBase, ApiViewSet)


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def asked(method: str, path: str, *, token: str, body: object = None) -> int:
    """The status of an answer that is closed. The test client would keep it in a circle of its own."""
    headers = {"Authorization": f"Bearer {token}"}
    sent = RequestFactory().generic(method, path, json.dumps(body or {}), "application/json", headers=headers)
    return HANDLER(sent.environ).status_code


def left() -> int:
    return sum(isinstance(each, OF_A_REQUEST) for each in gc.get_objects())


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/devices", None, 200),
        ("GET", "/v1/devices/{device}", None, 200),
        ("POST", "/v1/sync/delta", {"last_sync": "2026-01-01T00:00:00Z"}, 200),
        ("POST", "/v1/sync/full", {}, 200),
        ("GET", "/v1/states/{alien}", None, 404),
        ("PUT", "/v1/devices", {}, 405),
        ("POST", "/v1/devices", {}, 422),
    ],
)
def test_of_a_person_s_request_nothing_is_left(
    alice: Phone, kitchen: Unit, method: str, path: str, body: object, status: int
) -> None:
    address = path.format(device=kitchen.id, alien=alice.user.id)
    before = left()
    assert asked(method, address, token=alice.token, body=body) == status
    assert left() == before


def test_of_a_dispenser_s_request_nothing_is_left(kitchen: Unit) -> None:
    before = left()
    body = {"battery_level": 50}
    assert asked("PATCH", f"/v1/devices/{kitchen.id}/status", token=kitchen.token, body=body) == 200
    assert left() == before


def test_of_a_refused_stranger_nothing_is_left(db: None) -> None:
    before = left()
    assert asked("GET", "/v1/devices", token="nobody") == 401
    assert left() == before
