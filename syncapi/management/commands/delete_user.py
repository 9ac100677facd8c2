"""Delete an account for somebody who cannot do it in the app."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts import operators
from syncapi import erasure
from zinzino import clock
from zinzino.operators import OperatorCommand


class Command(OperatorCommand):
    help = (
        "Delete an account as the app would: everything ends at once, rows and files go now, and the nameless "
        "row that is left within minutes. Needs --yes, because nothing can be brought back. Ends with 0 when "
        "the account is deleted, with 1 when there is none or it was refused."
    )
    destroys = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        operators.add_person(parser)
        parser.add_argument("--yes", action="store_true", help="really delete")

    def handle(self, *args: Any, **options: Any) -> None:
        user = operators.person(email=options["email"], id=options["id"])
        if user.deleted_at:
            raise CommandError("This account is deleted already.")
        facts = {"user": user.pk, "dry_run": options["dry_run"]}
        if options["dry_run"]:
            return self.report(facts | erasure.counted(user.pk), as_json=options["json"])
        if not options["yes"]:
            raise CommandError("Nothing was deleted: say --yes, or look first with --dry-run.")
        erasure.close(user.pk, now=clock.now())
        gone = erasure.erase(user.pk, now=clock.now())
        del gone["users"]
        return self.report(facts | gone, as_json=options["json"])
