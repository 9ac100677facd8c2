"""One server process: start it, know that it answers, end it, and end what a killed one left."""

import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import psutil

from zinzino import linux
from zinzino.embedded.layout import EmbeddedError, Layout

START_WITHIN_S = 120.0  # crash recovery after a long bulk load takes its time
POLL_S = 0.02
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class Server(ABC):
    """A server under its guardian. Its processes work in `home`, which is how leftovers are known."""

    name: ClassVar[str]
    binary: ClassVar[str]
    # From polite to certain: the signal, and how long to wait for the end, in seconds.
    stop_steps: ClassVar[tuple[tuple[signal.Signals, float], ...]]
    death_signal: ClassVar[signal.Signals]

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.process: subprocess.Popen[bytes] | None = None
        self.durable = os.environ.get("EMBEDDED_FSYNC", "on") != "off"

    @property
    @abstractmethod
    def home(self) -> Path: ...

    @abstractmethod
    def prepare(self) -> None:
        """Make or check the data; EmbeddedError when it is not ours to use."""

    @abstractmethod
    def command(self) -> list[str]: ...

    @abstractmethod
    def answers(self) -> bool: ...

    def become(self) -> None:  # noqa: B027 - most servers run as whoever starts them
        """Change credentials, in the child, before the server starts."""

    @property
    def log(self) -> Path:
        return self.layout.log / f"{self.name}.log"

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start and wait until it answers; EmbeddedError, with the end of its log, if it does not."""
        # What a server that died under us leaves is of no use; one whose guardian died is finishing.
        end_leftovers(self.home, self.binary, grace_s=0.3 if self.process else 8.0)
        try:
            self.prepare()
        except OSError as error:
            raise EmbeddedError(f"{self.name} cannot use its folder: {error}") from error
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=ENVIRONMENT,
                start_new_session=True,
                preexec_fn=self.tied(self.death_signal),
            )
        deadline = time.monotonic() + START_WITHIN_S
        while not self.answers():
            if not self.running or time.monotonic() > deadline:
                self.stop()
                raise EmbeddedError(f"{self.name} did not start. {self.last_words()}")
            time.sleep(POLL_S)

    def tied(self, signum: signal.Signals) -> Callable[[], None]:
        guardian = os.getpid()

        def prepare_child() -> None:
            self.become()
            linux.die_with_parent(guardian, signum)

        return prepare_child

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return f"The end of {self.log}:\n" + "\n".join(lines[-8:])

    def stop(self) -> None:
        for signum, wait_s in self.stop_steps:
            if self.process is None or self.process.poll() is not None:
                return
            self.process.send_signal(signum)
            try:
                self.process.wait(wait_s)
            except subprocess.TimeoutExpired:
                continue


def end_leftovers(home: Path, binary: str, *, grace_s: float) -> None:
    """End processes that a killed server, or the server of a killed guardian, left in `home`.

    The kernel told them to end; a backend in a long query does not notice, and blocks the next start.
    """
    deadline = time.monotonic() + grace_s
    while found := [process for process in psutil.process_iter() if _works_in(process, home, binary)]:
        if time.monotonic() > deadline:
            for process in found:
                process.kill()
        psutil.wait_procs(found, timeout=0.1)


def _works_in(process: psutil.Process, home: Path, binary: str) -> bool:
    try:
        return process.name() == binary and Path(process.cwd()) == home
    except (psutil.Error, OSError):
        return False
