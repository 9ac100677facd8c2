"""A role that may read figures."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import ProgrammingError
from psycopg.errors import InsufficientPrivilege

from analytics import reader
from zinzino.operators import OperatorCommand


class Command(OperatorCommand):
    help = (
        "Make a role of PostgreSQL for people who analyse, or bring its rights up to date; after each update. It "
        "reads what analytics/reader.py names: doses, readings, pushes and the like by ids; no names, addresses, "
        "texts, passwords or tokens. It cannot write, and its statements end after a minute. It has no password: "
        "set one with psql (\\password NAME), and give it a replica rather than the primary. Columns have to be "
        "named: SELECT * is refused. Needs the right to create roles; --dry-run prints the statements for whoever "
        "has it. Example: analytics_role zinzino_analyst --dry-run"
    )
    destroys = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("name", help="of the role; one that was not made by this command is not touched")

    def handle(self, *args: Any, **options: Any) -> None:
        name, dry = options["name"], options["dry_run"]
        try:
            statements = reader.make(name, dry_run=dry)
        except reader.NotOurs as error:
            raise CommandError(f"{name} exists and was not made by this command; choose another name.") from error
        except ProgrammingError as error:
            if isinstance(error.__cause__, InsufficientPrivilege):
                raise CommandError(
                    "You may not create roles; --dry-run prints what somebody else can run."
                ) from error
            raise
        if options["json"] or not dry:
            facts = {"role": name, "tables": len(reader.COLUMNS), "dry_run": dry}
            self.report(facts | ({"statements": statements} if dry else {}), as_json=options["json"])
        else:
            self.stdout.write("\n".join(f"{statement};" for statement in statements))
