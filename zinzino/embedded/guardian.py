"""The process that starts the embedded servers, brings back what dies, and ends them at the end.

It holds `guardian.lock` while it lives. To end, it must first hold `users.lock` alone, and keeps it until
it is gone: whoever attaches meanwhile waits, then starts the next guardian.
"""

import fcntl
import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import IO

from zinzino.embedded import EmbeddedError, try_lock
from zinzino.embedded.layout import Layout
from zinzino.embedded.postgres import Postgres
from zinzino.embedded.server import Server
from zinzino.embedded.valkey import Valkey

TICK_S = 0.25
LINGER_S = 1.0  # commands in a row share one start
MAX_BACKOFF_S = 5.0
MAX_LOG_BYTES = 10_000_000


class Guardian:
    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.servers: list[Server] = [Valkey(layout), Postgres(layout)]
        self.started: set[str] = set()
        self.failures = dict.fromkeys(("valkey", "postgres"), 0)
        self.retry_at = dict.fromkeys(("valkey", "postgres"), 0.0)
        self.told_to_stop = False

    def guard(self, lock: IO[str]) -> None:
        """Run until told to stop or unused for LINGER_S. EmbeddedError if a server never starts."""
        users = self.layout.users_lock.open("a")
        idle_since: float | None = None
        with self.woken_by_signals() as wake:
            try:
                while not self.told_to_stop and same_file(lock, self.layout.guardian_lock):
                    for server in self.servers:
                        self.keep(server)
                    if not try_lock(users, fcntl.LOCK_EX):
                        idle_since = None
                    elif idle_since and time.monotonic() - idle_since >= LINGER_S:
                        break
                    else:
                        idle_since = idle_since or time.monotonic()
                        fcntl.flock(users, fcntl.LOCK_UN)
                    select.select([wake], [], [], TICK_S)
                    with suppress(BlockingIOError):
                        os.read(wake, 4096)
            finally:
                self.stop()

    def keep(self, server: Server) -> None:
        """Start a wanted server, or again after it died."""
        if server.running or not self.layout.wanted(server.name).exists():
            return
        if time.monotonic() < self.retry_at[server.name]:
            return
        if server.name in self.started:
            say(f"{server.name} ended; starting it again")
        try:
            server.start()
        except EmbeddedError as error:
            self.failures[server.name] += 1
            say(str(error))
            if server.name not in self.started and self.failures[server.name] > 1:
                raise
            backoff_s = min(2.0 ** self.failures[server.name] / 4, MAX_BACKOFF_S)
            self.retry_at[server.name] = time.monotonic() + backoff_s
        else:
            self.failures[server.name] = 0
            self.started.add(server.name)
            say(f"{server.name} is up")

    def stop(self) -> None:
        for server in self.servers:
            server.stop()
            self.layout.wanted(server.name).unlink(missing_ok=True)
        if self.layout.unfit:  # then these lie in /tmp, where nobody would look for them
            for folder in (self.layout.sockets, self.layout.postgres_sockets):
                shutil.rmtree(folder, ignore_errors=True)
        say("stopped")

    @contextmanager
    def woken_by_signals(self) -> Iterator[int]:
        """A file descriptor that becomes readable when a child ends or a signal tells us to stop."""
        wake, woken = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(woken, False)

        def stop(_signum: int, _frame: FrameType | None) -> None:
            self.told_to_stop = True

        signal.signal(signal.SIGCHLD, lambda _signum, _frame: None)
        signal.signal(signal.SIGTERM, stop)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        yield wake


def same_file(file: IO[str], path: Path) -> bool:
    """False once the data folder was removed under us: then nobody can find us any more."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def say(text: str) -> None:
    """Standard output is guardian.log."""
    sys.stdout.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f} [{os.getpid()}] {text}\n")
    sys.stdout.flush()


def take_lock(layout: Layout) -> IO[str] | None:
    """The guardian's lock, or None if there is a guardian. Others probe it for an instant, hence the retries."""
    file = layout.guardian_lock.open("a+")
    for _ in range(10):
        if try_lock(file, fcntl.LOCK_EX):
            file.truncate(0)
            return file
        time.sleep(0.01)
    return None


def rotate_logs(layout: Layout) -> None:
    for path in layout.log.glob("*.log"):
        if path.name in {"postgres.log", "valkey.log", "guardian.log"} and path.stat().st_size > MAX_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))


def main() -> None:
    """Guard the data folder named on the command line, in the background once the lock is held."""
    layout = Layout(Path(sys.argv[1]))
    layout.make()
    lock = take_lock(layout)
    if lock is None:
        return
    if os.fork():
        os._exit(0)
    os.setsid()
    for signum in (signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    lock.write(str(os.getpid()))
    lock.flush()
    rotate_logs(layout)
    try:
        Guardian(layout).guard(lock)
    except EmbeddedError as error:
        # Whole or not at all: those who wait for us read it the moment it appears.
        written = layout.error.with_suffix(".writing")
        written.write_text(str(error))
        written.replace(layout.error)
        sys.exit(1)
