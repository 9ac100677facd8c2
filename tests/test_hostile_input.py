"""api.md 0: whatever is sent, the answer is no 5xx and stands in the envelope.

The routes and their fields come from the URLconf and the OpenAPI document, so that a new route is under
fire as soon as it exists.
"""

import copy
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from pytest_django import DjangoDbBlocker

from tests.routes import Route, routes
from zinzino.api.document import document

UNKNOWN_ID = "3f0c6a52-8a0e-4d56-9f0b-6a4b5f1f2c11"

BODIES: dict[str, bytes] = {
    "deep object": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep array": b"[" * 100_000,
    "deep and closed": b'{"changes":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "array": b"[]",
    "array of objects": b'[{"email": "a@example.com"}]',
    "text": b'"x"',
    "number": b"7",
    "null": b"null",
    "nothing": b"",
    "cut off": b'{"email": "a',
    "two values": b"{}{}",
    "NaN": b'{"battery_level": NaN, "ts": Infinity}',
    "huge number": b'{"battery_level": ' + b"9" * 4000 + b"}",
    "huger number": b'{"battery_level": ' + b"9" * 200_000 + b"}",
    "huge exponent": b'{"battery_level": 1e400000}',
    "duplicate keys": b'{"name": "a", "name": null, "name": [1]}',
    "NUL": rb'{"name": "a\u0000b", "email": "a\u0000@example.com"}',
    "NUL key": rb'{"na\u0000me": 1}',
    "lone surrogate": rb'{"name": "\ud800", "email": "\udfff"}',
    "surrogate key": rb'{"\udc00": {"\ud800": "\u0000"}}',
    "raw NUL": b'{"name": "\x00"}',
    "bad UTF-8": b'{"name": "\xc3\x28"}',
    "UTF-16": '{"name": "a"}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "binary": bytes(range(256)),
    "many keys": json.dumps({str(number): number for number in range(20_000)}).encode(),
    "prototype": b'{"__proto__": {}, "__class__": "x", "constructor": {}, "pk": 1, "_state": {}}',
}
VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    2**31,
    2**63,
    -(2**64),
    10**300,
    1e308,
    0.1 + 0.2,
    "",
    " ",
    "x" * 100_000,
    "\x00",
    "\ud800",
    "a\x00b",
    "%00",
    "NaN",
    "-0",
    "٣",
    "🫠" * 300,
    "\u202e\u0007\x1b[2J",
    "' OR 1=1 --",
    "${jndi:ldap://x}",
    "../../etc/passwd",
    UNKNOWN_ID.upper(),
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999-14:00",
    "2025-02-30T25:61:61Z",
    "2025-12-05",
    "99:99",
    [],
    [None],
    [[[]]],
    [{}],
    ["x"] * 2_000,
    {},
    {"": None},
    {"a": {"b": [1]}},
]
IDS = ["x", "%00", "%ff%fe", "..%2f..%2fetc", "0" * 5_000, "%F0%9F%AB%A0", "-1", "{}", "*", UNKNOWN_ID + "0"]
QUERIES = [
    "limit=" + "9" * 5_000,
    "limit=-1&offset=-1",
    "limit=1e3&offset=0x10",
    "offset=9223372036854775808",
    "limit=%00",
    "limit[]=1&limit=2&limit=3",
    "cursor=" + "A" * 5_000,
    "start_date=0001-01-01&end_date=9999-12-31",
    "%ff=%fe&=&&&===",
    "a=%ud800&" + "b=1&" * 2_000,
]
CONTENT_TYPES = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "multipart/form-data; boundary=" + "x" * 1_000,
    "application/json; charset=nonsense",
    "application/json;;;===",
    "application/xml",
    "nonsense",
    "",
]
HEADERS = [
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer " + "x" * 20_000},
    {"Authorization": "Bearer znd_" + "A" * 64},
    {"Authorization": "Bearer znd_ünï"},
    {"Authorization": "Bearer eyJhbGciOiJub25lIn0.e30."},
    {"Authorization": "Basic YTpi"},
    {"Authorization": "\x00\xff"},
    {"Accept-Language": "x" * 20_000},
    {"Accept-Language": "tr;q=nonsense, ,;=\xff"},
    {"X-Request-ID": "' OR 1=1"},
    {"X-Forwarded-For": "nonsense, " * 2_000},
    {"Idempotency-Key": "x" * 5_000},
    {"X-App-Version": "9" * 5_000, "X-Platform": "\xff" * 300, "User-Agent": "x" * 20_000},
    {"If-None-Match": '"' * 500},
    {"Host": "evil.example:99999"},
    {"Content-Length": "-5"},
    {"Content-Length": "9" * 50},
    {"Content-Length": "nonsense"},
    {"Range": "bytes=-0,x"},
]


