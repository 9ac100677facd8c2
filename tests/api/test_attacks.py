"""What an attacker tried, each thing once."""

import base64
import json
import time
import uuid
from typing import Any

import orjson
import pytest
from django.test import Client

from accounts.models import User
from devices.models import Device
from tests.clients import Api, Phone, Unit
from zinzino.models import RememberedOutcome

AHMET = {"email": "ahmet@example.com", "password": "SecurePassword123!", "full_name": "Ahmet Yılmaz"}
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x")


@pytest.mark.parametrize("path", ["/v1", "/v1/nothing", "/v1/devices/", "/v1/devices/zzz", "/foo", "/V1/devices"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_an_unknown_path_is_404_in_the_envelope_for_a_client_without_cookies(
    db: None, path: str, method: str
) -> None:
    answer: Any = Client(enforce_csrf_checks=True).generic(method, path, b"{}", content_type="application/json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")


def test_the_document_can_only_be_read(db: None) -> None:
    answer: Any = Client(enforce_csrf_checks=True).post("/v1/openapi.json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "METHOD_NOT_ALLOWED")


@pytest.mark.parametrize(
    "path", ["/docs", "/redoc", "/exports/00000000-0000-4000-8000-000000000000/x", "/.well-known/assetlinks.json"]
)
def test_what_can_only_be_read_says_so_in_the_envelope(db: None, path: str) -> None:
    answer: Any = Client(enforce_csrf_checks=True).post(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "METHOD_NOT_ALLOWED")


def test_a_forged_form_of_the_back_office_gets_a_page(db: None) -> None:
    answer: Any = Client(enforce_csrf_checks=True).post("/admin/login/")
    assert (answer.status_code, answer["Content-Type"]) == (403, "text/html; charset=utf-8")


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_body_of_a_form_changes_nothing(alice: Phone, kitchen: Unit, form: str) -> None:
    assert alice.send("PUT", f"/devices/{kitchen.id}", b"", content_type=form).status_code == 200
    assert alice.send("PUT", "/profile", b"", content_type=form).status_code == 200
    assert kitchen.send("POST", f"/states/{kitchen.id}", b"", content_type=form).status_code == 422
    assert Device.objects.get().is_active
    assert User.objects.get().notification_enabled


def test_long_text_is_refused_before_it_is_looked_at(anyone: Api, db: None) -> None:
    name = "\u0301" * 60_000 + "\u0316" * 60_000
    started = time.perf_counter()
    assert anyone.post("/auth/register", {**AHMET, "full_name": name}).status_code == 400
    assert time.perf_counter() - started < 2


def test_an_answer_does_not_grow_with_the_bad_fields(anyone: Api, db: None) -> None:
    body = json.dumps({"k" * 20_000: ["\0"] * 2000})
    answer = anyone.post("/auth/register", body)
    assert (answer.status_code, len(answer.content) < 10_000) == (400, True)


def test_a_huge_number_under_an_idempotency_key_is_no_crash(alice: Phone) -> None:
    key = {"HTTP_IDEMPOTENCY_KEY": str(uuid.uuid4())}
    assert alice.post("/devices", '{"device_name": ' + "9" * 30 + "}", **key).status_code == 422


def test_no_copy_of_a_password_can_be_guessed_from_the_kept_outcome(anyone: Api, db: None) -> None:
    import hashlib

    anyone.post("/auth/register", AHMET, HTTP_IDEMPOTENCY_KEY=str(uuid.uuid4()))
    guess = orjson.dumps(["/v1/auth/register", AHMET], option=orjson.OPT_SORT_KEYS)
    plain = json.dumps(["/v1/auth/register", AHMET], sort_keys=True).encode()
    kept = RememberedOutcome.objects.get().request_hash
    assert kept not in {hashlib.sha256(text).hexdigest() for text in (guess, plain)}


@pytest.mark.parametrize(
    "moment",
    ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59-12:00", "2026-01-01T00:00:00", "2026-01-01T00:00:00+23:59"],
)
def test_a_forged_cursor_is_422_or_harmless(alice: Phone, moment: str) -> None:
    row = str(uuid.uuid4())
    listed = base64.urlsafe_b64encode(f"{moment}|{row}".encode()).decode()
    synced = base64.urlsafe_b64encode(orjson.dumps([moment, "notification", moment, row])).decode()
    assert alice.get(f"/notifications?cursor={listed}").status_code in (200, 422)
    assert alice.post("/sync/full", {"cursor": synced}).status_code in (200, 422)


def test_an_address_that_grows_when_it_is_made_small_is_refused(anyone: Api, db: None) -> None:
    address = "a@" + ".".join(["İ" * 20] * 11) + ".com"
    assert anyone.post("/auth/register", {**AHMET, "email": address}).status_code == 400


def test_a_kept_outcome_lets_no_inactive_person_in(anyone: Api, db: None) -> None:
    key = {"HTTP_IDEMPOTENCY_KEY": str(uuid.uuid4())}
    anyone.post("/auth/register", AHMET, **key)
    User.objects.update(is_active=False)
    again = anyone.post("/auth/register", AHMET, **key)
    assert (again.status_code, again.error["details"]) == (403, {"reason": "account_inactive"})


def test_staff_cannot_feel_for_a_password_hash(db: None) -> None:
    User.objects.create_superuser("staff@example.com", "a-long-password", full_name="Staff")
    client = Client()
    client.force_login(User.objects.get())
    assert client.get("/admin/accounts/user/?password__startswith=bcrypt").status_code == 400


def test_only_allowed_sites_may_read_answers(db: None, settings: Any) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["https://app.zinzino.example"]
    for origin, allowed in (("https://app.zinzino.example", True), ("https://evil.example", False)):
        answer = Client().get("/v1/time", headers={"origin": origin})
        assert ("access-control-allow-origin" in answer.headers) is allowed
