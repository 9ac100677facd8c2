"""As much of S3 as django-storages asks for, on loopback."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class Bucket:
    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    down: bool = False


@contextmanager
def serving(name: str) -> Iterator[Bucket]:
    bucket = Bucket()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # answers "Expect: 100-continue", for which boto3 waits

        def log_message(self, format: str, *args: object) -> None:
            pass

        def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def key(self) -> str:
            path = unquote(urlsplit(self.path).path)
            assert path.startswith(f"/{name}")
            return path.removeprefix(f"/{name}").removeprefix("/")

        def do_PUT(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            if bucket.down:
                return self.answer(503)
            if "aws-chunked" in self.headers.get("Content-Encoding", ""):
                data = unchunked(data)
            bucket.objects[self.key()] = data
            bucket.headers[self.key()] = {key.lower(): value for key, value in self.headers.items()}
            return self.answer(200, ETag='"0"')

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            if not self.key():
                return self.answer(
                    200, listing(name, bucket, query.get("prefix", [""])[0]), Content_Type="application/xml"
                )
            if self.key() not in bucket.objects:
                return self.answer(404)
            modified = "Fri, 05 Dec 2025 10:00:00 GMT"
            return self.answer(200, bucket.objects[self.key()], ETag='"0"', Last_Modified=modified)

        do_HEAD = do_GET

        def do_DELETE(self) -> None:
            bucket.objects.pop(self.key(), None)
            self.answer(204)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    bucket.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield bucket
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def listing(name: str, bucket: Bucket, prefix: str) -> bytes:
    keys = "".join(
        f"<Contents><Key>{key}</Key></Contents>" for key in sorted(bucket.objects) if key.startswith(prefix)
    )
    space = "http://s3.amazonaws.com/doc/2006-03-01/"
    inside = f"<Name>{name}</Name><IsTruncated>false</IsTruncated>{keys}"
    return f'<ListBucketResult xmlns="{space}">{inside}</ListBucketResult>'.encode()


def unchunked(data: bytes) -> bytes:
    """The object inside the frames that boto3 puts around it."""
    whole = b""
    while data:
        head, _, data = data.partition(b"\r\n")
        size = int(head.split(b";")[0], 16)
        if not size:
            break
        whole, data = whole + data[:size], data[size + 2 :]
    return whole