@dataclass
class Attacker:
    """Signed in, owner of a device, and free to send anything."""

    headers: dict[str, str]
    device_headers: dict[str, str]
    ids: dict[str, str]

    def sender(self, route: Route, method: str) -> dict[str, str]:
        by_device = operation_of(route, method).get("security") == [{"deviceToken": []}]
        return self.device_headers if by_device else self.headers

    def address(self, route: Route) -> str:
        return route.address.format_map(_Ids(self.ids))


class _Ids(dict[str, str]):
    def __missing__(self, _name: str) -> str:
        return UNKNOWN_ID


# The last attacker, as long as nothing that was sent can have changed what is theirs, or shut them out.
_unspoilt: list[Attacker] = []


@cache
def server() -> Client:
    """One for all requests: each client loads the middleware anew."""
    return Client(raise_request_exception=False)


def send(
    method: str,
    path: str,
    body: bytes = b"{}",
    content_type: str = "application/json",
    headers: dict[str, str] | None = None,
) -> Any:
    environ: dict[str, Any] = {
        "HTTP_" + name.upper().replace("-", "_"): value for name, value in (headers or {}).items()
    }
    if "HTTP_CONTENT_LENGTH" in environ:
        environ["CONTENT_LENGTH"] = environ.pop("HTTP_CONTENT_LENGTH")
    answer = server().generic(method, path, body, content_type=content_type, **environ)
    if method != "GET" and (answer.status_code < 400 or answer.status_code in (401, 403, 423, 429)):
        _unspoilt.clear()
    return answer


FILES = ("text/csv", "application/pdf", "text/html")


def check(answer: Any, sent: object) -> None:
    """No 5xx, and the envelope, whole."""
    body = answer.getvalue()
    said = f"{answer.status_code} for {str(sent)[:300]}: {body[:300]!r}"
    assert answer.status_code < 500, said
    if answer.status_code in (204, 304) or answer["Content-Type"].startswith(FILES):
        return
    whole = json.loads(body)
    if answer.status_code >= 400:
        assert whole["success"] is False, said
        assert sorted(whole["error"]) == ["code", "details", "message", "request_id", "timestamp"], said
        assert isinstance(whole["error"]["details"], dict), said
    else:
        assert whole["success"] is True, said
    assert "Traceback" not in said


# The mark has the test database made. The fixtures keep its transaction away: requests really commit, so that
# deferred constraints and triggers speak, and one flush for the whole module is enough.
pytestmark = [pytest.mark.django_db, pytest.mark.slow]


@pytest.fixture
def _django_db_helper() -> None:
    pass


@pytest.fixture(scope="module", autouse=True)
def committed(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock():
        assert connection.settings_dict["NAME"].startswith("test_")
        yield
        call_command("flush", interactive=False, verbosity=0)


@pytest.fixture(autouse=True)
def unlimited(settings: Any) -> None:
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, 10**6)


@pytest.fixture
def attacker() -> Attacker:
    if not _unspoilt:
        _unspoilt.append(signed_up())
    return _unspoilt[0]


def signed_up() -> Attacker:
    person = {"email": "", "password": "mallory-1", "full_name": "Mallory"}
    signed_in = post("/v1/auth/register", fresh(person))["data"]
    headers = {"Authorization": f"Bearer {signed_in['token']}"}
    unit = {"mac_address": "", "serial_number": "", "device_name": "Kitchen", "device_type": "fish_oil"}
    device = post("/v1/devices", fresh(unit), headers=headers)["data"]
    by_device = {"Authorization": f"Bearer {device['device_token']}"}
    # A low battery makes a notification.
    low = json.dumps({"battery_level": 5}).encode()
    check(send("PATCH", f"/v1/devices/{device['id']}/status", low, headers=by_device), "low battery")
    notifications = json.loads(send("GET", "/v1/notifications", headers=headers).content)["data"]["notifications"]
    ids = {"device_id": device["id"], "notification_id": notifications[0]["id"]}
    return Attacker(headers, device_headers=by_device, ids=ids)


