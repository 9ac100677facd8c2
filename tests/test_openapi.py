"""The OpenAPI document says what the server does, all of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS
from jsonschema import Draft202012Validator

from tests.routes import routes
from zinzino.api import errors
from zinzino.api.document import document
from zinzino.api.samples import sample
from zinzino.management.commands.postman import collection

METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def api() -> dict[str, Any]:
    return document()


def operations(api: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for address, methods in api["paths"].items():
        for method, operation in methods.items():
            assert method in METHODS
            yield address, method, operation


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(inner)


def test_every_route_is_in_the_document_and_back(api: dict[str, Any]) -> None:
    served = {(route.address, method) for route in routes() for method in route.methods if method != "HEAD"}
    assert {(address, method.upper()) for address, method, _ in operations(api)} == served


def test_the_generator_had_nothing_to_guess() -> None:
    document()
    assert not GENERATOR_STATS


def test_the_committed_document_is_current() -> None:
    call_command("openapi", check=True)


def test_a_stale_document_fails_the_check(tmp_path: Path) -> None:
    stale = tmp_path / "openapi.json"
    call_command("openapi", output=stale)
    call_command("openapi", output=stale, check=True)
    stale.write_text(stale.read_text().replace("3.1", "3.0"))
    with pytest.raises(CommandError, match="out of date"):
        call_command("openapi", output=stale, check=True)


def test_every_operation_has_a_name_of_its_own_and_a_known_section(api: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(api)]
    assert len(names) == len(set(names))
    assert {"auth_login", "devices_list"} <= set(names)
    assert all(tag["description"] for tag in api["tags"])


def test_every_operation_has_a_summary_its_errors_and_an_example(api: dict[str, Any]) -> None:
    for address, method, operation in operations(api):
        where = f"{method} {address}"
        assert operation["summary"], where
        assert {"500", "503"} <= set(operation["responses"]), where
        good = [answer for status, answer in operation["responses"].items() if status < "300"]
        assert len(good) == 1, where
        for content in [good[0].get("content", {}), operation.get("requestBody", {}).get("content", {})]:
            assert all("example" in media_type for media_type in content.values()), where


def test_examples_fit_their_schemas(api: dict[str, Any]) -> None:
    for address, method, operation in operations(api):
        bodies = [*operation["responses"].values(), operation.get("requestBody", {})]
        for media_type in (each for body in bodies for each in body.get("content", {}).values()):
            whole = {**media_type["schema"], "components": api["components"]}
            found = [error.message for error in Draft202012Validator(whole).iter_errors(media_type["example"])]
            assert found == [], f"{method} {address}"


def test_every_schema_is_valid_and_every_reference_leads_somewhere(api: dict[str, Any]) -> None:
    for schema in api["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for reference in {node["$ref"] for node in nodes(api) if isinstance(node.get("$ref"), str)}:
        _, _, kind, name = reference.split("/")
        assert name in api["components"][kind], reference


def test_the_live_document_is_the_committed_one(api: dict[str, Any]) -> None:
    answer = Client().get("/v1/openapi.json")
    assert answer.json() == json.loads(json.dumps(api))
    assert answer.json()["openapi"].startswith("3.1.")
    assert Client().get("/api/openapi.json").content == answer.content
    assert Client().get("/v1/openapi.json", headers={"If-None-Match": answer["ETag"]}).status_code == 304
    assert Client().post("/v1/openapi.json").json()["error"]["code"] == errors.MethodNotAllowed.code


def test_the_postman_collection_holds_every_operation(api: dict[str, Any]) -> None:
    made = collection(api)
    requests = [each["request"] for section in made["item"] for each in section["item"]]
    assert len(requests) == len(list(operations(api)))
    assert {variable["key"] for variable in made["variable"]} == {"base_url", "token", "device_token"}
    login = next(each for each in requests if each["url"]["raw"] == "{{base_url}}/v1/auth/login")
    assert json.loads(login["body"]["raw"]).keys() >= {"email", "password"}
    assert login["auth"] == {"type": "noauth"}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"$ref": "#/components/schemas/Known"}, "x"),
        ({"type": ["string", "null"], "format": "date"}, "2025-12-05"),
        ({"oneOf": [{"type": "null"}, {"enum": ["a", "b"]}]}, "a"),
        ({"allOf": [{"type": "object", "properties": {"a": {"type": "boolean"}}}]}, {"a": True}),
        ({"type": "array", "items": {"type": "integer", "minimum": 3}}, [3]),
        ({"properties": {"a": {"default": 5}, "b": {"readOnly": True}}}, {"a": 5}),
        ({"type": "string", "minLength": 6}, "textxx"),
        ({"examples": ["y"]}, "y"),
        ({}, None),
    ],
)
def test_samples_fit(schema: dict[str, Any], value: Any) -> None:
    assert sample(schema, {"Known": {"const": "x"}}, skip="readOnly") == value
