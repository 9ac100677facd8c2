"""Make the monthly partitions of the growing tables ahead of time."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from telemetry import partitions
from zinzino import clock


class Command(BaseCommand):
    help = "Make the monthly partitions of device_states and activity_logs that the next months need."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say which are missing")
        parser.add_argument("--json", action="store_true", help="answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        made = partitions.ensure(now=clock.now(), dry_run=options["dry_run"])
        if options["json"]:
            self.stdout.write(json.dumps({"partitions": made, "dry_run": options["dry_run"]}))
            return
        verb = "missing" if options["dry_run"] else "made"
        self.stdout.write("\n".join(f"{verb} {each}" for each in made) or "nothing to do")
