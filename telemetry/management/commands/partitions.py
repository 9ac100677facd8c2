"""Make the monthly partitions of the growing tables ahead of time, and drop the readings that are too old."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from telemetry import partitions
from zinzino import clock


class Command(BaseCommand):
    help = (
        "Make the monthly partitions of device_states and activity_logs that the next months need, "
        "and drop the device_states that are older than STATES_KEPT_MONTHS."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="say what would be made and dropped, change nothing"
        )
        parser.add_argument("--json", action="store_true", help="answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        now, dry_run = clock.now(), options["dry_run"]
        made = partitions.ensure(now=now, dry_run=dry_run)
        dropped = partitions.drop_expired(now=now, dry_run=dry_run)
        if options["json"]:
            self.stdout.write(json.dumps({"partitions": made, "dropped": dropped, "dry_run": dry_run}))
            return
        verbs = ("missing", "expired") if dry_run else ("made", "dropped")
        lines = [f"{verb} {name}" for verb, names in zip(verbs, (made, dropped), strict=True) for name in names]
        self.stdout.write("\n".join(lines) or "nothing to do")
