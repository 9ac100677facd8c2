"""The running product, as `make run` starts it, on a port and a data folder of its own."""

import http.client
import signal
import socket
import subprocess
import sys
from pathlib import Path
from threading import Thread
from typing import IO

import psutil

from tests.embedded.conftest import gone
from tests.processes import bare_environment
from zinzino import embedded
from zinzino.embedded.layout import Layout
from zinzino.processes import MARK


class Product:
    def __init__(self, data_dir: Path, **environment: str) -> None:
        self.layout = Layout(data_dir)
        self.extra = environment
        with socket.socket() as free, socket.socket() as another:
            free.bind(("127.0.0.1", 0))
            another.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
            self.live_port: int = another.getsockname()[1]
        self.process: subprocess.Popen[str] | None = None
        # What it said at its last start until it was ready.
        self.printed = ""

    @property
    def environment(self) -> dict[str, str]:
        """As a developer has it: none of the tests' settings; limits that many households fit into."""
        own = {"DATA_DIR": str(self.layout.data_dir), "PORT": str(self.port), "WEB_WORKERS": "2"}
        own["LIVE_PORT"] = str(self.live_port)
        limits = {"RATE_LIMIT_AUTH": "10000/min", "RATE_LIMIT_GENERAL": "10000/min"}
        return {**bare_environment(), **own, **limits, "EMBEDDED_FSYNC": "off", **self.extra}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def spawn(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "manage.py", "run"],
            cwd=embedded.PROJECT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def start(self) -> None:
        self.process = self.spawn()
        assert self.process.stdout
        self.printed = ""
        for line in self.process.stdout:
            self.printed += line
            if line.startswith("run    | ready"):
                Thread(target=drained, args=[self.process.stdout], daemon=True).start()
                return
        raise AssertionError(self.printed)

    def end(self, signum: signal.Signals) -> int:
        assert self.process
        self.process.send_signal(signum)
        return self.process.wait()

    def answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def processes(self) -> list[psutil.Process]:
        """Everything alive that belongs to it, the embedded servers included."""
        return [process for process in psutil.process_iter() if self._owns(process) and not gone(process)]

    def _owns(self, process: psutil.Process) -> bool:
        data_dir = str(self.layout.data_dir)
        try:
            works_there = process.cwd().startswith(data_dir) or process.cmdline()[-1:] == [data_dir]
            return works_there or process.environ().get(MARK) == data_dir
        except (psutil.Error, OSError):
            return False

    def masters(self, word: str) -> list[psutil.Process]:
        """The processes with `word` in their command line that a tether started: one when all is well."""
        tethers = [each for each in self.processes() if "zinzino.tether" in words(each) and word in words(each)]
        return [child for tether in tethers for child in tether.children()]

    def servers(self) -> dict[str, psutil.Process]:
        guardian = psutil.Process(int(self.layout.guardian_lock.read_text()))
        return {"guardian": guardian} | {child.name(): child for child in guardian.children()}

    def supervisor(self) -> psutil.Process:
        [process] = [each for each in self.processes() if "supervisor.supervisord" in words(each)]
        return process


def drained(pipe: IO[str]) -> None:
    """Whatever still comes: a process whose pipe is full waits for its reader."""
    with pipe:
        pipe.read()


def words(process: psutil.Process) -> list[str]:
    """The command line; none of a process that ends just now."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []
