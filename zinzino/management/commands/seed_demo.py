"""Make the demo accounts and their history, where they are missing."""

import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from zinzino import clock
from zinzino.demo.seed import seed


class Command(BaseCommand):
    help = (
        "Make staff@example.com and demo@example.com with a fortnight of history, once, and leave the id and a "
        "token of the first dispenser in DATA_DIR/demo.json. Never in staging or production."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what is missing")
        parser.add_argument("--json", action="store_true", help="answer as JSON")

    def handle(self, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError(f"Demo accounts are never made in {settings.ENVIRONMENT}.")
        seeded = seed(now=clock.now(), dry_run=options["dry_run"])
        if options["json"]:
            answer = {"made": seeded.made, "dry_run": options["dry_run"], "device_id": seeded.device_id}
            self.stdout.write(json.dumps(answer | {"file": str(seeded.file)}))
            return
        verb = "missing" if options["dry_run"] else "made"
        self.stdout.write("\n".join(f"{verb} {each}" for each in seeded.made) or "demo data: nothing to do")
