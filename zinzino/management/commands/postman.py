"""Writes a Postman collection (v2.1) made from the OpenAPI document."""

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from django.conf import settings
from django.core.management.base import BaseCommand

from zinzino.api.document import document

SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
TOKENS = {"userToken": "token", "deviceToken": "device_token"}


class Command(BaseCommand):
    help = "Write docs/postman.json from the OpenAPI document."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--output", type=Path, default=settings.BASE_DIR / "docs" / "postman.json")

    def handle(self, *_args: Any, output: Path, **_options: Any) -> None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(collection(document()), indent=2, ensure_ascii=False) + "\n")


def collection(api: dict[str, Any]) -> dict[str, Any]:
    sections: dict[str, list[Any]] = {tag["name"]: [] for tag in api["tags"]}
    for address, method, operation in operations(api):
        sections[operation["tags"][0]].append(item(address, method, operation))
    return {
        "info": {
            "_postman_id": str(uuid5(NAMESPACE_URL, SCHEMA + api["info"]["title"])),
            "name": api["info"]["title"],
            "description": api["info"]["description"],
            "schema": SCHEMA,
        },
        "variable": [
            {"key": "base_url", "value": "http://127.0.0.1:3000"},
            {"key": "token", "value": ""},
            {"key": "device_token", "value": ""},
        ],
        "item": [{"name": name, "item": items} for name, items in sections.items()],
    }


def operations(api: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for address, methods in sorted(api["paths"].items()):
        for method, operation in methods.items():
            yield address, method, operation


def item(address: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    request: dict[str, Any] = {
        "method": method.upper(),
        "header": [{"key": "Accept-Language", "value": "en"}],
        "url": url(address, operation),
        "auth": auth(operation),
        "description": operation.get("description", ""),
    }
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        request["body"] = body(media_type, content["example"])
    return {"name": operation["summary"], "request": request, "response": []}


def url(address: str, operation: dict[str, Any]) -> dict[str, Any]:
    listed = operation.get("parameters", [])
    in_path, in_query = ([each for each in listed if each.get("in") == place] for place in ("path", "query"))
    steps = [f":{step[1:-1]}" if step.startswith("{") else step for step in address.strip("/").split("/")]
    found: dict[str, Any] = {
        "raw": "{{base_url}}/" + "/".join(steps),
        "host": ["{{base_url}}"],
        "path": steps,
        "variable": [{"key": each["name"], "value": ""} for each in in_path],
    }
    if in_query:
        found["query"] = [{"key": each["name"], "value": "", "disabled": True} for each in in_query]
    return found


def auth(operation: dict[str, Any]) -> dict[str, Any]:
    scheme = next(iter(operation["security"][0]), "")
    if not scheme:
        return {"type": "noauth"}
    value = "{{" + TOKENS[scheme] + "}}"
    return {"type": "bearer", "bearer": [{"key": "token", "value": value, "type": "string"}]}


def body(media_type: str, example: Any) -> dict[str, Any]:
    if media_type == "multipart/form-data":
        return {"mode": "formdata", "formdata": [{"key": name, "type": "file"} for name in example]}
    raw = json.dumps(example, indent=2, ensure_ascii=False)
    return {"mode": "raw", "raw": raw, "options": {"raw": {"language": "json"}}}
