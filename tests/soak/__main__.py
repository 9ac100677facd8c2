"""`python -m tests.soak`, which is `make mixed-soak`: a day at a share of capacity, while its parts fail in turn.

The whole product as `make run` starts it, in a folder of its own, with phones, dispensers over HTTP and MQTT,
and a push service on loopback. First how much of this mix it can take; then a share of that, offered on a
schedule that does not wait for answers. Ends with 1 where anything that was acknowledged is lost or doubled, an
answer was wrong, somebody was refused beside all faults, or a program grew.
"""

import argparse
import os
import shutil
import signal
import sys
from pathlib import Path

import django
from rich.console import Console

from tests.soak import NAMES, disk
from zinzino import embedded


def main() -> int:
    options = parsed()
    console = Console(width=None if sys.stdout.isatty() else 140, stderr=options.json)
    folder = options.folder.resolve()
    # However it is told to end, what it has started ends with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    disk.leave(folder / "var" / "media")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # The settings of this process are those of the product.
    os.environ |= {"DJANGO_SETTINGS_MODULE": "zinzino.settings", "DATA_DIR": str(folder / "var")}
    django.setup()
    from tests.soak.run import Soak

    report = Soak(folder, console, options).run()
    report.write(folder)
    report.show(console)
    if options.json:
        sys.stdout.write(report.json())
    console.print(f"It {'held' if report.held else 'did NOT hold'}. The report stands in {folder / 'report.md'}.")
    return 0 if report.held else 1


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--share", type=float, default=0.7, help="of capacity (default %(default)s)")
    parser.add_argument("--rate", type=float, help="requests a second, instead of a share of what is found")
    parser.add_argument("--probe", type=float, default=30.0, help="seconds for finding the capacity")
    parser.add_argument("--people", type=int, default=1000, help="each with three dispensers")
    parser.add_argument(
        "--fleet", type=int, default=60, help="dispensers of simulate_fleet beside them, over MQTT"
    )
    parser.add_argument("--only", nargs="*", choices=NAMES, default=(), help="these faults; all if left out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=embedded.PROJECT / "var" / "soak", help="is emptied first")
    parser.add_argument("--json", action="store_true", help="the report, for programs")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
