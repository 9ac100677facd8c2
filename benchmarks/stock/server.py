"""The contender, started with gunicorn: as many processes and threads as the product has."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.server import ROOT, free_port

WITHIN_S = 60.0


@contextmanager
def running(folder: Path, *, workers: int) -> Iterator[int]:
    """The port of a server that answers."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "benchmarks.stock.wsgi", "--worker-class", "gthread"]
    command += [
        "--workers",
        str(workers),
        "--threads",
        "4",
        "--bind",
        f"127.0.0.1:{port}",
        "--log-level",
        "warning",
    ]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "DATA_DIR": str(folder)}) as process:
        try:
            wait_for(port)
            yield port
        finally:
            process.terminate()
            process.wait()


def wait_for(port: int) -> None:
    """SystemExit if nobody listens there in time."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    sys.exit("gunicorn does not start")
