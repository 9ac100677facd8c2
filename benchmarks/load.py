"""Load on a server from `wrk`: it costs so little that the cores are left to what is measured."""

import http.client
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("load.lua")


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as `load.lua` reads it."""

    method: str
    path: str
    token: str
    body: Any = None

    @property
    def text(self) -> str:
        return "" if self.body is None else json.dumps(self.body)

    @property
    def line(self) -> str:
        return "\t".join((self.method, self.path, self.token, self.text))


@dataclass(frozen=True, slots=True)
class Load:
    """What a run came to; times in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p95: float
    p99: float
    # Answers of 400 and above, and requests without one.
    refused: int = 0
    broken: int = 0

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def find() -> str:
    path = shutil.which("wrk")
    if path is None:
        sys.exit("wrk makes the load and is not here: apt-get install wrk")
    return path


def save(calls: Iterable[Call], path: Path) -> Path:
    path.write_text("".join(f"{call.line}\n" for call in calls))
    return path


def send(port: int, call: Call, *, wanted: int | None = None) -> bytes:
    """One request by a connection of its own; SystemExit for another status than `wanted`, or than success."""
    headers = {"Content-Type": "application/json"}
    if call.token:
        headers["Authorization"] = f"Bearer {call.token}"
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as line:
        line.request(call.method, call.path, call.text, headers)
        answer = line.getresponse()
        text = answer.read()
    if answer.status != wanted and (wanted or answer.status >= http.HTTPStatus.BAD_REQUEST):
        sys.exit(f"{call.method} {call.path}: {answer.status} {text!r}")
    return text


def run(port: int, calls: Path, *, clients: int, seconds: float, once: bool = False) -> Load:
    """Send the calls of a file in turn, each client after its last answer; SystemExit if there was none."""
    command = [find(), "-t", "1", "-c", str(clients), "-d", f"{max(1, round(seconds))}s", "--timeout", "30s"]
    command += ["-s", str(SCRIPT), f"http://127.0.0.1:{port}", "--", str(calls), *(["once"] if once else [])]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    found = json.loads(said.rpartition("RESULT ")[2] or "{}")
    if not found.get("requests"):
        sys.exit(f"no answers: {said}")
    times = {name: found[name] / 1000 for name in ("p50", "p95", "p99")}
    return Load(found["requests"], found["us"] / 1e6, **times, refused=found["refused"], broken=found["broken"])
