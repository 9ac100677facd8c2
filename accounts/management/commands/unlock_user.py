"""Lift the login lock of an address."""

from typing import Any

from django.core.management.base import CommandParser

from accounts import lock
from accounts.models import User, normalized_email
from zinzino.operators import OperatorCommand


class Command(OperatorCommand):
    help = (
        "Forget all failed logins and locks of an e-mail address, whether it has an account or not; `user` in "
        "the answer is the account."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("email", help="the address that was typed at the login")

    def handle(self, *args: Any, **options: Any) -> None:
        email = normalized_email(options["email"])
        lock.unlock(email)
        user = User.objects.filter(email=email).values_list("pk", flat=True).first()
        self.report({"unlocked": True, "user": user}, as_json=options["json"])
