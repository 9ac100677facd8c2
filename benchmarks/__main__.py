"""`make bench`: how fast the hot endpoints answer on this machine.

Client, server, PostgreSQL and Valkey share the cores; read the figures against each other, not as
the capacity of a server.
"""

import argparse
import http.client
import json
import secrets
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.server import running

Body = dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    method: str
    path: str
    token: str
    body: Callable[[], Body]


class Line:
    """One kept-alive connection."""

    def __init__(self, port: int) -> None:
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def send(self, method: str, path: str, token: str, body: Body) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        self.http.request(method, f"/v1{path}", json.dumps(body) if body is not None else None, headers)
        answer = self.http.getresponse()
        return answer.status, json.loads(answer.read())


def scenarios(port: int) -> list[Scenario]:
    """A household, and what its phone and its dispenser send all day."""
    line, name = Line(port), secrets.token_hex(6)
    person = {"email": f"{name}@example.com", "password": "benchmark-only", "full_name": "Bench Mark"}
    _, signed_in = line.send("POST", "/auth/register", "", person)
    phone = signed_in["data"]["token"]
    address = ":".join(["02", *(name[place : place + 2].upper() for place in (0, 2, 4, 6, 8))])
    described = {"device_name": "Bench", "device_type": "fish_oil", "mac_address": address, "serial_number": name}
    _, added = line.send("POST", "/devices", phone, described)
    unit, device = added["data"]["device_token"], added["data"]["id"]
    _, synced = line.send("POST", "/sync/full", phone, {})
    since = synced["data"]["sync_timestamp"]
    return [
        Scenario("GET /devices", "GET", "/devices", phone, lambda: None),
        Scenario("GET /devices/:id", "GET", f"/devices/{device}", phone, lambda: None),
        Scenario("GET /notifications", "GET", "/notifications", phone, lambda: None),
        Scenario("POST /sync/full", "POST", "/sync/full", phone, dict),
        Scenario("POST /sync/delta", "POST", "/sync/delta", phone, lambda: {"last_sync": since}),
        Scenario("POST /states/:id", "POST", f"/states/{device}", unit, lambda: {"cup_placed": False}),
        Scenario(
            "PATCH /devices/:id/status", "PATCH", f"/devices/{device}/status", unit, lambda: {"battery_level": 80}
        ),
    ]


def measured(scenario: Scenario, port: int, *, clients: int, seconds: float) -> list[float]:
    """Milliseconds of every request; SystemExit if one was refused."""
    took: list[float] = []
    refused: list[Any] = []
    until = time.perf_counter() + seconds

    def work() -> None:
        line = Line(port)
        while time.perf_counter() < until and not refused:
            started = time.perf_counter()
            status, answer = line.send(scenario.method, scenario.path, scenario.token, scenario.body())
            took.append((time.perf_counter() - started) * 1000)
            if status >= http.HTTPStatus.BAD_REQUEST:
                refused.append(answer)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if refused:
        sys.exit(f"{scenario.name}: {refused[0]}")
    return took


def logins(port: int, *, tries: int) -> Table:
    """A wrong password and an unknown address must cost the same, or the time tells who has an account."""
    line, name = Line(port), secrets.token_hex(6)
    known = {"email": f"{name}@example.com", "password": "benchmark-only", "full_name": "Bench Mark"}
    line.send("POST", "/auth/register", "", known)
    table = Table("failed login", "median ms", title=f"{tries} tries each, one by one")
    for title, email in (("wrong password", known["email"]), ("unknown address", f"x{name}@example.com")):
        took = []
        for _ in range(tries):
            started = time.perf_counter()
            line.send("POST", "/auth/login", "", {"email": email, "password": "wrong"})
            took.append((time.perf_counter() - started) * 1000)
        table.add_row(title, f"{statistics.median(took):.1f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each endpoint")
    options = parser.parse_args()
    table = Table("endpoint", "requests/s", "p50 ms", "p95 ms", "p99 ms", title=f"{options.clients} clients")
    with running() as port:
        for scenario in scenarios(port):
            measured(scenario, port, clients=options.clients, seconds=0.5)
            took = measured(scenario, port, clients=options.clients, seconds=options.seconds)
            cuts = statistics.quantiles(took, n=100)
            figures = (len(took) / options.seconds, cuts[49], cuts[94], cuts[98])
            table.add_row(scenario.name, *(f"{figure:.1f}" for figure in figures))
        failed = logins(port, tries=30)
    Console().print(table)
    Console().print(failed)


main()
