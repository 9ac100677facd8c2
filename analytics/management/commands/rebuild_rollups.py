"""Prove that analytics read what the log says, or make the roll-ups anew."""

from collections import Counter
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts import operators
from analytics import audit
from zinzino.operators import OperatorCommand


class Command(OperatorCommand):
    help = (
        "Make the daily roll-ups of one person, or of everybody, anew from the log. --check compares only, and "
        "ends with 1 where they differ; --dry-run compares and ends with 0."
    )
    destroys = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        operators.add_person(parser, required=False)
        parser.add_argument("--check", action="store_true", help="change nothing, end with 1 where they differ")

    def handle(self, *args: Any, **options: Any) -> None:
        named = options["email"] or options["id"]
        only = operators.person(email=options["email"], id=options["id"]).pk if named else None
        looks_only = options["check"] or options["dry_run"]
        found: Counter[str] = Counter()
        checked = 0
        for user_id in audit.users(only):
            faults = audit.faults_of(user_id)
            if faults and not looks_only:
                audit.rebuild(user_id)
            found += faults
            checked += 1
        facts = {"users": checked, **{name: found[name] for name in audit.NAMES}, "rebuilt": not looks_only}
        self.report(facts, as_json=options["json"])
        if found and options["check"]:
            raise CommandError("The roll-ups differ from the log.", returncode=1)
