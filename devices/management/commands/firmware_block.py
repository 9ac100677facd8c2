"""Take a release of firmware out of the world."""

import getpass
from typing import Any

from django.core.management.base import CommandError, CommandParser

from devices.firmware import progress, releases, rollouts
from zinzino import clock
from zinzino.operators import OperatorCommand


class Command(OperatorCommand):
    help = (
        "Block a release: nobody is offered or given it any more, its rollout halts at once. Units that run it "
        "already go on; to stop them from pouring there is safety_stop --scope firmware, and to bring them back "
        "a rollout of the last good image with a higher counter. There is no unblocking: sign and publish anew."
    )
    destroys = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--fw", required=True, help="the version")
        parser.add_argument("--hw", required=True, help="the hardware")
        parser.add_argument("--reason", required=True)
        parser.add_argument("--by", default="", help="who orders it; your login name if not given")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            release = releases.find(options["fw"], options["hw"])
            facts: dict[str, Any] = {"release": str(release), "units_that_run_it": progress.running(release)}
            facts["dry_run"] = options["dry_run"]
            if not options["dry_run"]:
                by = options["by"] or getpass.getuser()
                held = rollouts.block(release.pk, reason=options["reason"], by=by, now=clock.now())
                facts["halted"] = [str(rollout.pk) for rollout in held]
        except (releases.ReleaseRefused, rollouts.RolloutRefused) as error:
            raise CommandError(str(error)) from error
        self.report(facts, as_json=options["json"])
