"""The base of the commands that operators run: one way to preview, to report and to fail."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError, ProgrammingError
from django.utils.translation import override
from psycopg.errors import UndefinedTable
from redis.exceptions import RedisError

from zinzino.api.errors import ApiError


class OperatorCommand(BaseCommand):
    """Answers one report: `name: value` lines for people, JSON for programs. Refusals end with code 1.

    `destroys` adds `--dry-run`, which a command passes on to its service.
    """

    destroys = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="answer as JSON")
        if self.destroys:
            parser.add_argument("--dry-run", action="store_true", help="say what would happen, change nothing")

    def execute(self, *args: Any, **options: Any) -> str | None:
        """In English, whatever the customers speak; a refusal or a server that is away is one line."""
        try:
            with override("en"):
                return super().execute(*args, **options)
        except ApiError as error:
            raise CommandError(str(error.detail)) from error
        except ProgrammingError as error:
            if not isinstance(error.__cause__, UndefinedTable):
                raise
            raise CommandError("The database has not all tables yet: run `manage.py migrate`.") from error
        except (OperationalError, InterfaceError, RedisError) as error:
            why = str(error).partition("\n")[0]
            raise CommandError(f"PostgreSQL or Valkey does not answer: {why}") from error

    def report(self, facts: dict[str, Any], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(facts, ensure_ascii=False, default=str))
        else:
            self.stdout.write("\n".join(f"{name}: {value}" for name, value in facts.items()))
