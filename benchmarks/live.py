"""`python -m benchmarks.live`: a thousand phones that listen, and how soon each hears of its changes.

Starts the product, opens the sockets by ticket as phones do, and measures memory and CPU of the live process,
the time from sending a request until its change is at the socket, and what the announcement costs a commit.
"""

import argparse
import asyncio
import http.client
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import psutil
from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import connect

from benchmarks.server import ROOT, running

PEOPLE = """
INSERT INTO users SELECT (jsonb_populate_record(u, jsonb_build_object(
    'id', md5('listener' || n)::uuid, 'email', 'listener' || n || '@bench.example'))).*
  FROM users u, generate_series(%s, %s) AS n WHERE u.email = 'demo@example.com' ON CONFLICT DO NOTHING"""
ALL_AT_ONCE = "UPDATE users SET full_name = %s WHERE email LIKE 'listener%%@bench.example'"
ONE = "UPDATE users SET full_name = %s WHERE id = md5('listener' || %s)::uuid"
WRITERS, SINGLE_CHANGES, WRITES = 8, 300, 400
IDLE_S = 10.0


class Listeners:
    """The sockets; `arrived[(listener, name)]` is when a page with that name of the person came."""

    def __init__(self, port: int, tokens: list[str]) -> None:
        self.port = port
        self.tokens = tokens
        self.arrived: dict[tuple[int, str], float] = {}
        self.greeted: set[int] = set()
        self.tasks: list[asyncio.Task[None]] = []

    def ticket(self, number: int) -> str:
        return str(sent(self.port, "POST", "/realtime/ticket", self.tokens[number])["url"])

    def open(self, count: int) -> None:
        self.tasks = [asyncio.create_task(self.listen(number)) for number in range(count)]

    async def listen(self, number: int) -> None:
        # As a phone does it: the ticket is used as soon as it is there.
        url = await asyncio.to_thread(self.ticket, number)
        async with connect(url, max_size=None, open_timeout=60, ping_interval=None) as socket:
            async for text in socket:
                self.greeted.add(number)
                if profile := json.loads(text).get("data", {}).get("updated_profile"):
                    self.arrived.setdefault((number, profile["full_name"]), time.perf_counter())


def sent(port: int, method: str, path: str, token: str, body: Any = None) -> Any:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as line:
        line.request(method, f"/v1{path}", json.dumps(body), headers)
        answer = json.load(line.getresponse())
    if not answer["success"]:
        sys.exit(f"{path}: {answer}")
    return answer["data"]


async def until(holds: Callable[[], bool], within_s: float = 60.0) -> None:
    deadline = time.perf_counter() + within_s
    while not holds():
        if time.perf_counter() > deadline:
            sys.exit("a change did not arrive")
        await asyncio.sleep(0.005)


async def measured(port: int, count: int) -> list[Table]:
    tokens = await asyncio.to_thread(people, count)
    listeners = Listeners(port, tokens)
    process = live_process(listeners.ticket(0))
    before = process.memory_full_info()
    began = time.perf_counter()
    listeners.open(count)
    await until(lambda: len(listeners.greeted) == count, within_s=180)
    opened_s = time.perf_counter() - began
    return [
        await idle(process, before, count, opened_s),
        await latencies(port, listeners, count),
        await asyncio.to_thread(commits),
    ]


async def idle(process: psutil.Process, before: Any, count: int, opened_s: float) -> Table:
    after, cpu = process.memory_full_info(), process.cpu_times()
    await asyncio.sleep(IDLE_S)
    later = process.cpu_times()
    busy = (later.user + later.system - cpu.user - cpu.system) / IDLE_S
    table = Table("what", "figure", title=f"{count:,} sockets of {count:,} people, nothing happens")
    table.add_row("opened and told within, s (with their tickets)", f"{opened_s:.1f}")
    table.add_row("process alone, MB (USS)", f"{before.uss / 1e6:.1f}")
    table.add_row("with the sockets, MB (USS)", f"{after.uss / 1e6:.1f}")
    table.add_row("a socket, KB", f"{(after.uss - before.uss) / count / 1e3:.1f}")
    table.add_row("CPU of the process, % of a core", f"{busy * 100:.1f}")
    table.add_row("threads of the process", str(process.num_threads()))
    table.add_row("its connections to PostgreSQL", str(await asyncio.to_thread(connections_in_use)))
    return table


