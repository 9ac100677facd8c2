"""Finding the person that an operator means."""

from uuid import UUID

from django.core.management.base import CommandError, CommandParser

from accounts.models import User, normalized_email


def add_person(parser: CommandParser, *, required: bool = True) -> None:
    who = parser.add_mutually_exclusive_group(required=required)
    who.add_argument("--email", help="the person's e-mail address")
    who.add_argument("--id", type=UUID, help="the person's id")


def person(*, email: str | None, id: UUID | None) -> User:
    """Raises CommandError for an unknown person."""
    chosen = {"email": normalized_email(email)} if email else {"pk": id}
    found = User.objects.filter(**chosen)
    user = found.first()
    if user is None:
        raise CommandError("No account has this address or id.")
    return user
