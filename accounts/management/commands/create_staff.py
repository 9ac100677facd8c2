"""Make an account for the back office."""

import getpass
import os
import sys
from typing import Any

from django.contrib.auth.models import Group
from django.core.management.base import CommandError, CommandParser
from rest_framework.exceptions import ValidationError
from rest_framework.serializers import CharField

from accounts.models import User
from accounts.passwords import least_of_staff
from zinzino.api.errors import flattened
from zinzino.api.fields import EmailAddress, PlainText
from zinzino.operators import OperatorCommand


class Command(OperatorCommand):
    help = (
        "Make a staff account for /admin. The password is asked for, or read from STAFF_PASSWORD; "
        "it never stands on the command line. Without --role or --superuser the account sees nothing until an "
        "administrator gives it a role in /admin."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("email", help="the address to sign in with")
        parser.add_argument("--name", default="", help="the full name; the address where left out")
        parser.add_argument(
            "--role", action="append", default=[], help="one that `setup_groups` has made; repeatable"
        )
        parser.add_argument("--superuser", action="store_true", help="may do everything")

    def handle(self, *args: Any, **options: Any) -> None:
        email = valid("The address", EmailAddress(), options["email"])
        name = valid("The name", PlainText(max_length=100), options["name"] or email[:100])
        if User.objects.filter(email=email).exists():
            raise CommandError("This address has an account already.")
        roles = [role_named(each) for each in options["role"]]
        password = asked_password()
        user = User.objects.create_user(
            email,
            password,
            full_name=name,
            is_staff=True,
            is_superuser=options["superuser"],
            is_verified=True,
        )
        user.groups.set(roles)
        facts = {"id": user.pk, "email": email, "superuser": user.is_superuser, "roles": options["role"]}
        self.report(facts, as_json=options["json"])


def role_named(name: str) -> Group:
    role = Group.objects.filter(name=name).first()
    if role is None:
        known = ", ".join(Group.objects.order_by("name").values_list("name", flat=True))
        raise CommandError(f"There is no role {name}. There are: {known or 'none yet; run setup_groups'}.")
    return role


def asked_password() -> str:
    password = os.environ.get("STAFF_PASSWORD")
    if password is None:
        if not sys.stdin.isatty():
            raise CommandError("Nobody can be asked for the password here: set STAFF_PASSWORD.")
        password = getpass.getpass("Password: ")
    if len(password) < least_of_staff():
        raise CommandError(f"Staff passwords have at least {least_of_staff()} characters.")
    return password


def valid(what: str, field: CharField, value: str) -> str:
    try:
        checked: str = field.run_validation(value)
    except ValidationError as error:
        [(_, [why, *_more])] = flattened(error.detail)
        raise CommandError(f"{what} is refused: {why}") from error
    return checked
