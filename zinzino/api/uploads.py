"""One file in a multipart body, never more of it in memory than its view allows (accounts.md A5)."""

from collections.abc import Mapping
from io import BytesIO
from typing import IO, Any, cast

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.utils.translation import gettext_lazy
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from zinzino.api.errors import PayloadTooLarge, UnreadableBody, UnsupportedMediaType

# The OpenAPI shape of such a body.
ONE_FILE = {
    "type": "object",
    "properties": {"file": {"type": "string", "format": "binary"}},
    "required": ["file"],
}
FIELD = "file"
# What boundaries and headers may add to the file.
FRAME_BYTES = 64 * 1024


class NotMultipart(UnsupportedMediaType):
    message = gettext_lazy("The content type is not supported; send multipart/form-data.")


class UnreadableUpload(UnreadableBody):
    message = gettext_lazy("The request body must be a multipart form.")


class FileParser(BaseParser):
    """The bytes of the field `file`, at most `max_file_bytes` of the view; all else is skipped unread."""

    media_type = "multipart/form-data"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, bytes]:
        context = parser_context or {}
        most: int = context["view"].max_file_bytes
        meta = context["request"].META
        refuse_announced(meta.get("CONTENT_LENGTH") or "", most)
        handler = InMemory(most)
        try:
            MultiPartParser(meta, cast("Any", stream), [handler]).parse()
        except RequestDataTooBig as error:
            raise PayloadTooLarge(limit_bytes=most) from error
        except (MultiPartParserError, TooManyFieldsSent, TooManyFilesSent) as error:
            raise UnreadableUpload from error
        return {} if handler.content is None else {FIELD: handler.content}


def refuse_announced(length: str, most: int) -> None:
    """Before a byte is read."""
    if length.isdigit() and int(length) > most + FRAME_BYTES:
        raise PayloadTooLarge(limit_bytes=most)


class InMemory(FileUploadHandler):
    """Keeps the first part named `file`; gives up at the first byte above the limit."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.buffer = BytesIO()
        self.content: bytes | None = None

    def new_file(self, field_name: str, *args: Any, **kwargs: Any) -> None:
        super().new_file(field_name, *args, **kwargs)
        if field_name != FIELD or self.content is not None:
            raise SkipFile

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self.buffer.write(raw_data)
        if self.buffer.tell() > self.most:
            raise PayloadTooLarge(limit_bytes=self.most)

    def file_complete(self, file_size: int) -> None:
        self.content = self.buffer.getvalue()


def require_multipart(request: Request) -> None:
    """Raises NotMultipart, in words that fit this route."""
    if request.content_type.partition(";")[0].strip().lower() != FileParser.media_type:
        raise NotMultipart
