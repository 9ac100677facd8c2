"""The OpenAPI 3.1 document as a whole: shared parts, sections, and examples where none were given."""

import functools
import hashlib
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.utils.cache import get_conditional_response
from drf_spectacular.drainage import reset_generator_stats
from drf_spectacular.generators import EndpointEnumerator, SchemaGenerator
from drf_spectacular.plumbing import build_root_object, normalize_result_object, sanitize_result_object

from zinzino.api import errors, upgrade
from zinzino.api.renderers import dumps
from zinzino.api.samples import sample
from zinzino.api.schema import HEADERS, Schema

SECTIONS = {
    "auth": "Registration, sign-in, sessions.",
    "profile": "The signed-in person.",
    "devices": "Dispensers, their tokens, plans and levels.",
    "states": "Cup readings, and the decision whether the dispenser pours.",
    "sync": "The phone's offline copy: full, delta, and offline writes.",
    "realtime": "The live channel.",
    "activities": "The log of doses and device events.",
    "notifications": "In-app notifications, their settings, and the phones that get pushes.",
    "iot": "The full device protocol.",
    "analytics": "Use, adherence and insights.",
    "utility": "Lists and settings that an app loads at its start.",
    "health": "Probes.",
    "version": "The version of this server.",
    "time": "The server's clock.",
}
DESCRIPTION = """\
Backend of the Zinzino supplement dispenser.

Every success is `{"success": true, "data": …}`, or `{"success": true, "message": "…"}` where there is only
a sentence to say. Every failure is `{"success": false, "error": {"code", "message", "details", "timestamp",
"request_id"}}`: decide by `code` and, where there is one, `details.reason`; show `message`.

Clients ignore keys and enum values that they do not know. Times are ISO 8601 UTC with milliseconds.
Paths have no trailing slash. `/api` serves the same as `/v1` and shares its rate counters.

Requests are counted per minute; `X-RateLimit-Limit`, `-Remaining` and `-Reset` (epoch seconds) say how many
are left. After a 429 or 503 wait `Retry-After` seconds, with jitter. A POST whose answer was lost may be sent
again under the same `Idempotency-Key`, where the operation lists that header.

`X-Device-Name`, `X-Platform` and `X-App-Version` say which phone a session is on; people see them in their
list of sessions. Header values are ASCII: percent-encode the rest (`Ay%C5%9Fe`).
"""
FAILURES: dict[int, type[errors.ApiError]] = {
    kind.status_code: kind
    for kind in (
        errors.UnreadableBody,
        errors.Unauthorized,
        errors.Forbidden,
        errors.NotFound,
        errors.MethodNotAllowed,
        errors.DuplicateEntry,
        errors.PayloadTooLarge,
        errors.UnsupportedMediaType,
        errors.InvalidFields,
        upgrade.UpgradeRequired,
        errors.RateLimitExceeded,
        errors.RangeNotSatisfiable,
        errors.InternalError,
        errors.ServiceUnavailable,
    )
}
DETAILS: dict[int, Schema] = {
    401: {"reason": "token_invalid"},
    403: {"reason": "not_owner"},
    409: {"reason": "duplicate"},
    422: {"name": ["This field is required."]},
    426: {"min_version": "1.4.0", "store_url": "https://apps.example.com/zinzino"},
    429: {"retry_after": 12},
}


class OnlyCanonical(EndpointEnumerator):
    """`/api` and the probes at the root are the same handlers again."""

    def get_api_endpoints(self, patterns: Any = None, prefix: str = "") -> list[Any]:
        return [found for found in super().get_api_endpoints(patterns, prefix) if found[0].startswith("/v1/")]  # type: ignore[no-untyped-call]


class Document(SchemaGenerator):
    endpoint_inspector_cls = OnlyCanonical

    def get_schema(self, request: HttpRequest | None = None, public: bool = False) -> Schema:
        reset_generator_stats()
        paths = self.parse(request, public)  # type: ignore[no-untyped-call]
        components = shared(self.registry.build({}))
        for path in paths.values():
            for operation in path.values():
                illustrate(operation, components["schemas"])
        root = build_root_object(paths=paths, components=components, webhooks=None, version=None)
        root["info"]["description"] = DESCRIPTION
        used = sorted({tag for path in paths.values() for each in path.values() for tag in each["tags"]})
        root["tags"] = [{"name": tag, "description": SECTIONS.get(tag, "")} for tag in used]
        document: Schema = sanitize_result_object(normalize_result_object(without_marks(root)))
        return document


def without_marks(value: Any) -> Any:
    """The generator marks every enum for a hook that we do not use."""
    if isinstance(value, dict):
        return {name: without_marks(inner) for name, inner in value.items() if name != "x-spec-enum-id"}
    return [without_marks(inner) for inner in value] if isinstance(value, list) else value


