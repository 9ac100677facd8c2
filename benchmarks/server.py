"""The product as `make run` starts it, on a port and a data folder of its own, without limits."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCOPES = ("GENERAL", "AUTH", "SYNC", "IOT", "DISPENSE")
# Requests are counted all the same.
LIMITS = {f"RATE_LIMIT_{scope}": "100000000/min" for scope in SCOPES} | {"LOGIN_FAILURES_PER_ADDRESS": "1000"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(folder: Path = ROOT / "var" / "bench") -> Iterator[int]:
    """The port of a server that is ready."""
    port = free_port()
    own = {
        "PORT": str(port),
        "LIVE_PORT": str(free_port()),
        "DATA_DIR": str(folder),
        "LOG_LEVEL": "WARNING",
    }
    command = [sys.executable, "manage.py", "run"]
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **LIMITS, **own}, stdout=subprocess.PIPE, text=True
    ) as process:
        said = process.stdout or ()
        for line in said:
            if "ready after" in line:
                break
        else:
            sys.exit("the product did not start")
        # Or it waits for a reader once the pipe is full.
        threading.Thread(target=lambda: [None for _ in said], daemon=True).start()
        try:
            yield port
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()
