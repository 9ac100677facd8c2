"""The parts of a run: each measures, and says which goals hold."""

import json
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import track

from benchmarks import scenarios
from benchmarks.bench import WARM_UP_S, Bench
from benchmarks.endpoints import ENDPOINTS, Endpoint
from benchmarks.findings import FLOOR, OURS, STOCK, Spread
from benchmarks.load import Call, Load, send
from benchmarks.server import ROOT

P95_MS = 100
LOGINS, LOGIN_RATIO = 4, 3
HISTORY_RATIO = 1.2
INGEST_ROWS_S = 20_000


def endpoints(bench: Bench) -> None:
    """Every endpoint by our server, the contender and the floor, in turn."""
    for endpoint in ENDPOINTS:
        compare(bench, endpoint)
    for number, order in bench.in_turn():
        for endpoint in track(ENDPOINTS, f"round {number + 1} of {bench.rounds}", transient=True):
            for place, who in enumerate(order):
                if place == 0 or endpoint.once:
                    bench.be(endpoint)
                run = bench.floor(endpoint) if who == FLOOR else asked(bench, endpoint, who)
                bench.findings.rounds[endpoint.name].runs[who].append(run)
    for endpoint in ENDPOINTS:
        judge(bench, endpoint)


def compare(bench: Bench, endpoint: Endpoint) -> None:
    """One answer of each server; then both are warm."""
    for who in (OURS, STOCK):
        bench.be(endpoint)
        answer = send(bench.ports[who], bench.calls_of_one(endpoint)[0])
        bench.findings.rounds[endpoint.name].lengths[who] = len(answer)
        if not endpoint.once:
            bench.ask(endpoint, who, seconds=WARM_UP_S)


def asked(bench: Bench, endpoint: Endpoint, who: str) -> Load:
    """A run; SystemExit if an answer was none, or if cups did not get what the situation means."""
    run = bench.ask(endpoint, who)
    if run.refused or run.broken:
        sys.exit(f"{endpoint.name} by {who}: {run.refused} refused and {run.broken} broken of {run.requests}")
    if endpoint.situation in ("fed", "hungry"):
        doses = bench.homes.doses()
        # Answers may be on their way when the clients stop.
        wanted = range(run.requests, run.requests + bench.clients + 1) if endpoint.once else range(1)
        if doses not in wanted:
            sys.exit(f"{endpoint.name} by {who}: {doses} doses for {run.requests} cups")
    return run


def judge(bench: Bench, endpoint: Endpoint) -> None:
    findings = bench.findings
    rounds = findings.rounds[endpoint.name]
    times, share = rounds.ratio(STOCK), rounds.ratio(FLOOR)
    findings.judge(f"{endpoint.name}: × stock", times.median, least=endpoint.times, found=times.text(1))
    if endpoint.share:
        findings.judge(f"{endpoint.name}: share of floor", share.median, least=endpoint.share, found=share.text())
    findings.judge(
        f"{endpoint.name}: statements", rounds.statements, most=endpoint.statements, found=str(rounds.statements)
    )
    findings.judge(f"{endpoint.name}: p95, ms", rounds.at("p95"), most=P95_MS, found=f"{rounds.at('p95'):.0f}")


def logins(bench: Bench) -> None:
    """What reading costs while people sign in: bcrypt is meant to be slow, but for them alone."""
    alone, beside = [], []
    for _ in range(bench.rounds):
        alone.append(bench.ask(ENDPOINTS[0], OURS).p99)
        with signing_in(bench.ports[OURS]):
            beside.append(bench.ask(ENDPOINTS[0], OURS).p99)
    ratio = Spread.of([slow / fast for slow, fast in zip(beside, alone, strict=True)])
    times = f"; {statistics.median(alone):.0f} and {statistics.median(beside):.0f} ms"
    what = f"GET /devices: p99 beside {LOGINS} logins"
    bench.findings.judge(what, ratio.median, most=LOGIN_RATIO, found=ratio.text(1) + times)


@contextmanager
def signing_in(port: int) -> Iterator[None]:
    over = threading.Event()

    def sign_in(number: int) -> None:
        person = {"email": f"user{number}@fleet.example", "password": "benchmark-only"}
        while not over.is_set():
            send(port, Call("POST", "/v1/auth/login", "", person))

    threads = [threading.Thread(target=sign_in, args=(number,)) for number in range(1, LOGINS + 1)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def history(bench: Bench) -> None:
    """What people with ten times as many rows wait for, against as many ordinary ones."""
    people = bench.homes.people
    many = bench.homes.everybody - people
    for endpoint in ENDPOINTS:
        if endpoint.once or endpoint.grows:
            continue
        bench.be(endpoint)
        ratios = []
        for _ in range(bench.rounds):
            few = bench.ask(endpoint, OURS, first=1, last=many)
            more = bench.ask(endpoint, OURS, first=people + 1, last=people + many)
            ratios.append(few.rate / more.rate)
        ratio = Spread.of(ratios)
        what = f"{endpoint.name}: time with 10 × history"
        bench.findings.judge(what, ratio.median, most=HISTORY_RATIO, found=ratio.text())


def ingest(bench: Bench) -> None:
    """What two bridges take; in a data folder and processes of their own."""
    shape = f"--bridges 2 --rows 60000 --events 10 --rounds {bench.rounds} --json"
    command = [sys.executable, "-m", "benchmarks.bridge", *shape.split()]
    said = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    rates = Spread.of([row[1] for row in json.loads(said)])
    bench.findings.judge("batch ingest, rows/s", rates.median, least=INGEST_ROWS_S, found=rates.text(0))


def days(bench: Bench) -> None:
    for scenario in scenarios.ALL:
        bench.findings.scenarios.append(scenario(bench))


ALL: dict[str, Callable[[Bench], None]] = {
    "endpoints": endpoints,
    "logins": logins,
    "history": history,
    "ingest": ingest,
    "scenarios": days,
}
