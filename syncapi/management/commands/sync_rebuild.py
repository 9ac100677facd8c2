"""Write the change log anew."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts import operators
from syncapi import audit
from zinzino.operators import OperatorCommand


class Command(OperatorCommand):
    help = (
        "Write the change log of one person, or of --all, anew from the tables. Every phone concerned then needs "
        "a full sync, and offline edits that are older conflict. `sync_audit --repair` is the milder remedy."
    )
    destroys = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        operators.add_person(parser, required=False)
        parser.add_argument("--all", action="store_true", help="everybody")

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["email"] or options["id"]) == options["all"]:
            raise CommandError("Say whose log: --email, --id or --all.")
        only = None if options["all"] else operators.person(email=options["email"], id=options["id"]).pk
        users = lines = 0
        for user_id in audit.users(only):
            users += 1
            lines += 0 if options["dry_run"] else audit.rebuild(user_id)
        facts = {"users": users, "lines": lines, "dry_run": options["dry_run"]}
        self.report(facts, as_json=options["json"])
