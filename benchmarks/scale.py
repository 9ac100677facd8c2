"""`python -m benchmarks.scale`: what a large fleet costs the people of one household.

Loads two fleets of the same density, a small and a large one, into data folders of their own, asks the
endpoints that people open in both, in turn, and compares the best medians. `--fresh` loads anew.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from operator import itemgetter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
STATES_EACH, ACTIVITIES_EACH = 100, 25
ASKED = 150
# `{device}` is one of the person's own.
PATHS = (
    "/devices",
    "/devices/{device}",
    "/devices/{device}/history",
    "/states",
    "/states/{device}",
    "/states/{device}/history",
    "/activities",
    "/activities/summary?period=month",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--devices", type=int, nargs=2, default=(1_000, 200_000), metavar=("SMALL", "LARGE"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fresh", action="store_true", help="load again what is there")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        sys.stdout.write(json.dumps(measured(options.measure)))
        return
    rounds = [
        [asked(devices, fresh=options.fresh and number == 0) for devices in options.devices]
        for number in range(options.rounds)
    ]
    small, large = (
        {path: min((each[path] for each in fleet), key=itemgetter(1)) for path in PATHS}
        for fleet in zip(*rounds, strict=True)
    )
    table = Table("endpoint", "statements", *(f"{count:,} devices, ms" for count in options.devices), "ratio")
    for path in PATHS:
        (few, fast), (many, slow) = small[path], large[path]
        statements = str(few) if few == many else f"{few} / {many}"
        table.add_row(path, statements, f"{fast:.2f}", f"{slow:.2f}", f"{slow / fast:.2f}")
    Console().print(table)


def asked(devices: int, *, fresh: bool) -> dict[str, tuple[int, float]]:
    """By path the statements and the median milliseconds, from a process with its own servers."""
    folder = ROOT / "var" / f"scale-{devices}"
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    limit = {"RATE_LIMIT_GENERAL": "100000000/min", "LOG_LEVEL": "WARNING"}
    command = [sys.executable, "-m", "benchmarks.scale", "--measure", str(devices)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **limit, "DATA_DIR": str(folder)},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, tuple[int, float]] = json.loads(done.stdout)
    return found


def measured(devices: int) -> dict[str, tuple[int, float]]:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zinzino.settings")
    import django

    django.setup()
    from benchmarks import fleet
    from zinzino.servers import attach

    attach()
    fleet.load(devices, states_each=STATES_EACH, activities_each=ACTIVITIES_EACH)
    people = fleet.people(ASKED)
    return {path: cost(path, people) for path in PATHS}


def cost(path: str, people: list[tuple[str, str]]) -> tuple[int, float]:
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client, took = Client(), []

    def ask(token: str, device: str) -> Any:
        answer = client.get("/v1" + path.format(device=device), HTTP_AUTHORIZATION=f"Bearer {token}")
        if answer.status_code != 200:
            sys.exit(f"{path}: {answer.content!r}")
        return answer

    # The first use of a token is noted, and cold pages are read.
    for token, device in people:
        ask(token, device)
    for token, device in people:
        started = time.perf_counter()
        ask(token, device)
        took.append((time.perf_counter() - started) * 1000)
    with CaptureQueriesContext(connection) as captured:
        ask(*people[0])
    return len(captured), statistics.median(took)


if __name__ == "__main__":
    main()
