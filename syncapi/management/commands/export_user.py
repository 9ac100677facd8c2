"""Write a copy of all that is kept of a person, or check one that was handed out."""

from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser

from accounts import operators
from accounts.models import User
from syncapi import archive
from zinzino import clock
from zinzino.operators import OperatorCommand


class Command(OperatorCommand):
    help = (
        "Write the signed zip of a person to --output, or say with --verify whether a zip is one of ours and "
        "unchanged. Ends with 0 when it was written or is genuine, with 1 otherwise."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        who = parser.add_mutually_exclusive_group(required=True)
        who.add_argument("--email", help="the person's e-mail address")
        who.add_argument("--id", type=UUID, help="the person's id")
        who.add_argument("--verify", type=Path, metavar="ZIP", help="a zip to check")
        parser.add_argument("--output", type=Path, help="the zip to write; must not exist yet")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verify"]:
            return self.verify(options["verify"], as_json=options["json"])
        user = operators.person(email=options["email"], id=options["id"])
        if options["output"] is None:
            raise CommandError("Where to? Say --output FILE.")
        manifest = write(user, options["output"])
        rows = {line["name"]: line["rows"] for line in manifest["files"]}
        facts = {"user": user.pk, "file": options["output"], "bytes": options["output"].stat().st_size}
        return self.report(facts | rows, as_json=options["json"])

    def verify(self, path: Path, *, as_json: bool) -> None:
        try:
            with path.open("rb") as file:
                genuine = archive.is_genuine(file)
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
        self.report({"file": path, "genuine": genuine}, as_json=as_json)
        if not genuine:
            raise CommandError("This is no export of ours, or it was changed.")


def write(user: User, path: Path) -> dict[str, Any]:
    """Readable by its owner only; nothing is left of one that could not be finished."""
    try:
        path.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
    try:
        with path.open("wb") as file:
            return archive.write(user.pk, file, now=clock.now())
    except BaseException:  # also Ctrl-C: half an archive of a person must not stay
        path.unlink()
        raise
