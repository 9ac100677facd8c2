"""Make an account for the back office."""

import getpass
import os
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.models import User, normalized_email
from zinzino.operators import OperatorCommand


class Command(OperatorCommand):
    help = (
        "Make a staff account for /admin. The password is asked for, or read from STAFF_PASSWORD; "
        "it never stands on the command line."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("email")
        parser.add_argument("--name", default="", help="the full name; the address where left out")
        parser.add_argument("--superuser", action="store_true", help="may do everything")

    def handle(self, *args: Any, **options: Any) -> None:
        email = normalized_email(options["email"])
        if User.objects.filter(email=email).exists():
            raise CommandError("This address has an account already.")
        password = os.environ.get("STAFF_PASSWORD") or getpass.getpass("Password: ")
        if len(password) < 10:
            raise CommandError("Staff passwords have at least 10 characters.")
        user = User.objects.create_user(
            email,
            password,
            full_name=options["name"] or email,
            is_staff=True,
            is_superuser=options["superuser"],
            is_verified=True,
        )
        self.report({"id": user.pk, "superuser": user.is_superuser}, as_json=options["json"])
