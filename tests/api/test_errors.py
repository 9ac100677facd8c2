"""api.md 0: every failure has the same envelope."""

from typing import Any

import pytest
import redis
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import IntegrityError, InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from tests.api.conftest import Caller
from zinzino.api import errors
from zinzino.api.context import WELL_FORMED_ID
from zinzino.api.forms import kept
from zinzino.api.views import OpenViewSet, route
from zinzino.clock import iso, now


class Form(serializers.Serializer[Any]):
    name = serializers.CharField()
    slots = serializers.ListField(child=serializers.IntegerField())
    note = serializers.CharField(max_length=3, required=False)


class Echo(OpenViewSet):
    """Raises what the test has put here."""

    failure: Exception | None = None

    def fail(self, _request: Request) -> Response:
        assert self.failure
        raise self.failure

    def take(self, request: Request) -> Response:
        return Response(self.parsed(Form, request))


class Lenient(Echo):
    validation_status = 400


urlpatterns = [
    route("v1/fail", Echo, "fail", get="fail"),
    route("v1/take", Echo, "take", post="take"),
    route("v1/lenient", Lenient, "lenient", post="take"),
]
handler400, handler403 = errors.bad_request, errors.permission_denied
handler404, handler500 = errors.unknown_path, errors.server_error

pytestmark = pytest.mark.urls(__name__)


def checked(answer: Any) -> dict[str, Any]:
    """The error inside the envelope, whose frame is the same everywhere."""
    body = answer.json()
    assert (sorted(body), body["success"]) == (["error", "success"], False)
    error: dict[str, Any] = body["error"]
    assert sorted(error) == ["code", "details", "message", "request_id", "timestamp"]
    assert error["request_id"] == answer["X-Request-ID"]
    assert error["timestamp"] <= iso(now())
    assert answer["Content-Type"] == "application/json"
    return error


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (exceptions.NotAuthenticated(), 401, "UNAUTHORIZED"),
        (exceptions.AuthenticationFailed(), 401, "UNAUTHORIZED"),
        (exceptions.PermissionDenied(), 403, "FORBIDDEN"),
        (PermissionDenied(), 403, "FORBIDDEN"),
        (Http404(), 404, "NOT_FOUND"),
        (exceptions.ParseError(), 400, "VALIDATION_ERROR"),
        (exceptions.UnsupportedMediaType("text/plain"), 415, "UNSUPPORTED_MEDIA_TYPE"),
        (RequestDataTooBig(), 413, "PAYLOAD_TOO_LARGE"),
        (OperationalError("host=10.0.0.7 user=zinzino"), 503, "SERVICE_UNAVAILABLE"),
        (InterfaceError("connection already closed"), 503, "SERVICE_UNAVAILABLE"),
        (redis.ConnectionError("10.0.0.8"), 503, "SERVICE_UNAVAILABLE"),
        (IntegrityError("Key (email)=(ayse@example.com)"), 500, "INTERNAL_ERROR"),
        (RuntimeError("secret"), 500, "INTERNAL_ERROR"),
        (errors.DuplicateEntry(owner="yours"), 409, "DUPLICATE_ENTRY"),
    ],
)
def test_whatever_is_raised_leaves_in_the_envelope(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, failure: Exception, status: int, code: str
) -> None:
    monkeypatch.setattr(Echo, "failure", failure)
    answer = caller.get("/v1/fail")
    assert (answer.status_code, checked(answer)["code"]) == (status, code)
    assert "X-RateLimit-Remaining" in answer
    for internal in ("10.0.0", "secret", "ayse@", "already closed"):
        assert internal not in answer.content.decode()


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "NOT_FOUND"),
        ("GET", "/v1/take/", 404, "NOT_FOUND"),
        ("GET", "/nothing", 404, "NOT_FOUND"),
        ("DELETE", "/v1/take", 405, "METHOD_NOT_ALLOWED"),
        ("BREW", "/v1/take", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/v1/take?a=%00", 400, "VALIDATION_ERROR"),
        ("GET", "/v1/take%00", 400, "VALIDATION_ERROR"),
    ],
)
def test_what_reaches_no_view_looks_the_same(
    caller: Caller, method: str, path: str, status: int, code: str
) -> None:
    answer = caller(method, path)
    assert (answer.status_code, checked(answer)["code"]) == (status, code)


@pytest.mark.parametrize(("path", "status"), [("/v1/take", 422), ("/v1/lenient", 400)])
def test_every_failing_field_is_named(caller: Caller, path: str, status: int) -> None:
    answer = caller.post(path, {"slots": [1, "x", None]}, **{"Accept-Language": "en"})
    assert answer.status_code == status
    assert checked(answer)["details"] == {
        "name": ["This field is required."],
        "slots.1": ["A valid integer is required."],
        "slots.2": ["This field may not be null."],
    }


def test_each_reader_is_told_in_their_own_language(caller: Caller) -> None:
    """DRF's validators keep the sentence that they have said once."""
    body = {"name": "a", "slots": [], "note": "long"}
    english, turkish = (
        checked(caller.post("/v1/take", body, **{"Accept-Language": language})) for language in ("en", "tr")
    )
    assert english["details"] == {"note": ["Ensure this field has no more than 3 characters."]}
    assert turkish["details"] == {"note": ["Bu alanın 3 karakterden fazla karakter barındırmadığından emin olun."]}


def test_nothing_of_one_body_is_left_for_the_next(caller: Caller) -> None:
    both = {"name": "a", "slots": [1], "note": "b"}
    assert caller.post("/v1/take", both).json()["data"] == both
    assert caller.post("/v1/take", {"name": "a", "slots": []}).json()["data"] == {"name": "a", "slots": []}
    assert (kept.forms[Form].initial_data, kept.forms[Form].context) == (None, {})
    assert sorted(checked(caller.post("/v1/take", {}))["details"]) == ["name", "slots"]


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json; charset=utf-8", 200),
        ("APPLICATION/JSON", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/xml", 415),
    ],
)
def test_bodies_are_json(caller: Caller, content_type: str, status: int) -> None:
    answer = caller.post("/v1/take", {"name": "a", "slots": []}, content_type=content_type)
    assert answer.status_code == status


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "image/png", "*/*", ""])
def test_the_answer_is_json_whatever_is_accepted(caller: Caller, accept: str) -> None:
    answer = caller.post("/v1/take", {"name": "a", "slots": [1]}, Accept=accept)
    assert answer.json() == {"success": True, "data": {"name": "a", "slots": [1]}}


def test_a_too_large_body_is_413(caller: Caller) -> None:
    answer = caller.post("/v1/take", {"name": "a" * 256 * 1024, "slots": []})
    assert (answer.status_code, checked(answer)["code"]) == (413, "PAYLOAD_TOO_LARGE")


def test_a_dependency_that_is_down_says_when_to_come_again(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Echo, "failure", OperationalError())
    assert caller.get("/v1/fail")["Retry-After"] == "2"


@pytest.mark.parametrize(("offered", "kept"), [("order-2025-12-05", True), ("a b", False), ("x" * 65, False)])
def test_only_a_well_formed_request_id_is_kept(caller: Caller, offered: str, kept: bool) -> None:
    given = caller.get("/v1/nothing", **{"X-Request-ID": offered})["X-Request-ID"]
    assert WELL_FORMED_ID.fullmatch(given)
    assert (given == offered) is kept
