"""Migrate a database that is in use."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from zinzino import migrating
from zinzino.operators import OperatorCommand
from zinzino.servers import attach


class Command(OperatorCommand):
    help = (
        "Apply migrations beside a running service, and make the partitions of the coming months: waits for a "
        "lock no longer than 2 s, so that nobody queues behind it for long, and tries again later. Safe to repeat "
        "and to interrupt; a second one at the same time ends with 1 at once. --dry-run names what is pending."
    )
    destroys = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--tries", type=int, default=20, help="how often a lock is tried for (default 20)")

    def handle(self, *args: Any, **options: Any) -> None:
        attach()
        facts: dict[str, Any] = {"pending": migrating.pending(), "dry_run": options["dry_run"]}
        if not options["dry_run"]:
            try:
                facts["locks_missed"] = migrating.migrate(tries=options["tries"], say=self.stderr.write)
            except migrating.Busy as error:
                raise CommandError(str(error)) from error
        self.report(facts, as_json=options["json"])
