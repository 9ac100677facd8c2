"""One part of a file, for clients that go on where they were cut off (RFC 9110, 13.1.5 and 14)."""

import re
from collections.abc import Iterator
from typing import IO, Any

from django.http import HttpResponse, StreamingHttpResponse

from zinzino.api.errors import RangeNotSatisfiable, http_response

CHUNK_BYTES = 64 * 1024
ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


def asked_part(header: str, size: int) -> tuple[int, int] | None:
    """The first byte and the one after the last of what `Range` asks for; None for the whole file.

    What is no single range of bytes is ignored, as the RFC allows. Raises RangeNotSatisfiable.
    """
    match = ONE_RANGE.fullmatch(header.strip())
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match.groups()
    if first == "":
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    if start >= size or start >= end:
        raise RangeNotSatisfiable
    return start, end


def file_response(file: IO[Any], *, size: int, etag: str, headers: dict[str, str], filename: str) -> HttpResponse:
    """200 or 206 with as much of an open file as was asked for; 416 where there is no such part.

    `headers`: `Range` and `If-Range` of the request. `etag` without its quotation marks, strong.
    """
    tag = f'"{etag}"'
    # Of another file than the client has begun, it needs the whole.
    wanted = headers["range"] if headers["if_range"] in ("", tag) else ""
    try:
        part = asked_part(wanted, size)
    except RangeNotSatisfiable as error:
        file.close()
        refused = http_response(error)
        refused["Content-Range"] = f"bytes */{size}"
        return refused
    start, end = part or (0, size)
    response = StreamingHttpResponse(Part(file, start, end), status=206 if part else 200)
    response["Content-Length"] = str(end - start)
    response["Content-Type"] = "application/octet-stream"
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    response["ETag"], response["Accept-Ranges"] = tag, "bytes"
    if part:
        response["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return response  # type: ignore[return-value]  # what both have is all that anybody needs


class Part:
    """The bytes of a file from `start` to `end`; closed with its response, also where nobody has read them."""

    def __init__(self, file: IO[Any], start: int, end: int) -> None:
        self.file, self.start, self.left = file, start, end - start

    def __iter__(self) -> Iterator[bytes]:
        self.file.seek(self.start)
        while self.left > 0 and (chunk := self.file.read(min(CHUNK_BYTES, self.left))):
            self.left -= len(chunk)
            yield chunk

    def close(self) -> None:
        self.file.close()
