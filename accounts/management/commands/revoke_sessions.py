"""End all sessions of a person."""

from typing import Any

from django.core.management.base import CommandParser

from accounts import operators, sessions
from accounts.models import EndReason
from zinzino import clock
from zinzino.operators import OperatorCommand


class Command(OperatorCommand):
    help = "End all sessions of a person, at once, on access tokens too."
    destroys = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        operators.add_person(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = operators.person(email=options["email"], id=options["id"])
        living = user.sessions.filter(ended_at=None)
        dry = options["dry_run"]
        ended = living.count() if dry else sessions.end(living, EndReason.REVOKED, now=clock.now())
        self.report({"user": user.pk, "sessions": ended, "dry_run": dry}, as_json=options["json"])
