"""Prove that every phone hears of everything."""

from collections import Counter
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts import operators
from syncapi import audit
from zinzino.operators import OperatorCommand

# Of the people whose log is wrong; beyond, one looks for the cause and not for the people.
MOST_NAMED = 20


class Command(OperatorCommand):
    help = (
        "Compare the synced tables with the change log, and the database's capture triggers with this code. "
        "Ends with 1 where they differ. --repair stamps anew what is missing or gone, so that phones hear of it "
        "with their next delta; triggers that are missing come back with migrations, those that are off with "
        "ALTER TABLE … ENABLE TRIGGER USER. A value that changed while they were off cannot be seen in the log: "
        "then sync_rebuild makes every phone fetch it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        operators.add_person(parser, required=False)
        parser.add_argument("--repair", action="store_true", help="mend the log")

    def handle(self, *args: Any, **options: Any) -> None:
        only = operators.person(email=options["email"], id=options["id"]).pk if named(options) else None
        found: Counter[str] = Counter()
        concerned: list[str] = []
        checked = 0
        for user_id in audit.users(only):
            faults = audit.mend(user_id) if options["repair"] else audit.faults_of(user_id)
            found += faults
            concerned += [str(user_id)] if faults else []
            checked += 1
        triggers = audit.trigger_faults()
        facts = {"users": checked, **{name: found[name] for name in audit.NAMES}, "triggers": triggers}
        facts |= {"concerned": len(concerned), "such_as": concerned[:MOST_NAMED], "repaired": options["repair"]}
        self.report(facts, as_json=options["json"])
        if triggers or (found and not options["repair"]):
            raise CommandError("The change log differs from the tables.", returncode=1)


def named(options: dict[str, Any]) -> bool:
    return bool(options["email"] or options["id"])
