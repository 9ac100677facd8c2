"""`python -m deploy.cluster`: a trial of several machines on this one, each with a port of its own."""

import argparse
import shutil
import sys
from pathlib import Path

from rich.console import Console

from deploy.cluster.machines import PROJECT, TrialFailed
from deploy.cluster.servers import missing
from deploy.cluster.trial import Trial

NAMES = ("primary", "web", "live", "worker", "bridge", "valkey", "broker", "standby", "frozen")


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Runs two of everything on this machine, kills one after the other while clients write, and "
        "ends with 1 where anything that was acknowledged is lost. It takes about five minutes."
    )
    parser.add_argument("--folder", type=Path, default=PROJECT / "var" / "cluster", help="is emptied first")
    parser.add_argument("--only", nargs="*", choices=NAMES, default=(), help="these faults; all if left out")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 110)
    if packages := missing():
        console.print(f"This needs: apt-get install {' '.join(packages)}")
        return 2
    folder = options.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        whole = Trial(folder, console, options.only).run()
    except TrialFailed as failure:
        console.print(f"{failure}\nThe logs stand in {folder / 'log'}.", markup=False)
        return 1
    console.print("Nothing is lost." if whole else "Something is lost or not well: see above.")
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
