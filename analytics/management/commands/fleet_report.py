"""How the fleet is: dispensers, levels, firmware, failures, adherence, retention."""

from pathlib import Path
from typing import IO, Any, cast

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from analytics import documents, fleet, fleet_figures, fleet_report
from analytics.documents import Document
from zinzino import clock
from zinzino.api.renderers import dumps
from zinzino.operators import OperatorCommand


class Command(OperatorCommand):
    help = (
        "Tables on the screen; --json for programs, --html FILE with plots. Reads the sums that a job makes every"
        " six hours; --refresh makes them now."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with plots")
        parser.add_argument("--refresh", action="store_true", help="sum the days that are not summed yet first")

    def handle(self, *args: Any, **options: Any) -> None:
        today = clock.now().date()
        if options["refresh"]:
            fleet.sum_up(today=today)
        found = fleet_figures.figures(today=today)
        if options["html"]:
            write(options["html"], documents.html(fleet_report.worded(found)))
        if options["json"]:
            self.stdout.write(dumps(found).decode())
        elif not options["html"]:
            show(fleet_report.worded(found), Console(file=cast("IO[str]", self.stdout), width=120))


def write(path: Path, page: bytes) -> None:
    try:
        path.write_bytes(page)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error


def show(document: Document, console: Console) -> None:
    console.print(f"{document.title}, {document.facts[0][1]}: {' '.join(document.headline)}", markup=False)
    for section in document.sections:
        if section.table:
            table = Table(*section.table.head, title=section.heading)
            for row in section.table.rows:
                table.add_row(*(cell.replace("[", "\\[") for cell in row))
            console.print(table)
