"""JSON in: whatever is sent, the answer is a value or a clear refusal, never a crash (api.md 0)."""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import IO, Any

from django.conf import settings
from django.http import QueryDict
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from zinzino.api.context import api_path
from zinzino.api.errors import PayloadTooLarge, UnreadableBody

MAX_DEPTH = 32
# An answer must not grow with what was sent: so many bad fields are named, each so far.
MAX_NAMED, MAX_PATH_CHARS = 20, 100
# NUL and lone surrogates can be stored by neither PostgreSQL's text nor its jsonb.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class SafeJSONParser(BaseParser):
    media_type = "application/json"
    storable = True

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        request = (parser_context or {})["request"]
        body = read(stream, announced=request.META.get("CONTENT_LENGTH"), most=limit(request))
        return loads(body, storable=self.storable)


class UncheckedTextParser(SafeJSONParser):
    """For a view that looks itself for texts that cannot be stored."""

    storable = False


def body_of(request: Request) -> dict[str, Any]:
    """The JSON object that a request carries. No body at all counts as `{}`, whatever it is said to be.

    Without this, DRF takes an empty body of a form type for a form whose check boxes are all off.
    """
    data: Any = request.data
    return {} if isinstance(data, QueryDict) else data


def limit(request: Any) -> int:
    sync = api_path(request).startswith("/sync/")
    return settings.MAX_SYNC_BYTES if sync else settings.MAX_JSON_BYTES


def read(stream: IO[bytes], *, announced: str | None, most: int) -> bytes:
    """The body, refused by its announced length before a byte of it is read."""
    if announced and announced.isdigit() and int(announced) > most:
        raise PayloadTooLarge(limit_bytes=most)
    body = stream.read(most + 1)
    if len(body) > most:
        raise PayloadTooLarge(limit_bytes=most)
    return body


def loads(body: bytes, *, storable: bool = True) -> dict[str, Any]:
    """The JSON object in `body`, with `storable` of texts that PostgreSQL takes. An empty body counts as `{}`.

    Raises UnreadableBody (400) where no field can be named, ValidationError where one can.
    """
    if not body.strip():
        return {}
    try:
        value = json.loads(body.decode(), parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise UnreadableBody from error
    if not isinstance(value, dict):
        raise UnreadableBody
    # Most bodies are too small to be deep, and a bad character can only come escaped or raw NUL.
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and depth(value) > MAX_DEPTH:
        raise UnreadableBody(_("The request body is nested too deeply."))
    if storable and b"\\u" in body and (bad := list(islice(unstorable(value), MAX_NAMED))):
        said = _("This text holds characters that cannot be stored.")
        raise ValidationError({path[:MAX_PATH_CHARS]: [said] for path in bad})
    return value


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError(digits)
    return number


def depth(value: Any) -> int:
    """How deeply arrays and objects are nested, level by level, no further than one above the limit."""
    level, deepest = [value], 0
    while deepest <= MAX_DEPTH and (level := [each for each in level if isinstance(each, (dict, list))]):
        deepest += 1
        level = [inner for outer in level for inner in children(outer)]
    return deepest


def children(value: dict[str, Any] | list[Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value


def unstorable(value: Any, path: str = "") -> Iterator[str]:
    """Dotted paths of the texts that PostgreSQL cannot store."""
    if isinstance(value, str):
        if UNSTORABLE.search(value):
            yield path
        return
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        name = UNSTORABLE.sub("?", str(key))
        deeper = f"{path}.{name}" if path else name
        if name != str(key):
            yield deeper
        yield from unstorable(inner, deeper)
