"""Lift the login lock of an address."""

from typing import Any

from django.core.management.base import CommandParser

from accounts import lock
from accounts.models import normalized_email
from zinzino.operators import OperatorCommand


class Command(OperatorCommand):
    help = "Forget all failed logins and locks of an e-mail address, whether it has an account or not."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        lock.unlock(normalized_email(options["email"]))
        self.report({"unlocked": True}, as_json=options["json"])
