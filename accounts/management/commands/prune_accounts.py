"""Delete spent and expired tokens and sessions that ended long ago."""

from typing import Any

from accounts import one_time, sessions
from zinzino import clock
from zinzino.operators import OperatorCommand


class Command(OperatorCommand):
    help = "Delete expired one-time tokens and sessions that ended a month ago; beat does it every hour."
    destroys = True

    def handle(self, *args: Any, **options: Any) -> None:
        now, dry = clock.now(), options["dry_run"]
        facts = {
            "one_time_tokens": one_time.prune(now=now, dry_run=dry),
            "sessions": sessions.prune(now=now, dry_run=dry),
            "dry_run": dry,
        }
        self.report(facts, as_json=options["json"])