def illustrate(operation: Schema, schemas: Schema) -> None:
    """Every body and every answer has an example."""
    request = operation.get("requestBody", {}).get("content", {})
    answers = [answer.get("content", {}) for answer in operation["responses"].values()]
    for content, skip in [(request, "readOnly"), *((answer, "writeOnly") for answer in answers)]:
        for media_type in content.values():
            media_type.setdefault("example", sample(media_type["schema"], schemas, skip=skip))


def shared(components: Schema) -> Schema:
    return {
        "schemas": {**components.get("schemas", {}), "Error": error_schema(), "Message": message_schema()},
        "responses": {f"Error{status}": failure(status) for status in FAILURES},
        "parameters": parameters(),
        "headers": headers(),
        "securitySchemes": {
            "userToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            "deviceToken": {"type": "http", "scheme": "bearer", "bearerFormat": "znd_…"},
        },
    }


def message_schema() -> Schema:
    return {
        "type": "object",
        "properties": {
            "success": {"type": "boolean", "const": True},
            "message": {"type": "string", "example": "Done."},
        },
        "required": ["success", "message"],
    }


def error_schema() -> Schema:
    error = {
        "type": "object",
        "properties": {
            "code": {"type": "string"},
            "message": {"type": "string", "description": "In the language of the request."},
            "details": {
                "type": "object",
                "additionalProperties": True,
                "description": "Failing fields with their messages, or a stable `reason`.",
            },
            "timestamp": {"type": "string", "format": "date-time"},
            "request_id": {"type": "string"},
        },
        "required": ["code", "message", "details", "timestamp", "request_id"],
    }
    return {
        "type": "object",
        "properties": {"success": {"type": "boolean", "const": False}, "error": error},
        "required": ["success", "error"],
    }


def failure(status: int) -> Schema:
    kind = FAILURES[status]
    error = {
        "code": kind.code,
        "message": str(kind.message),
        "details": DETAILS.get(status, {}),
        "timestamp": "2025-12-05T10:00:00.123Z",
        "request_id": "3f0c6a52-8a0e-4d56-9f0b-6a4b5f1f2c11",
    }
    names = [*HEADERS, "Retry-After"] if status in (429, 503) else HEADERS
    return {
        "description": str(kind.message),
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/Error"},
                "example": {"success": False, "error": error},
            }
        },
    }


def parameters() -> Schema:
    """The headers that a client may send; `name` is unique in all the document."""
    return {
        "AcceptLanguage": header_parameter(
            "Accept-Language",
            "The language of messages; without it the user's own, else Turkish.",
            {"type": "string", "enum": ["tr", "en"]},
        ),
        "RequestID": header_parameter(
            "X-Request-ID",
            "Comes back in the answer and stands in our logs.",
            {"type": "string", "pattern": "^[A-Za-z0-9-]{8,64}$"},
        ),
        "IdempotencyKey": header_parameter(
            "Idempotency-Key",
            "The same key with the same body takes effect once within 24 hours.",
            {"type": "string", "format": "uuid"},
        ),
    }


def header_parameter(name: str, description: str, schema: Schema) -> Schema:
    return {"name": name, "in": "header", "description": description, "required": False, "schema": schema}


def headers() -> Schema:
    number = {"type": "integer", "minimum": 0}
    return {
        "X-Request-ID": {"description": "The id of this request.", "schema": {"type": "string"}},
        "X-RateLimit-Limit": {"description": "Requests a minute.", "schema": number},
        "X-RateLimit-Remaining": {"description": "Requests left now.", "schema": number},
        "X-RateLimit-Reset": {"description": "When more are free, epoch seconds.", "schema": number},
        "Retry-After": {"description": "Seconds to wait.", "schema": number},
    }


def document() -> Schema:
    with translation.override("en"):
        schema: Schema = Document().get_schema(public=True)  # type: ignore[no-untyped-call]
    return schema


@functools.cache
def written() -> bytes:
    return dumps(document())


def openapi_json(request: HttpRequest) -> HttpResponse:
    if request.method not in ("GET", "HEAD"):
        refusal = errors.http_response(errors.MethodNotAllowed())
        refusal["Allow"] = "GET, HEAD"
        return refusal
    response = HttpResponse(written(), content_type="application/json")
    response["Cache-Control"] = "no-cache"
    response["ETag"] = f'"{hashlib.sha256(written()).hexdigest()[:32]}"'
    return get_conditional_response(request, etag=response["ETag"], response=response) or response


def swagger(request: HttpRequest) -> HttpResponse:
    return render(request, "docs/swagger.html")


def redoc(request: HttpRequest) -> HttpResponse:
    return render(request, "docs/redoc.html")
