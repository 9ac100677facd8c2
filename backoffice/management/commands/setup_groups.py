"""Make the roles of the back office."""

from typing import Any

from django.core.management.base import CommandError

from backoffice import roles
from zinzino.operators import OperatorCommand


class Command(OperatorCommand):
    help = "Make the roles of the back office what the table in backoffice/roles.py says. Safe to repeat."
    destroys = True

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            changes = roles.set_up(dry_run=options["dry_run"])
        except LookupError as error:
            raise CommandError(str(error)) from error
        facts = (
            changes if options["json"] else {role: " ".join(each) or "unchanged" for role, each in changes.items()}
        )
        self.report(facts, as_json=options["json"])
