"""JSON out: orjson, the success envelope, and the time format of the contract."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import orjson
from django.utils.functional import Promise
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer

from zinzino.clock import iso


class Message(str):
    """An answer that is only a sentence: `{"success": true, "message": …}`."""

    __slots__ = ()


def raw(text: str | bytes) -> orjson.Fragment:
    """JSON that PostgreSQL has already built, to be sent as it is."""
    return orjson.Fragment(text)


def dumps(value: Any) -> bytes:
    return orjson.dumps(value, default=_encode, option=orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS)


def _encode(value: Any) -> Any:
    match value:
        case datetime():
            return iso(value)
        case date() | time():
            return value.isoformat()
        case Decimal():
            return float(value)
        case Promise() | str():
            return str(value)
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")


class EnvelopeRenderer(BaseRenderer):
    """Wraps what a view returns; errors arrive here wrapped already."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        response = (renderer_context or {}).get("response")
        if response is not None and response.exception:
            return dumps(data)
        if response is not None and response.status_code == 204:
            return b""
        if isinstance(data, Message):
            return dumps({"success": True, "message": str(data)})
        return dumps({"success": True, "data": data})


class OnlyJSON(BaseContentNegotiation):
    """The API speaks JSON whatever `Accept` says: an error would not help a client that asks for more."""

    def select_parser(self, request: Any, parsers: Iterable[Any]) -> Any:
        media_type = (request.content_type or "").split(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == media_type), None)

    def select_renderer(
        self, request: Any, renderers: Iterable[Any], format_suffix: str | None = None
    ) -> tuple[Any, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type
