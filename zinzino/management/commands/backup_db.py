"""Back the database up."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from zinzino import backups, clock
from zinzino.operators import OperatorCommand
from zinzino.servers import attach


class Command(OperatorCommand):
    help = (
        "Write one consistent snapshot of the whole database into a folder, with a page about it (when, sha256, "
        "migrations), while the service runs. Pictures, exports and keys are not in it: docs/operations.md "
        "(Backups) lists what else to keep. Prove with restore_check that it can be restored."
    )
    destroys = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        folder = Path(settings.DATA_DIR) / "backups"
        parser.add_argument("--folder", type=Path, default=folder, help=f"where to (default {folder})")
        parser.add_argument("--keep", type=int, metavar="N", help="afterwards delete all but the newest N")

    def handle(self, *args: Any, **options: Any) -> None:
        attach()
        folder, keep = options["folder"], options["keep"]
        if keep is not None and keep < 1:
            raise CommandError("--keep must leave at least one.")
        facts: dict[str, Any] = {"dry_run": options["dry_run"]}
        try:
            if not options["dry_run"]:
                backup = backups.back_up(folder, now=clock.now())
                backups.remember("backup_db", now=clock.now())
                facts |= {"file": str(backup.dump), **backup.facts()}
            old = backups.prune(folder, keep=keep, dry_run=options["dry_run"]) if keep else []
        except backups.BackupFailed as error:
            raise CommandError(str(error)) from error
        self.report(facts | {"deleted": [str(each.dump) for each in old]}, as_json=options["json"])
