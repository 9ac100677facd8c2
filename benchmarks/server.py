"""The product as `make run` starts it, on a port and a data folder of its own, without limits."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCOPES = ("GENERAL", "AUTH", "SYNC", "IOT", "DISPENSE")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running() -> Iterator[int]:
    """The port of a server that is ready."""
    port, live_port = free_port(), free_port()
    limits = {f"RATE_LIMIT_{scope}": "100000000/min" for scope in SCOPES}
    own = {
        "PORT": str(port),
        "LIVE_PORT": str(live_port),
        "DATA_DIR": str(ROOT / "var" / "bench"),
        "LOG_LEVEL": "WARNING",
    }
    own["LOGIN_FAILURES_PER_ADDRESS"] = "1000"
    command = [sys.executable, "manage.py", "run"]
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **limits, **own}, stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout or ():
            if "ready after" in line:
                break
        try:
            yield port
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate()
