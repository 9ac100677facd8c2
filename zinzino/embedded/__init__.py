"""PostgreSQL and Valkey from wheels, for a start that needs nothing installed.

A guardian process starts both, restarts what dies and ends them after their last user. A user is a
process that holds a shared lock on `run/users.lock`; the kernel lets go of it however the process ends.
"""

import fcntl
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO
from urllib.parse import parse_qs, urlsplit

from zinzino.embedded import postgres, valkey
from zinzino.embedded.layout import EmbeddedError, Layout

__all__ = ["EmbeddedError", "attach", "broker_url", "ensure", "leave", "urls"]

ATTACH_WITHIN_S = 90.0
POLL_S = 0.02
PROJECT = Path(__file__).resolve().parents[2]
# What the guardian inherits. Not everything: it outlives the process that starts it.
KEPT = ("HOME", "LANG", "PATH", "EMBEDDED_FSYNC", "LD_LIBRARY_PATH")

_users: dict[Layout, int] = {}  # the descriptors of users.lock; never closed by accident
_guard = threading.Lock()


def urls(data_dir: Path) -> tuple[str, str]:
    """DATABASE_URL and REDIS_URL of the embedded pair, on unix sockets: no port, so no clash."""
    layout = Layout(data_dir)
    return layout.database_url, layout.redis_url


def broker_url(redis_url: str) -> str:
    """The same Redis as Celery writes it, which has a form of its own for sockets."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    database = parse_qs(parts.query).get("db", ["0"])[0]
    return f"redis+socket://{parts.path}?virtual_host={database}"


def attach(data_dir: Path, *, postgres: bool, valkey: bool) -> None:
    """Use the embedded servers until this process ends; returns once the wanted ones answer.

    The lock that registers us survives a fork, not an exec: forked workers are users too.
    """
    names = [name for name, wanted in (("postgres", postgres), ("valkey", valkey)) if wanted]
    if not names:
        return
    layout = Layout(data_dir)
    with _guard:
        if layout not in _users:
            layout.make()
            _users[layout] = _register(layout)
        for name in names:
            layout.wanted(name).touch()
        _await_servers(layout, names)


def ensure(data_dir: Path) -> None:
    """Bring back a guardian that was killed, without waiting for its servers."""
    layout = Layout(data_dir)
    if layout in _users and not guarded(layout):
        start_guardian(layout)


def leave(data_dir: Path, *, within_s: float) -> None:
    """Stop being a user and, if we were the last, see the servers end."""
    layout = Layout(data_dir)
    with _guard:
        registration = _users.pop(layout, None)
    if registration is None:
        return
    os.close(registration)
    with layout.users_lock.open("a") as probe:  # ours may live on in a forked child
        alone = try_lock(probe, fcntl.LOCK_EX)
    deadline = time.monotonic() + within_s
    while alone and guarded(layout) and time.monotonic() < deadline:
        time.sleep(POLL_S)


def _register(layout: Layout) -> int:
    """The shared lock. A guardian that is stopping holds it alone, so we wait for its end first."""
    file = os.open(layout.users_lock, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + ATTACH_WITHIN_S
    while not try_lock(file, fcntl.LOCK_SH):
        if time.monotonic() > deadline:
            os.close(file)
            raise EmbeddedError(f"The servers of {layout.data_dir} do not finish stopping; see {layout.log}.")
        time.sleep(POLL_S)
    return file


def _await_servers(layout: Layout, names: list[str]) -> None:
    checks = {
        "postgres": lambda: postgres.answers(layout.postgres_socket),
        "valkey": lambda: valkey.answers(layout.valkey_socket),
    }
    deadline = time.monotonic() + ATTACH_WITHIN_S
    if not guarded(layout):
        layout.error.unlink(missing_ok=True)
    while not (guarded(layout) and all(checks[name]() for name in names)):
        if layout.error.exists():
            raise EmbeddedError(layout.error.read_text())
        if time.monotonic() > deadline:
            raise EmbeddedError(f"The embedded servers do not answer; see {layout.log}.")
        if not guarded(layout):
            start_guardian(layout)
        time.sleep(POLL_S)


def start_guardian(layout: Layout) -> None:
    """Returns when it holds its lock, or when another process was faster and its guardian does."""
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    python_path = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    with (layout.log / "guardian.log").open("ab") as log:
        subprocess.run(
            [sys.executable, "-m", "zinzino.embedded", str(layout.data_dir)],
            cwd=PROJECT,
            env={**environment, "PYTHONPATH": os.pathsep.join(python_path)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=True,
        )


def guarded(layout: Layout) -> bool:
    with layout.guardian_lock.open("a") as file:
        return not try_lock(file, fcntl.LOCK_SH)


def try_lock(file: IO[str] | int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
