"""Take units of the factory into the registry that claiming asks."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress

from devices import units
from devices.units import Import, Refused, UnreadableFile
from zinzino import clock
from zinzino.operators import OperatorCommand

# So many stand in the JSON; all of them are written to stderr as they are met.
LISTED_AT_MOST = 1_000


class Command(OperatorCommand):
    help = (
        "Import manufactured units from a CSV in UTF-8 with a header: serial_number, mac_address and, as wanted, "
        "device_type (empty: any), claim_code (only its hash is kept), public_key (Ed25519, base64), batch, lot, "
        "hardware_rev. Bad lines are told with their number and reason, the others are taken. The same file again "
        "changes nothing: an interrupted import is simply started again. Ends with 1 where a line was refused."
    )
    destroys = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--replace", action="store_true", help="overwrite units that are known with other values"
        )
        parser.add_argument(
            "--from-line", type=int, default=2, help="go on here; the lines before are not looked at"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        refused: list[Refused] = []

        def refuse(line: Refused) -> None:
            self.stderr.write(f"line {line.line}: {line.reason}")
            if len(refused) < LISTED_AT_MOST:
                refused.append(line)

        run = Import(clock.now(), replace=options["replace"], on_refused=refuse)
        self.carry_out(run, **options)
        if run.is_cut:
            self.stderr.write("The last line has no end: make sure that nothing of the file is missing.")
        facts: dict[str, Any] = {"added": run.added, "replaced": run.replaced, "unchanged": run.unchanged}
        facts |= {"refused": run.refused, "lines": run.settled_line, "dry_run": options["dry_run"]}
        if options["json"]:
            facts["refused_lines"] = [{"line": each.line, "reason": each.reason} for each in refused]
        self.report(facts, as_json=options["json"])
        if run.refused:
            raise CommandError(f"{run.refused} of the lines were refused.")

    def carry_out(self, run: Import, *, file: Path, from_line: int, dry_run: bool, **_options: Any) -> None:
        try:
            with opened(file) as lines:
                units.import_units(lines, run, from_line=from_line, dry_run=dry_run)
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
        except UnreadableFile as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            left = "nothing was changed" if dry_run else f"go on with --from-line {run.settled_line + 1}"
            raise CommandError(f"Interrupted after line {run.settled_line}; {left}.") from None


@contextmanager
def opened(file: Path) -> Iterator[Iterator[bytes]]:
    """The lines of the file, with a bar on a terminal that says how much of it is read."""
    watched = Progress(console=Console(stderr=True), disable=not sys.stderr.isatty())
    with watched as progress, progress.open(file, "rb", description=file.name) as lines:
        yield units.lines_of(lines)
