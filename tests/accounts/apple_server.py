"""Apple's token server for tests: it believes only what Apple would believe, and remembers what it was asked."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.accounts.providers import APPLE_CLIENT, Quiet, apple

TEAM, KEY_ID = "TEAM123456", "KEY1234567"
SIX_MONTHS_S = 15_777_000
Answer = tuple[int, bytes]


@cache
def team_key(name: str = "ours") -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def p8(key: Any) -> str:
    """The text of a .p8 file."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()  # type: ignore[no-any-return]


class AppleServer:
    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/auth"
        # Codes that it gave an app, and the refresh tokens behind them: whose they are.
        self.codes: dict[str, str] = {}
        self.tokens: dict[str, str] = {}
        self.revoked: list[str] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        # Overrides every answer.
        self.answer: Answer | None = None
        self.delay_s = 0.0
        self.before_answering: Any = None

    def code(self, subject: str, name: str = "c1.code") -> str:
        self.codes[name] = subject
        return name

    def asked_for(self, path: str, content_type: str, body: bytes) -> Answer:
        form = {name: values[0] for name, values in parse_qs(body.decode(), strict_parsing=True).items()}
        self.asked.append((path, form))
        time.sleep(self.delay_s)
        if self.before_answering:
            self.before_answering()
        if self.answer:
            return self.answer
        if content_type != "application/x-www-form-urlencoded":
            return refused("invalid_request")
        if not is_ours(form.get("client_secret", ""), form.get("client_id", "")):
            return refused("invalid_client")
        return self.exchanged(form) if path == "/auth/token" else self.ended(form)

    def exchanged(self, form: dict[str, str]) -> Answer:
        subject = self.codes.pop(form.get("code", ""), None)
        if form.get("grant_type") != "authorization_code" or subject is None:
            return refused("invalid_grant")
        token = f"r{len(self.tokens)}.refresh.token"
        self.tokens[token] = subject
        answer = {"access_token": "a1", "token_type": "Bearer", "expires_in": 3600, "refresh_token": token}
        return 200, json.dumps(answer | {"id_token": apple(sub=subject)}).encode()

    def ended(self, form: dict[str, str]) -> Answer:
        if form.get("token_type_hint") != "refresh_token" or "token" not in form:
            return refused("invalid_request")
        self.tokens.pop(form["token"], None)
        self.revoked.append(form["token"])
        return 200, b""


def refused(error: str) -> Answer:
    return 400, json.dumps({"error": error}).encode()


def is_ours(secret: str, client_id: str) -> bool:
    try:
        header = jwt.get_unverified_header(secret)
        claims = jwt.decode(
            secret,
            team_key().public_key(),
            algorithms=["ES256"],
            audience="https://appleid.apple.com",
            issuer=TEAM,
            # Tests move the clock on.
            options={"require": ["iss", "iat", "exp", "aud", "sub"], "verify_iat": False},
        )
    except jwt.PyJWTError:
        return False
    short = claims["exp"] - claims["iat"] <= SIX_MONTHS_S
    return bool(header["kid"] == KEY_ID and short and claims["sub"] == client_id == APPLE_CLIENT)


class Handler(BaseHTTPRequestHandler):
    played_by: ClassVar[AppleServer]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, answer = self.played_by.asked_for(self.path, self.headers["Content-Type"], body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        if status == 302:
            self.send_header("Location", self.played_by.url + "/token")
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_args: Any) -> None:
        pass


@contextmanager
def apple_server() -> Iterator[AppleServer]:
    handler = type("Bound", (Handler,), {})
    http = Quiet(("127.0.0.1", 0), handler)
    server = handler.played_by = AppleServer(http.server_port)  # type: ignore[attr-defined]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
