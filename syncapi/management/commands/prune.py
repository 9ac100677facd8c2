"""Forget what is kept only for a time."""

from argparse import ArgumentTypeError
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import OperationalError

from syncapi.pruning import TERMS
from zinzino import clock
from zinzino.operators import OperatorCommand

# A lock that was not to be had in time; a statement that took too long.
BUSY = ("55P03", "57014")
KNOWN = "\n".join(f"  {name:15} {term.goes}" for name, term in TERMS.items())


def term(name: str) -> str:
    if name not in TERMS:
        raise ArgumentTypeError(f"{name!r} is none of {', '.join(TERMS)}")
    return name


class Command(OperatorCommand):
    help = (
        "Delete what has had its time; beat does the same by itself, every hour or day. For the time after an "
        "outage of the jobs, or when a shorter term was set. It goes in chunks, beside a running service, and can "
        "be cut off and begun anew. What cannot be done now (a table is locked for more than 2 s) is told, the "
        "rest is done, and it ends with 1. Example: prune sessions deliveries --dry-run"
    )
    epilog = f"what goes:\n{KNOWN}"
    destroys = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("what", nargs="*", type=term, help="names of the list below; all without any")

    def handle(self, *args: Any, **options: Any) -> None:
        now, gone, failed = clock.now(), {}, {}
        for name in dict.fromkeys(options["what"] or TERMS):
            try:
                gone[name] = self.pruned(name, now=now, **options)
            except OperationalError as error:
                if getattr(error.__cause__, "sqlstate", "") not in BUSY:
                    raise
                failed[name] = str(error).partition("\n")[0]
                self.stderr.write(f"{name}: {failed[name]}")
        rest = {"failed": failed} if failed else {}
        if options["json"]:
            self.report({**gone, **rest, "dry_run": options["dry_run"]}, as_json=True)
        if failed:
            raise CommandError(f"Not done: {', '.join(failed)}. Run it again later.")

    def pruned(self, name: str, *, now: datetime, dry_run: bool, json: bool, **_options: Any) -> int | list[str]:
        """Each is told as soon as it is done: a large table takes its time."""
        found = TERMS[name].prune(now=now, dry_run=dry_run)
        if not json:
            self.report({name: ", ".join(found) or "none" if isinstance(found, list) else found}, as_json=False)
        return found
