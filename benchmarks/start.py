"""`python -m benchmarks.start`: how long `make run` takes until it answers, the first time and again.

The packages are there already; the data folder is new. The goals, from a warm pip cache: 60 s and 10 s.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time

from rich.console import Console
from rich.table import Table

from benchmarks.server import ROOT, free_port


def start(data_dir: str) -> float:
    """Seconds from the command to the line that says that it is ready; it has ended when this returns."""
    own = {name: str(free_port()) for name in ("PORT", "LIVE_PORT", "MQTT_PORT")} | {"DATA_DIR": data_dir}
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "manage.py", "run"],
        cwd=ROOT,
        env={**os.environ, **own},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stdout or ():
            if "ready after" in line:
                took = time.monotonic() - began
                process.send_signal(signal.SIGINT)
                process.communicate()
                return took
    sys.exit("It did not start.")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="how often it is started again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as data_dir:
        first = start(data_dir)
        again = sorted(start(data_dir) for _ in range(options.times))
    table = Table("start", "seconds")
    table.add_row("first", f"{first:.1f}")
    table.add_row("again", f"{again[0]:.1f} to {again[-1]:.1f}")
    Console().print(table)


main()
