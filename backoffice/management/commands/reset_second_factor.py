"""Take the second factor away from somebody who has lost the phone and the recovery codes."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from accounts.models import User, normalized_email
from backoffice import second_factor
from zinzino import audit
from zinzino.operators import OperatorCommand


class Command(OperatorCommand):
    help = "Take the second factor away from a member of staff; they set up a new one when they sign in next."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("email", help="the address they sign in with")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(email=normalized_email(options["email"]), is_staff=True).first()
        if user is None:
            raise CommandError("No member of staff has this address.")
        with transaction.atomic():
            taken = second_factor.take_away(user)
            about = audit.Thing("staff", str(user.pk))
            audit.record(audit.Actor(None, "manage.py"), "second_factor_reset", about, after={"taken": taken})
        self.report({"user": user.pk, "taken": taken}, as_json=options["json"])
