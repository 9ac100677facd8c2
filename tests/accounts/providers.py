"""Google and Apple for tests: their key servers on loopback, and tokens signed with locally made keys."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from zinzino import clock

GOOGLE_CLIENT, WEB_CLIENT, APPLE_CLIENT = "ios.google.example", "web.google.example", "example.zinzino.app"


@cache
def key(name: str = "k1") -> rsa.RSAPrivateKey:
    """Made once a run: each takes some 50 ms."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_pem(name: str = "k1") -> bytes:
    return key(name).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@cache
def certificate(name: str) -> str:
    """What Google publishes of a key."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = clock.now()
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key(name).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=14))
        .sign(key(name), hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode()


def jwk(name: str) -> dict[str, Any]:
    """What Apple publishes of a key."""
    found: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(key(name).public_key(), as_dict=True)
    return found | {"kid": name, "alg": "RS256", "use": "sig"}


class KeyServer:
    """Publishes keys the way Google (`/google`) and Apple (`/apple`) do."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.hits: list[str] = []
        self.key_ids = ["k1"]
        self.cache_control = "public, max-age=19000, must-revalidate"
        self.status = 200
        self.delay_s = 0.0
        # Overrides what is published.
        self.body: bytes | None = None
        self.location = ""

    def url(self, provider: str) -> str:
        return f"http://127.0.0.1:{self.port}/{provider}"

    def published(self, path: str) -> bytes:
        self.hits.append(path)
        time.sleep(self.delay_s)
        if self.body is not None:
            return self.body
        if path == "/apple":
            return json.dumps({"keys": [jwk(name) for name in self.key_ids]}).encode()
        return json.dumps({name: certificate(name) for name in self.key_ids}).encode()


class Handler(BaseHTTPRequestHandler):
    published_by: ClassVar[KeyServer]

    def do_GET(self) -> None:
        server = self.published_by
        body = server.published(self.path)
        self.send_response(server.status)
        self.send_header("Cache-Control", server.cache_control)
        self.send_header("Content-Length", str(len(body)))
        if server.location:
            self.send_header("Location", server.location)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: Any) -> None:
        pass


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_args: Any) -> None:
        """A client that gave up is what some tests are about."""


@contextmanager
def key_server() -> Iterator[KeyServer]:
    handler = type("Bound", (Handler,), {})
    http = Quiet(("127.0.0.1", 0), handler)
    server = handler.published_by = KeyServer(http.server_port)  # type: ignore[attr-defined]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def google(**changes: Any) -> str:
    """A token as Google's SDK gives it."""
    usual = {
        "iss": "https://accounts.google.com",
        "aud": GOOGLE_CLIENT,
        "azp": GOOGLE_CLIENT,
        "sub": "110169484474386276334",
        "email": "ayse@gmail.com",
        "email_verified": True,
        "name": "Ayşe Yılmaz",
        "picture": "https://lh3.googleusercontent.com/a/ayse=s96-c",
    }
    return signed(usual, **changes)


def apple(**changes: Any) -> str:
    """A token as Sign in with Apple gives it."""
    usual = {
        "iss": "https://appleid.apple.com",
        "aud": APPLE_CLIENT,
        "sub": "001234.0a1b2c3d4e5f.0789",
        "email": "x7f@privaterelay.appleid.com",
        "email_verified": "true",
        "is_private_email": "true",
        "nonce_supported": True,
        "auth_time": int(time.time()),
    }
    return signed(usual, **changes)


def signed(usual: dict[str, Any], *, by: str = "k1", kid: str | None = None, **changes: Any) -> str:
    """`changes` replace claims; None leaves one out. `by` is the key that signs, `kid` the one that is named."""
    now = int(time.time())
    claims = {"iat": now, "exp": now + 3600, **usual, **changes}
    kept = {name: value for name, value in claims.items() if value is not None}
    # Not `jwt.encode`, which refuses to write some of the nonsense that tests send.
    return jwt.PyJWS().encode(json.dumps(kept).encode(), key(by), algorithm="RS256", headers={"kid": kid or by})