async def latencies(port: int, listeners: Listeners, count: int) -> Table:
    table = Table("changes", "number", "p50 ms", "p99 ms", "worst ms", title="from the request to the socket")
    loop = asyncio.get_running_loop()

    def change(number: int, name: str) -> float:
        started = time.perf_counter()
        sent(port, "PUT", "/profile", listeners.tokens[number], {"full_name": name})
        return started

    took = []
    for turn in range(SINGLE_CHANGES):
        number, name = turn * 7 % count, f"Alone {turn}"
        started = await asyncio.to_thread(change, number, name)
        await until(lambda: (number, name) in listeners.arrived)  # noqa: B023
        took.append(listeners.arrived[number, name] - started)
    table.add_row("one after the other, by REST", *figures(took))

    with ThreadPoolExecutor(WRITERS) as pool:
        starts = await asyncio.gather(*(loop.run_in_executor(pool, change, n, "Burst") for n in range(count)))
    await until(lambda: all((n, "Burst") in listeners.arrived for n in range(count)))
    took = [listeners.arrived[n, "Burst"] - starts[n] for n in range(count)]
    table.add_row(f"everybody's, {WRITERS} writers by REST at full speed", *figures(took))

    started = time.perf_counter()
    await asyncio.to_thread(run, ALL_AT_ONCE, "At once")
    committed = time.perf_counter()
    await until(lambda: all((n, "At once") in listeners.arrived for n in range(count)))
    took = [listeners.arrived[n, "At once"] - started for n in range(count)]
    table.add_row(f"everybody's in one commit of {(committed - started) * 1000:.0f} ms", *figures(took))
    return table


def figures(took: list[float]) -> list[str]:
    cuts = statistics.quantiles(took, n=100)
    return [str(len(took)), *(f"{each * 1000:.0f}" for each in (cuts[49], cuts[98], max(took)))]


def commits() -> Table:
    """One write, alternating, so that all see the same moods of the machine."""
    took: dict[str, list[float]] = {"no trigger": [], "nobody listens": [], "a phone listens": []}
    for turn in range(WRITES // 20):
        for kind, times in took.items():
            run(f"ALTER TABLE sync_clock {'DISABLE' if kind == 'no trigger' else 'ENABLE'} TRIGGER live_change")
            listener = 1 if kind == "a phone listens" else 1_000_000
            times += [timed(ONE, f"{kind} {turn} {each}", listener) for each in range(20)]
    table = Table("one UPDATE of a profile and its commit", "median ms", title=f"median of {WRITES}")
    for kind, times in took.items():
        table.add_row(kind, f"{statistics.median(times):.3f}")
    return table


def timed(statement: str, *values: Any) -> float:
    started = time.perf_counter()
    run(statement, *values)
    return (time.perf_counter() - started) * 1000


def people(count: int) -> list[str]:
    """An access token of each; and one person more, who does not listen."""
    from accounts import sessions
    from accounts.models import User
    from accounts.sessions import Client
    from zinzino import clock

    run(PEOPLE, 0, count - 1)
    run(PEOPLE, 1_000_000, 1_000_000)
    found = {user.email: user for user in User.objects.filter(email__startswith="listener")}
    return [
        sessions.open_session(found[f"listener{number}@bench.example"], Client(), now=clock.now()).access
        for number in range(count)
    ]


def run(statement: str, *values: Any) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)


def live_process(url: str) -> psutil.Process:
    port = urlsplit(url).port
    [pid] = {
        each.pid
        for each in psutil.net_connections("tcp")
        if each.laddr and each.laddr.port == port and each.status == psutil.CONN_LISTEN
    }
    return psutil.Process(pid)


def connections_in_use() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'zinzino-live'")
        return int(cursor.fetchone()[0])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live", description=__doc__)
    parser.add_argument("--sockets", type=int, default=1_000)
    options = parser.parse_args()
    os.environ |= {"DATA_DIR": str(ROOT / "var" / "bench"), "LOG_LEVEL": "WARNING"}
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zinzino.settings")
    with running() as port:
        import django

        django.setup()
        tables = asyncio.run(measured(port, options.sockets))
        load = os.getloadavg()[0]
    for table in tables:
        Console().print(table)
    Console().print(f"Client, server and PostgreSQL share {os.cpu_count()} cores; load of the machine {load:.1f}.")


if __name__ == "__main__":
    main()
