"""`python -m benchmarks.goals`, which is `make bench`: whether the product is as fast as it is meant to be.

Ratios in one interleaved run: our server with all that it does, stock Django REST framework on the same tables
(`benchmarks.stock`), and the floor, which is our own SQL from pgbench. What a goal asks for stands in
`benchmarks.endpoints`. The default is short; figures to believe need `--rounds 7 --seconds 4` and a quiet machine.
"""

import argparse
import os
import signal

from rich.console import Console

from benchmarks.server import LIMITS, ROOT, running

FOLDER = ROOT / "var" / "goals"
PARTS = ("endpoints", "logins", "history", "ingest", "scenarios")


def main() -> None:
    options = parsed()
    # However it is told to end, its servers end with it.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.default_int_handler)
    os.environ |= {**LIMITS, "DATA_DIR": str(FOLDER), "LOG_LEVEL": "WARNING"}
    os.environ["DJANGO_SETTINGS_MODULE"] = "zinzino.settings"
    import django

    django.setup()
    from django.conf import settings

    from benchmarks import parts, report
    from benchmarks.bench import Bench
    from benchmarks.findings import OURS, STOCK
    from benchmarks.households import Households
    from benchmarks.stock import server as stock
    from zinzino.servers import attach

    attach()
    homes = Households(options.people)
    with running(FOLDER) as ours, stock.running(FOLDER, workers=settings.WEB_WORKERS) as other:
        shape = {"clients": options.clients, "rounds": options.rounds, "seconds": options.seconds}
        bench = Bench(homes, {OURS: ours, STOCK: other}, FOLDER / "bench", **shape)
        for part in options.parts:
            parts.ALL[part](bench)
    report.write(bench.findings, shape, folder=FOLDER)
    report.show(bench.findings, Console(emoji=False))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.goals", description=__doc__)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each endpoint, server and round")
    parser.add_argument("--people", type=int, default=2_000)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