def post(path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(send("POST", path, json.dumps(body).encode(), headers=headers).content)
    assert answer["success"], answer
    return answer


def fresh(body: dict[str, Any]) -> dict[str, Any]:
    """The same body about somebody new, so that no duplicate hides what lies behind."""
    serial = uuid4().hex.upper()
    unique = {
        "email": f"mallory-{serial}@example.com",
        "mac_address": "02:" + ":".join(serial[at : at + 2] for at in range(0, 10, 2)),
        "serial_number": serial,
    }
    return body | {name: value for name, value in unique.items() if name in body}


def operation_of(route: Route, method: str) -> dict[str, Any]:
    found: dict[str, Any] = described()["paths"].get(route.address, {}).get(method.lower(), {})
    return found


@cache
def described() -> dict[str, Any]:
    return document()


def example_body(route: Route, method: str) -> Any:
    content = operation_of(route, method).get("requestBody", {}).get("content", {})
    return content.get("application/json", {}).get("example")


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value inside, the outer ones first."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield (*above, step)
        yield from places(inner, (*above, step))


def changed(example: Any, place: tuple[Any, ...], value: Any) -> bytes:
    body = fresh(copy.deepcopy(example))
    *above, last = place
    target = body
    for step in above:
        target = target[step]
    target[last] = value
    return json.dumps(body).encode()


every_route = pytest.mark.parametrize("route", routes(), ids=str)
every_write = pytest.mark.parametrize(
    ("route", "method"),
    [(route, method) for route in routes() for method in route.methods if method not in ("GET", "HEAD")],
    ids=str,
)


@every_write
def test_broken_bodies(attacker: Attacker, route: Route, method: str) -> None:
    for name, body in BODIES.items():
        check(send(method, attacker.address(route), body, headers=attacker.sender(route, method)), name)


@every_write
def test_every_field_with_every_wrong_value(attacker: Attacker, route: Route, method: str) -> None:
    example = example_body(route, method) or {}
    by_device = operation_of(route, method).get("security") == [{"deviceToken": []}]
    sender = attacker.device_headers if by_device else attacker.headers
    for place, value in itertools.product(list(places(example)), VALUES):
        body = changed(example, place, value)
        check(send(method, attacker.address(route), body, headers=sender), (place, value))


@every_write
def test_wrong_content_types(attacker: Attacker, route: Route, method: str) -> None:
    for content_type in CONTENT_TYPES:
        sender = attacker.sender(route, method)
        check(send(method, attacker.address(route), b"--x\r\na=1", content_type, headers=sender), content_type)


@every_route
def test_broken_ids(attacker: Attacker, route: Route) -> None:
    for id_, method in itertools.product(IDS, route.methods):
        sender = attacker.sender(route, method)
        path = route.address.format_map(dict.fromkeys(("device_id", *_names(route)), id_))
        check(send(method, path, headers=sender), path)
        check(send(method, f"{attacker.address(route)}/{id_}", headers=sender), id_)


def _names(route: Route) -> list[str]:
    return [part.partition("}")[0] for part in route.address.split("{")[1:]]


@every_route
def test_broken_queries(attacker: Attacker, route: Route) -> None:
    listed = [
        each["name"] for each in operation_of(route, "GET").get("parameters", []) if each.get("in") == "query"
    ]
    texts = [value for value in VALUES if isinstance(value, str) and value != "\ud800"]
    named = [f"{name}={quote(text)}" for name, text in itertools.product(listed, texts)]
    for query in QUERIES + named:
        for method in route.methods if query in QUERIES else ("GET",):
            sender = attacker.sender(route, method)
            check(send(method, f"{attacker.address(route)}?{query}", headers=sender), query)


@every_route
def test_broken_headers(attacker: Attacker, route: Route) -> None:
    for headers, method in itertools.product(HEADERS, route.methods):
        sender = attacker.sender(route, method)
        check(send(method, attacker.address(route), headers=sender | headers), headers)


@every_route
def test_the_wrong_kind_of_token(attacker: Attacker, route: Route) -> None:
    for method, headers in itertools.product(route.methods, ({}, attacker.headers, attacker.device_headers)):
        check(send(method, attacker.address(route), headers=headers), headers)


@every_route
def test_unknown_methods(attacker: Attacker, route: Route) -> None:
    for method in ("OPTIONS", "TRACE", "BREW", "CONNECT", "get", "PROPFIND", "X" * 1_000):
        check(send(method, attacker.address(route), headers=attacker.headers), method)


@pytest.mark.parametrize("body", [b"9" * 262_145, b'{"a":"' + b"x" * 1_000_001 + b'"}'], ids=len)
@every_write
def test_too_large_bodies(attacker: Attacker, route: Route, method: str, body: bytes) -> None:
    check(send(method, attacker.address(route), body, headers=attacker.sender(route, method)), len(body))


def test_signing_in_with_headers_that_are_recorded() -> None:
    for headers in HEADERS:
        person = fresh({"email": "", "password": "eve-eve-1", "full_name": "Eve"})
        for path in ("/v1/auth/register", "/v1/auth/login"):
            check(send("POST", path, json.dumps(person).encode(), headers=headers), headers)


@pytest.mark.parametrize(
    "path",
    ["/%00", "/v1/%00", "/v1//devices", "/v1/devices//", "/../v1", "/v1/%2e%2e/admin", "/%ff", "/" + "a" * 9000],
)
def test_addresses_that_no_route_knows(path: str) -> None:
    answer = send("GET", path)
    check(answer, path)
    assert answer.status_code in (400, 404)
