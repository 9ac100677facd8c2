"""The base of the commands that operators run: one way to preview, to report and to fail."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser


class OperatorCommand(BaseCommand):
    """Answers one report: `name: value` lines for people, JSON for programs. Refusals end with code 1.

    `destroys` adds `--dry-run`, which a command passes on to its service.
    """

    destroys = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="answer as JSON")
        if self.destroys:
            parser.add_argument("--dry-run", action="store_true", help="say what would happen, change nothing")

    def report(self, facts: dict[str, Any], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(facts, ensure_ascii=False, default=str))
        else:
            self.stdout.write("\n".join(f"{name}: {value}" for name, value in facts.items()))
