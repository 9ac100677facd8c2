"""Google's and Apple's push services on loopback: they speak their protocols, and misbehave on demand."""

import asyncio
import contextlib
import json
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection

from zinzino import clock

# What a fake does instead of answering.
HANG, RESET = "hang", "reset"


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    instead: str = ""

    @property
    def content(self) -> bytes:
        return b"" if self.body is None else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Received:
    token: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def id(self) -> str:
        """What makes two attempts one message on the phone."""
        if "apns-id" in self.headers:
            return self.headers["apns-id"]
        tag: str = self.body["message"]["android"]["collapse_key"]
        return tag


class Service:
    """What both have in common: what came, and what each token is answered."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        # For a token one after the other, the last one for ever; everything else succeeds.
        self.answers: dict[str, list[Answer]] = {}
        # For every token that has no answers of its own.
        self.default = Answer()
        # What happens when so many have come, before they are answered.
        self.then: dict[int, Callable[[], None]] = {}
        self.connections = 0
        self.released = threading.Event()
        self.lock = threading.Lock()

    def says(self, token: str, *answers: Answer) -> None:
        self.answers[token] = list(answers)

    def when(self, count: int, happens: Callable[[], None]) -> None:
        self.then[count] = happens

    def took(self, received: Received) -> Answer:
        with self.lock:
            self.received.append(received)
            if happens := self.then.pop(len(self.received), None):
                happens()
            planned = self.answers.get(received.token)
            if not planned:
                return self.default
            return planned.pop(0) if len(planned) > 1 else planned[0]

    def tokens(self) -> list[str]:
        return [each.token for each in self.received]

    def by_id(self) -> dict[str, int]:
        """How often each message came."""
        counts: dict[str, int] = defaultdict(int)
        for each in self.received:
            counts[each.id] += 1
        return counts


# ------------------------------------------------------------------------------------------- Google


class FakeFcm(Service):
    def __init__(self) -> None:
        super().__init__()
        self.tokens_given = 0
        self.token_answer: Answer | None = None
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                fake.answer(self, content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that hung up is no error of ours."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler, content: bytes) -> None:
        if handler.path == "/token":
            self.tokens_given += 1
            good = {"access_token": f"ya29.{self.tokens_given}", "expires_in": 3600, "token_type": "Bearer"}
            return self.write(handler, self.token_answer or Answer(200, good))
        body = json.loads(content)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        return self.write(handler, self.took(Received(body["message"]["token"], headers, body)))

    def write(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        if answer.instead == HANG:
            self.released.wait(20)
        if answer.instead:
            handler.close_connection = True
            return
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer.content)))
        handler.end_headers()
        handler.wfile.write(answer.content)

    def close(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()

    def service_account(self) -> str:
        return json.dumps(
            {
                "type": "service_account",
                "project_id": "zinzino-test",
                "private_key_id": "k",
                "private_key": rsa_pem(),
                "client_email": "push@zinzino-test.iam.gserviceaccount.com",
                "token_uri": f"{self.url}/token",
            }
        )


def fcm_error(status: int, name: str, code: str = "", **headers: str) -> Answer:
    """As the REST reference shows it: Google's status, and FCM's own code in the details."""
    kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
    details = [{"@type": kind, "errorCode": code}] if code else []
    body = {"error": {"code": status, "message": "m", "status": name, "details": details}}
    return Answer(status, body, {key.replace("_", "-"): value for key, value in headers.items()})


# -------------------------------------------------------------------------------------------- Apple


class FakeApns(Service):
    """HTTP/2 over TLS, as Apple speaks it."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.certificate = folder / "apns.pem"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self_signed(folder))
        context.set_alpn_protocols(["h2"])
        self.loop = asyncio.new_event_loop()
        started = threading.Event()

        async def serve() -> None:
            self.server = await self.loop.create_server(lambda: Connection(self), "127.0.0.1", 0, ssl=context)
            self.port: int = self.server.sockets[0].getsockname()[1]
            started.set()

        self.transports: set[Any] = set()
        self.starting = self.loop.create_task(serve())
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        assert started.wait(5)
        self.url = f"https://127.0.0.1:{self.port}"

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.hang_up)
        self.thread.join(5)
        self.loop.close()

    def hang_up(self) -> None:
        self.server.close()
        for transport in self.transports:
            transport.abort()
        # The transports take two more rounds to end.
        self.loop.call_later(0.05, self.loop.stop)


class Connection(asyncio.Protocol):
    def __init__(self, fake: FakeApns) -> None:
        self.fake = fake
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.headers: dict[int, dict[str, str]] = {}
        self.bodies: dict[int, bytes] = defaultdict(bytes)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.fake.transports.add(transport)
        self.fake.connections += 1
        self.h2.initiate_connection()
        self.transport.write(self.h2.data_to_send())

    def connection_lost(self, error: Exception | None) -> None:
        self.fake.transports.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            match event:
                case events.RequestReceived():
                    self.headers[event.stream_id] = {str(name): str(value) for name, value in event.headers}
                case events.DataReceived():
                    self.bodies[event.stream_id] += event.data
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                case events.StreamEnded():
                    self.answer(event.stream_id)
        with contextlib.suppress(OSError):
            self.transport.write(self.h2.data_to_send())

    def answer(self, stream: int) -> None:
        headers = self.headers[stream]
        token = headers[":path"].removeprefix("/3/device/")
        answer = self.fake.took(Received(token, headers, json.loads(self.bodies[stream])))
        if answer.instead == RESET:
            self.transport.abort()
        if answer.instead:
            return
        shown = [(":status", str(answer.status)), ("apns-id", headers.get("apns-id", "")), *answer.headers.items()]
        self.h2.send_headers(stream, shown, end_stream=not answer.content)
        if answer.content:
            self.h2.send_data(stream, answer.content, end_stream=True)


def apns_error(status: int, reason: str, **said: Any) -> Answer:
    return Answer(status, {"reason": reason, **said})


# --------------------------------------------------------------------------------------------- keys


def pem_of(key: Any) -> str:
    pem: str = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return pem.strip()


@cache
def rsa_pem() -> str:
    return pem_of(rsa.generate_private_key(public_exponent=65537, key_size=2048))


@cache
def apple_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def self_signed(folder: Path) -> tuple[Path, Path]:
    key, now = ec.generate_private_key(ec.SECP256R1()), clock.now()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "apns.pem", folder / "apns.key"
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    private.write_text(pem_of(key))
    return certificate, private


@contextlib.contextmanager
def running(folder: Path) -> Iterator[tuple[FakeFcm, FakeApns]]:
    google, apple = FakeFcm(), FakeApns(folder)
    try:
        yield google, apple
    finally:
        google.close()
        apple.close()


def settings_for(google: FakeFcm, apple: FakeApns) -> dict[str, Any]:
    """The product's settings that lead to the two."""
    return {
        "FCM_URL": google.url,
        "FCM_SERVICE_ACCOUNT": google.service_account(),
        "APNS_URL": apple.url,
        "APNS_KEY": pem_of(apple_key()),
        "APNS_KEY_ID": "KEY0000001",
        "APNS_TEAM_ID": "TEAM000001",
        "APNS_TOPIC": "example.zinzino.app",
        "APNS_CA_FILE": str(apple.certificate),
        "PUSH_TIMEOUT_S": 1,
    }


def wait_until(holds: Any, *, within_s: float = 10.0) -> None:
    until = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)
