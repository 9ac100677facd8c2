"""A pair of embedded servers of its own for these tests; they kill it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import psutil
import psycopg
import pytest
import redis
from environ import Env

from zinzino import embedded
from zinzino.embedded.layout import Layout

USER = """
import sys
from pathlib import Path
from typing import Any, cast
from zinzino import embedded
embedded.attach(Path(sys.argv[1]), postgres="postgres" in sys.argv, valkey="valkey" in sys.argv)
print("attached", flush=True)
sys.stdin.read()
"""


class Servers:
    """The embedded servers of one data folder, and the processes that use them."""

    def __init__(self, data_dir: Path) -> None:
        self.layout = Layout(data_dir)
        self.users: list[subprocess.Popen[str]] = []

    def user(self, *names: str) -> subprocess.Popen[str]:
        """A process that uses the servers until it is ended."""
        process = subprocess.Popen(
            [sys.executable, "-c", USER, str(self.layout.data_dir), *(names or ("postgres", "valkey"))],
            env={**os.environ, "EMBEDDED_FSYNC": "off", "PYTHONPATH": str(embedded.PROJECT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.users.append(process)
        return process

    def attached(self, *names: str) -> subprocess.Popen[str]:
        process = self.user(*names)
        assert process.stdout
        line = process.stdout.readline()
        assert line == "attached\n", process.communicate()[1]
        return process

    def end_users(self) -> None:
        for process in self.users:
            process.kill()
            process.communicate()
        self.users.clear()

    def end(self) -> None:
        """End all at once: the guardian would wait a second for the next user."""
        self.end_users()
        if self.layout.guardian_lock.exists() and embedded.guarded(self.layout):
            self.guardian.terminate()
            eventually(lambda: not embedded.guarded(self.layout))

    @property
    def guardian(self) -> psutil.Process:
        return psutil.Process(int(self.layout.guardian_lock.read_text()))

    def server(self, name: str) -> psutil.Process:
        [process] = [child for child in self.guardian.children() if child.name() == name]
        return process

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        parts = cast(Any, Env).db_url_config(embedded.urls(self.layout.data_dir)[0])
        return psycopg.connect(host=parts["HOST"], user=parts["USER"], dbname=parts["NAME"], autocommit=True)

    def query(self, statement: str) -> object:
        with self.connect() as connection:
            row = connection.execute(statement).fetchone()
        return row and row[0]

    @property
    def valkey(self) -> redis.Redis:
        return redis.Redis.from_url(embedded.urls(self.layout.data_dir)[1])


def eventually(holds: Callable[[], object], within_s: float = 10.0) -> None:
    """Wait until `holds()` is true; errors of a server that is away count as false."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            if holds():
                return
        except (psycopg.Error, redis.RedisError, psutil.Error, OSError, ValueError, KeyError):
            pass
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


# tmp_path carries the test's name and is too long for sockets; test_urls.py looks at such paths.
@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers(tmp_path_factory.mktemp("e") / "var")
    yield servers
    servers.end()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers with data, shared because making the data takes a second."""
    servers = Servers(tmp_path_factory.mktemp("e") / "var")
    servers.attached()
    with servers.connect() as connection:
        connection.execute("CREATE TABLE kept (value int)")
        connection.execute("INSERT INTO kept VALUES (42)")
    servers.valkey.set("kept", "42")
    yield servers
    servers.end()
