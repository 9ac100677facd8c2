"""Bodies that come in chunks: Django reads only what a Content-Length announces (PEP 3333)."""

from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

# Above every limit of a route, so that the route itself refuses what is too large.
READ_AT_MOST = 6_000_000

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def with_announced_length(application: Application) -> Application:
    """Reads a chunked body, as far as any route would take it, and says how long it is."""

    def announced(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower() and not environ.get("CONTENT_LENGTH"):
            body = environ["wsgi.input"].read(READ_AT_MOST)
            environ |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        return application(environ, start_response)

    return announced
