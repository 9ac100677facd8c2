"""Prove that a backup can be restored, and that what is in it is whole."""

import io
import time
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser

from zinzino import backups, clock, migrating
from zinzino.operators import OperatorCommand
from zinzino.servers import attach

# Each ends with an error where the tables contradict each other.
PROOFS = (("sync_audit",), ("rebuild_rollups", "--check"))


class Command(OperatorCommand):
    help = (
        "Restore a backup into a database of its own beside the real one, prove there that the change log and the "
        "daily sums agree with the tables, count the rows, and drop it again. The time that it took is the least "
        "that a real restore takes. Needs the right to create databases. Ends with 1 where anything is wrong."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("dump", type=Path, nargs="?", help="which; the newest of --folder if not given")
        parser.add_argument("--folder", type=Path, default=Path(settings.DATA_DIR) / "backups")
        parser.add_argument("--jobs", type=int, default=2, help="how many restore at once (default 2)")

    def handle(self, *args: Any, **options: Any) -> None:
        attach()
        try:
            backup = chosen(options["dump"], options["folder"])
            facts = {"file": str(backup.dump), **self.proved(backup, jobs=options["jobs"])}
        except backups.BackupFailed as error:
            raise CommandError(str(error)) from error
        self.report(facts, as_json=options["json"])

    def proved(self, backup: backups.Backup, *, jobs: int) -> dict[str, Any]:
        facts = {"taken_at": backup.facts()["taken_at"]}
        started = time.monotonic()
        with backups.scratch_database():
            backups.restore(backup, jobs=jobs)
            facts["restored_in_s"] = round(time.monotonic() - started, 1)
            if missing := migrating.pending():
                self.stderr.write(f"The backup is of an older version; not proved, only restored: {missing}")
            else:
                for name, *words in PROOFS:
                    call_command(name, *words, stdout=io.StringIO())
                backups.remember("restore_check", now=clock.now())
            tables = [model for model in apps.get_models() if model._meta.managed]
            facts["rows"] = {model._meta.db_table: model._default_manager.count() for model in tables}
        return facts


def chosen(dump: Path | None, folder: Path) -> backups.Backup:
    if dump:
        return backups.Backup(dump)
    if found := backups.made(folder):
        return found[0]
    raise backups.BackupFailed(f"There is no backup in {folder}.")
