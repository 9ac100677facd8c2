"""`manage.py simulate_fleet`: dispensers against a running server, and whether all was kept and poured once."""

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import close_old_connections
from rich.console import Console
from rich.live import Live
from rich.table import Table

from telemetry.simulation import fleet, verdict
from telemetry.simulation.faults import OFTEN, Faults
from telemetry.simulation.run import Run, live
from telemetry.simulation.unit import Unit
from zinzino import clock
from zinzino.operators import OperatorCommand


class Command(OperatorCommand):
    help = (
        "Make households with dispensers that keep the protocol (journal, reboots, lost and doubled packets, "
        "clocks that are off), let them live against the running server, and compare what they did with what it "
        "knows. Ends with 1 where an event was lost or a dose came twice. The households stay in the database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--devices", type=int, default=100)
        parser.add_argument("--transport", choices=("http", "mqtt"), default="mqtt")
        parser.add_argument("--faults", default="all", help=f"none, all, or some of {', '.join(OFTEN)}")
        parser.add_argument("--seconds", type=float, default=60.0)
        parser.add_argument("--minutes", type=float, help="instead of --seconds")
        parser.add_argument("--pace", type=float, default=20.0, help="seconds between the acts of one dispenser")
        parser.add_argument("--finish", type=float, default=120.0, help="seconds for bringing in what is left")
        parser.add_argument("--seed", type=int, help="the same number makes the same choices")
        parser.add_argument("--url", default=f"{settings.PUBLIC_URL}/v1", help="of the API (default: %(default)s)")

    def handle(self, **options: Any) -> None:
        logging.getLogger("httpx").setLevel(logging.WARNING)
        run = run_of(options)
        try:
            Faults.named(run.faults, random.Random(0))  # noqa: S311
        except ValueError as error:
            raise CommandError(str(error), returncode=2) from error
        made = fleet.make(options["devices"], now=clock.now())
        units = self.watched(run, made, quiet=options["json"])
        # It may have been a long life, and the server another one since.
        close_old_connections()
        report = {"devices": len(made), **run_shown(run), **verdict.reached(units)}
        self.report(report, as_json=options["json"])
        if report["broken"]:
            raise CommandError(f"broken: {', '.join(report['broken'])} (--seed {run.seed} repeats the choices)")

    def watched(self, run: Run, made: list[fleet.Simulated], *, quiet: bool) -> list[Unit]:
        if quiet or not self.stdout.isatty():
            return asyncio.run(live(run, made, lambda _units, _phase: None))
        with Live(console=Console(stderr=True), refresh_per_second=4) as shown:
            return asyncio.run(live(run, made, lambda units, phase: shown.update(table(units, phase))))


def run_of(options: dict[str, Any]) -> Run:
    seed = options["seed"] if options["seed"] is not None else random.randrange(10**6)  # noqa: S311
    seconds = options["minutes"] * 60 if options["minutes"] else options["seconds"]
    return Run(
        options["transport"],
        options["faults"],
        seconds,
        options["pace"],
        options["finish"],
        seed,
        options["url"].rstrip("/"),
    )


def run_shown(run: Run) -> dict[str, Any]:
    return {"transport": run.transport, "faults": run.faults, "seconds": run.seconds, "seed": run.seed}


def table(units: Sequence[Unit], phase: str) -> Table:
    shown = Table("", "units", "events", "in flash", "requests", "poured", "reboots")
    shown.add_row(
        phase,
        *(
            f"{count:,}"
            for count in (
                len(units),
                sum(len(unit.diary.noted) for unit in units),
                sum(len(unit.flash.journal) for unit in units),
                sum(unit.diary.asked for unit in units),
                sum(len(unit.diary.poured) for unit in units),
                sum(unit.diary.reboots for unit in units),
            )
        ),
    )
    return shown
