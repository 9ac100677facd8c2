"""Forget old tombstones, results of offline writes, and phones that are gone."""

from typing import Any

from syncapi import retention
from zinzino import clock
from zinzino.operators import OperatorCommand


class Command(OperatorCommand):
    help = (
        "Delete tombstones of 180 days ago (a phone that was away that long then needs a full sync), results of "
        "offline writes of 90 days ago and phones unseen for 400 days; beat does it every day."
    )
    destroys = True

    def handle(self, *args: Any, **options: Any) -> None:
        gone = retention.purge(now=clock.now(), dry_run=options["dry_run"])
        names = ("tombstones", "mutations", "phones")
        facts = {**{name: gone[name] for name in names}, "dry_run": options["dry_run"]}
        self.report(facts, as_json=options["json"])
