"""Restore a backup for good."""

from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser

from zinzino import backups, clock
from zinzino.operators import OperatorCommand
from zinzino.servers import attach

REASON = "Son kayıtlar kontrol ediliyor. / The latest records are being checked."


class Command(OperatorCommand):
    help = (
        "Restore a backup into the empty database that DATABASE_URL names, bring it to this version, and stop all "
        "dispensers there: what was poured after the backup is not in it, and nobody may be given a second dose. "
        "Afterwards set SYNC_EPOCH as it says, start the service, wait until dispensers have sent their journals, "
        "and lift the stop: safety_stop --scope all --lift. docs/operations.md (Restore) has the whole of it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("dump", type=Path)
        parser.add_argument("--jobs", type=int, default=2, help="how many restore at once (default 2)")

    def handle(self, *args: Any, **options: Any) -> None:
        attach()
        backup = backups.Backup(options["dump"])
        try:
            backups.restore(backup, jobs=options["jobs"])
        except backups.BackupFailed as error:
            raise CommandError(str(error)) from error
        call_command("migrate_safely", stdout=self.stderr)
        stop = {"scope": "all", "reason": REASON, "by": "restore_db"}
        call_command("safety_stop", **stop, stdout=self.stderr)
        facts = {
            "file": str(backup.dump),
            "taken_at": backup.facts()["taken_at"],
            "safety_stop": "all",
            # Phones that synced after the backup know of what is not here: all start anew.
            "set": f"SYNC_EPOCH={clock.iso(clock.now())}",
        }
        self.report(facts, as_json=options["json"])
