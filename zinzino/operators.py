"""The base of the commands that operators run: one way to preview, to report and to fail."""

import json
import re
from argparse import ArgumentTypeError
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter
from django.db import InterfaceError, OperationalError, ProgrammingError
from django.utils.translation import override
from psycopg.errors import UndefinedTable
from redis.exceptions import RedisError

from zinzino import clock
from zinzino.api.errors import ApiError

UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class ListsStay(DjangoHelpFormatter):
    """Text that brings its own lines keeps them."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


class OperatorCommand(BaseCommand):
    """Answers one report: `name: value` lines for people, JSON for programs. Refusals end with code 1.

    `destroys` adds `--dry-run`, which a command passes on to its service. `epilog` ends the help.
    """

    destroys = False
    epilog: str | None = None

    def create_parser(self, prog_name: str, subcommand: str, **more: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, epilog=self.epilog, formatter_class=ListsStay, **more)

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


def moment(text: str) -> datetime:
    """The type of an argument: an ISO 8601 time with Z or an offset, or `90m`, `2h`, `3d` ago."""
    if ago := re.fullmatch(r"(\d{1,5})([mhd])", text):
        return clock.now() - timedelta(**{UNITS[ago[2]]: int(ago[1])})
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ArgumentTypeError(f"{text!r} is neither a time such as 2026-01-31T18:00:00Z nor 90m, 2h or 3d ago")
    return at
