"""Live through a day of a household against a running server, and say what was not as expected."""

import json
import logging
import random
from typing import IO, Any, cast

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from zinzino.demo.day import NoServer, Run, live_through
from zinzino.demo.display import Lines, LiveTable, Silent, table, table_text
from zinzino.demo.report import Scene
from zinzino.demo.scenes import SCENES

MOST_ROUNDS = 10_000


def whole_number(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MOST_ROUNDS:
        raise ValueError
    return number


class Command(BaseCommand):
    help = (
        "Register a household at a running server and live through a day with it: a phone that goes offline, "
        "three dispensers, retries, refusals. Every answer is checked. Ends with 1 if anything was a surprise."
    )
    # It needs a server, not a database.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--url", default=settings.PUBLIC_URL, help="the server (default: %(default)s)")
        parser.add_argument("--rounds", type=whole_number, default=1, help="how many households, one by one")
        parser.add_argument("--seed", type=int, help="the same number makes the same choices")
        parser.add_argument("--patience", type=float, default=90.0, help="seconds that one call is repeated")
        parser.add_argument("--plain", action="store_true", help="a line for each scene, no live table")
        parser.add_argument("--json", action="store_true", help="only the report, as JSON")

    def handle(self, **options: Any) -> None:
        logging.getLogger("httpx").setLevel(logging.WARNING)
        seed = options["seed"] if options["seed"] is not None else random.randrange(10**6)  # noqa: S311
        run = Run(options["url"].rstrip("/"), seed, options["rounds"], options["patience"])
        live = self.stdout.isatty() and not (options["plain"] or options["json"])
        try:
            report = self.shown_live(run) if live else self.shown_plain(run, silent=options["json"])
        except NoServer as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("interrupted", returncode=130) from None
        if options["json"]:
            self.stdout.write(json.dumps(report, ensure_ascii=False))
        if not report["ok"]:
            raise CommandError(
                f"{len(report['surprises'])} surprises, see above (--seed {seed} repeats the choices)"
            )

    def shown_live(self, run: Run) -> dict[str, Any]:
        # Rich writes control sequences, which a line break after each would tear apart.
        self.stdout.ending = ""
        console = Console(file=cast("IO[str]", self.stdout))
        with LiveTable(console, [title for title, _ in SCENES], run.rounds) as display:
            report = live_through(run, display)
        console.print(table(scenes_of(report)))
        self.stdout.ending = "\n"
        self.conclude(report)
        return report

    def shown_plain(self, run: Run, *, silent: bool) -> dict[str, Any]:
        report = live_through(run, Silent() if silent else Lines(self.stdout.write))
        if not silent:
            self.stdout.write(table_text(scenes_of(report)))
            self.conclude(report)
        return report

    def conclude(self, report: dict[str, Any]) -> None:
        doses, faults = report["doses"], report["faults"]
        survived = ", ".join(f"{count} x {name}" for name, count in sorted(faults.items())) or "none"
        for each in report["surprises"]:
            self.stdout.write(f"{each['scene']}: {each['expected']}\n  came: {each['came']}")
        self.stdout.write(f"{report['calls']} calls in {report['ms'] / 1000:.1f} s, faults survived: {survived}")
        if report["ok"]:
            self.stdout.write(
                f"{doses['poured']} doses poured, {doses['allowed_but_lost']} allowed but lost, all accounted for"
            )


def scenes_of(report: dict[str, Any]) -> list[Scene]:
    return [Scene(**scene) for scene in report["scenes"]]
