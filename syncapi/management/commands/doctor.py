"""Look whether everything is well."""

from typing import IO, Any, cast

from django.core.management.base import CommandError
from rich.console import Console
from rich.table import Table

from syncapi import doctor
from syncapi.doctor import Finding, Verdict
from zinzino.operators import OperatorCommand
from zinzino.servers import attach

COLOURS = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAULT: "red"}


class Command(OperatorCommand):
    help = (
        "Ask every part of this installation whether it works: settings, database, clock, migrations, partitions, "
        "sync capture, Valkey, jobs, pushes, storage, mail, broker, safety stops. Changes nothing (storage is "
        "tried with a file that goes again), sends nothing. Ends with 1 where there is a fault; a warning is for "
        "you to judge."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        attach()
        found = list(doctor.findings())
        if options["json"]:
            self.report({each.part: {"verdict": each.verdict, "text": each.text} for each in found}, as_json=True)
        else:
            Console(file=cast("IO[str]", self.stdout)).print(shown(found))
        if faults := [each.part for each in found if each.verdict is Verdict.FAULT]:
            raise CommandError(f"Not well: {', '.join(faults)}.", returncode=1)


def shown(found: list[Finding]) -> Table:
    table = Table("part", "", "what it says")
    for each in found:
        table.add_row(each.part, each.verdict, each.text, style=COLOURS[each.verdict])
    return table
