"""The live channel as a process of its own, and sockets that speak to it."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from pytest_django import Settings
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from accounts import services
from accounts.sessions import Client as Described
from tests import make
from tests.clients import Phone
from tests.processes import end
from zinzino import clock

# In the process: the test database instead of the one that its settings name.
START = (
    "import sys, django; from django.conf import settings; django.setup();"
    "settings.DATABASES['default']['NAME'] = sys.argv[1];"
    "from django.core.management import call_command; call_command('live')"
)
Json = dict[str, Any]


def until(holds: Callable[[], Any], within_s: float = 20.0) -> Any:
    """Wait until something holds; what it gave last."""
    deadline = time.monotonic() + within_s
    while not (found := holds()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    def __init__(self, folder: Path, **environment: str) -> None:
        self.port = free_port()
        self.log = folder / f"live-{self.port}.log"
        # No sweep helps: what arrives was hinted at, unless a test says otherwise.
        self.environment = {"LIVE_SWEEP_S": "60", **environment}
        self.process: subprocess.Popen[bytes] | None = None
        self.sockets = contextlib.ExitStack()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def start(self) -> "Server":
        own = {"LIVE_PORT": str(self.port), "LIVE_URL": self.url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
        name = str(connection.settings_dict["NAME"])
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", START, name],
                env={**os.environ, **own, **self.environment},
                cwd=django_settings.BASE_DIR,
                stdout=log,
                stderr=log,
            )
        assert until(self.is_ready, 60), self.said()
        return self

    def is_ready(self) -> bool:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)) as probe:
            try:
                probe.request("GET", "/health/ready")
                return probe.getresponse().status == http.HTTPStatus.OK
            except OSError:
                return False

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def stop(self, signum: int = signal.SIGTERM) -> float:
        """How long it took, in seconds."""
        assert self.process
        started = time.monotonic()
        self.process.send_signal(signum)
        self.process.wait(20)
        return time.monotonic() - started

    def open(self, phone: Phone, since: str = "", **options: Any) -> "Listener":
        """A socket by ticket."""
        return self.dial(ticket_of(phone), since, **options)

    def dial(self, ticket: str, since: str = "", **options: Any) -> "Listener":
        address = f"{self.url}/v1/live?ticket={ticket}" + (f"&since={since}" if since else "")
        return self.entered(connect(address, max_size=None, **options))

    def open_by_header(self, token: str, query: str = "") -> "Listener":
        headers = {"Authorization": f"Bearer {token}"}
        return self.entered(connect(f"{self.url}/v1/live{query}", additional_headers=headers))

    def entered(self, socket: Any) -> "Listener":
        """Closed when the test ends."""
        return Listener(self.sockets.enter_context(socket))


class Listener:
    """The client's end of a socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def hear(self, within_s: float = 5.0) -> Json:
        message: Json = json.loads(self.socket.recv(timeout=within_s))
        return message

    def page(self, within_s: float = 5.0) -> Json:
        message = self.hear(within_s)
        assert message["type"] == "delta", message
        data: Json = message["data"]
        return data

    def silent(self, for_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            self.socket.recv(timeout=for_s)
            return False
        return True

    def end(self, within_s: float = 10.0) -> tuple[int, str]:
        """The close code and the reason, after whatever still comes."""
        deadline = time.monotonic() + within_s
        try:
            while True:
                self.socket.recv(timeout=max(0.01, deadline - time.monotonic()))
        except ConnectionClosed as closed:
            return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")

    def close(self) -> None:
        self.socket.close()


def ticket_of(phone: Phone) -> str:
    answer = phone.post("/realtime/ticket")
    assert answer.status_code == 200, answer.json()
    return str(answer.data["ticket"])


def another_sign_in(phone: Phone) -> Phone:
    """The same person on another phone."""
    described = Described(platform="android")
    email = str(phone.user.email)
    return Phone(services.login(email=email, password=make.PASSWORD, client=described, now=clock.now()))


@pytest.fixture(scope="package")
def shared(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("live"), LIVE_SOCKETS_PER_USER="4", LIVE_SLOW_S="2", LOG_LEVEL="DEBUG")
    yield server
    if server.process and server.process.poll() is None:
        server.stop()


@pytest.fixture
def live(transactional_db: None, shared: Server, settings: Settings) -> Iterator[Server]:
    """The server of all tests that do it no harm."""
    if shared.process is None or shared.process.poll() is not None:
        shared.start()
    settings.LIVE_URL = shared.url
    yield shared
    shared.sockets.close()


@pytest.fixture
def servers(transactional_db: None, tmp_path: Path, settings: Settings) -> Iterator[Callable[..., Server]]:
    """`servers(SYNC_PAGE_ROWS="2")` starts one with settings of its own."""
    started: list[Server] = []

    def start(**environment: str) -> Server:
        server = Server(tmp_path, **environment).start()
        started.append(server)
        settings.LIVE_URL = server.url
        return server

    yield start
    for server in started:
        server.sockets.close()
        if server.process and server.process.poll() is None:
            end(server.process)
