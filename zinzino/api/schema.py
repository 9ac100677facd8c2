"""What each handler says about itself, and how that becomes an OpenAPI operation."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import force_instance
from rest_framework.serializers import BaseSerializer

from zinzino.api import upgrade
from zinzino.api.fields import DayOrInstant, Instant
from zinzino.api.renderers import Message

Handler = TypeVar("Handler", bound=Callable[..., Any])
Schema = dict[str, Any]
# A serializer, or a JSON schema written out where no serializer exists.
Shape = type[BaseSerializer[Any]] | BaseSerializer[Any] | Mapping[str, Any]
Auth = Literal["user", "device", "either", "none"]

# Here a path names an act, so that `create` would say nothing: `auth_login`.
ACTS = ("auth", "sync", "iot", "realtime")
CRUD = ("list", "create", "retrieve", "update", "partial_update", "destroy")
# The probes, which the rate limiter lets pass.
UNCOUNTED = ("health", "metrics")
HEADERS = ("X-Request-ID", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
SECURITY: dict[Auth, list[Schema]] = {
    "user": [{"userToken": []}],
    "device": [{"deviceToken": []}],
    "either": [{"userToken": []}, {"deviceToken": []}],
    "none": [{}],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    summary: str
    request: Shape | None
    response: Shape | type[Message] | None
    many: bool
    status: int
    errors: Sequence[int]
    auth: Auth
    query: type[BaseSerializer[Any]] | None
    example: Any
    answer: Any
    description: str
    files: Sequence[str]


def operation(
    summary: str,
    *,
    request: Shape | None = None,
    response: Shape | type[Message] | None = None,
    many: bool = False,
    status: int = 200,
    errors: Sequence[int] = (),
    auth: Auth = "user",
    query: type[BaseSerializer[Any]] | None = None,
    example: Any = None,
    answer: Any = None,
    description: str = "",
    files: Sequence[str] = (),
) -> Callable[[Handler], Handler]:
    """Says what a handler takes and gives; nothing of it runs at request time.

    `response` is the serializer (or JSON schema) of what stands in `data`, a list of it with `many`,
    `Message` for an answer that is only a sentence. `errors` are the statuses beyond those that every
    operation of its kind has. `example` is a request body (the answer's data where there is no body),
    `answer` the answer's data; what is missing is made up from the schema. `files` are the media types in
    which the answer can also be asked for, without an envelope.
    """
    known = Operation(
        summary=summary,
        request=request,
        response=response,
        many=many,
        status=status,
        errors=errors,
        auth=auth,
        query=query,
        example=example,
        answer=answer if request else answer or example,
        description=description,
        files=files,
    )

    def mark(handler: Handler) -> Handler:
        handler.operation = known  # type: ignore[attr-defined]
        return handler

    return mark


class OperationSchema(AutoSchema):
    """Writes an operation from what `@operation` says; a handler without it stays out."""

    view: Any

    @property
    def handler(self) -> Any:
        return getattr(self.view, self.view.action)

    @property
    def said(self) -> Operation:
        return cast("Operation", self.handler.operation)

    @property
    def section(self) -> str:
        return self._tokenize_path()[0]

    @property
    def has_body(self) -> bool:
        return self.said.request is not None

    def is_excluded(self) -> bool:
        return not hasattr(self.handler, "operation")

    def get_operation_id(self) -> str:
        """`devices_list` for the usual actions (HEAD is GET again); else the path itself says it: `auth_login`."""
        words = [word.replace("-", "_") for word in self._tokenize_path()]
        action = self.view.action
        if action == "create" and words[0] in ACTS:
            return "_".join(words)
        if action in CRUD or len(set(self.view.action_map.values())) > 1:
            return "_".join([*words, action])
        return "_".join(words)

    def get_serializer_name(self, serializer: Any, direction: Any) -> str:
        """Two apps may each have a `Register`; the second one is told apart by its app."""
        name = type(serializer).__name__.removesuffix("Serializer")
        taken = self.registry._components.get((name, "schemas"))
        if taken is None or type(taken.object) is type(serializer):
            return name
        return type(serializer).__module__.partition(".")[0].capitalize() + name

    def get_summary(self) -> str:
        return self.said.summary

    def get_description(self) -> str:  # type: ignore[override]  # as drf-spectacular itself does
        return self.said.description

    def get_tags(self) -> list[str]:
        return [self.section]

    def get_auth(self) -> list[Schema]:
        return SECURITY[self.said.auth]

    def get_override_parameters(self) -> list[Any]:
        return [self.said.query] if self.said.query else []

    def _get_parameters(self) -> list[Schema]:
        common = ["AcceptLanguage", "RequestID"]
        if getattr(self.handler, "idempotent", False):
            common.append("IdempotencyKey")
        return [*super()._get_parameters(), *({"$ref": f"#/components/parameters/{name}"} for name in common)]

    def get_request_serializer(self) -> Any:
        return self.said.request

    def _get_request_body(self, direction: Any = "request") -> Schema | None:
        if not self.has_body:
            return None
        schema, required = self._body_schema(direction)
        content = {media_type: {"schema": schema} for media_type in self.map_parsers()}
        if self.said.example is not None:
            for media_type in content.values():
                media_type["example"] = self.said.example
        return {"content": content, "required": required}

    def _body_schema(self, direction: Any) -> tuple[Schema, bool]:
        schema, required = super()._get_request_for_media_type(self.said.request, direction)  # type: ignore[no-untyped-call]
        return schema or {"type": "object"}, required

    def _get_response_bodies(self, direction: Any = "response") -> Schema:
        failures = {str(status): {"$ref": f"#/components/responses/Error{status}"} for status in self._failures()}
        return {str(self.said.status): self._success(direction), **dict(sorted(failures.items()))}

    def _failures(self) -> Iterator[int]:
        """The refusals that can meet this operation, whether its author thought of them or not."""
        yield from self.said.errors
        # 400: an address that nobody can read may be anybody's.
        yield from (400, 500, 503) if self.section in UNCOUNTED else (400, 429, 500, 503)
        if self.said.auth != "none":
            yield from (401, 403)
        if self.said.auth != "device" and not upgrade.is_open(self.path.removeprefix("/v1"), self.method):
            yield 426
        if "{" in self.path:
            yield 404
        if self.has_body:
            yield from (413, 415)
        if self.has_body or self.said.query:
            yield getattr(self.view, "validation_status", 422)
        if getattr(self.handler, "idempotent", False):
            yield from (409, 422)

    def _success(self, direction: Any) -> Schema:
        names = HEADERS[:1] if self.section in UNCOUNTED else HEADERS
        headers = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
        answer: Schema = {"description": "Done.", "headers": headers}
        content: Schema = {} if self.said.response is None else {"application/json": self._enveloped(direction)}
        content |= {media_type: {"schema": {"type": "string"}} for media_type in self.said.files}
        if content:
            answer["content"] = content
        return answer

    def _enveloped(self, direction: Any) -> Schema:
        if self.said.response is Message:
            return {"schema": {"$ref": "#/components/schemas/Message"}}
        schema = self._data(direction)
        if self.said.many:
            schema = {"type": "array", "items": schema}
        media_type: Schema = {
            "schema": {
                "type": "object",
                "properties": {"success": {"type": "boolean", "const": True}, "data": schema},
                "required": ["success", "data"],
            }
        }
        if self.said.answer is not None:
            media_type["example"] = {"success": True, "data": self.said.answer}
        return media_type

    def _data(self, direction: Any) -> Schema:
        shape = self.said.response
        if isinstance(shape, Mapping):
            return dict(shape)
        found = self._get_response_for_code(force_instance(shape), str(self.said.status), ["data"], direction)  # type: ignore[no-untyped-call]
        return cast("Schema", found["content"]["data"]["schema"])

    def _is_list_view(self, serializer: Any = None) -> bool:
        """Never guessed: `many` and the serializer say it."""
        return False


class InstantExtension(OpenApiSerializerFieldExtension):
    target_class = Instant
    match_subclasses = True

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> Schema:
        return {"type": "string", "format": "date-time"}


class DayOrInstantExtension(OpenApiSerializerFieldExtension):
    target_class = DayOrInstant

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> Schema:
        return {"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time"}]}
