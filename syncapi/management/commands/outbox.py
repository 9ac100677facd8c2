"""What waits to be sent, and sending it."""

from datetime import datetime, timedelta
from types import ModuleType
from typing import IO, Any, cast

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from accounts import backlog as mails
from notifications import backlog as pushes
from zinzino import clock
from zinzino.operators import OperatorCommand, moment

OUTBOXES: dict[str, ModuleType] = {"mail": mails, "push": pushes}
COLUMNS = ("outbox", "status", "reason", "count", "oldest")


class Command(OperatorCommand):
    help = (
        "What waits in the outboxes of mails and pushes, and what failed since --since, by status and reason, the "
        "oldest first. --retry gives what failed between --since and --until another attempt, where that is "
        "still of use (the phone lives, the push is not out of date), and makes what waits after a failure due "
        "at once: after a provider's key was mended, for example. `lost` counts what no attempt can bring back; "
        "mails that were given up are among it, since their links are not kept. --drain sends what is due in this "
        "very process, beside the workers, and ends with 1 if something is left. Examples: outbox; outbox --retry "
        "--since 2h --dry-run; outbox --retry --since 2h --drain"
    )
    destroys = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--only", choices=OUTBOXES, help="of the two outboxes this one")
        span = "an ISO 8601 time with Z or an offset, or 90m, 2h, 3d ago"
        parser.add_argument("--since", type=moment, help=f"{span} (default 24h)")
        parser.add_argument("--until", type=moment, help=f"{span} (default now)")
        parser.add_argument("--retry", action="store_true", help="try again what failed in that time")
        parser.add_argument("--drain", action="store_true", help="send what is due now")

    def handle(self, *args: Any, **options: Any) -> None:
        now, chosen = clock.now(), [options["only"]] if options["only"] else list(OUTBOXES)
        since, until = options["since"] or now - timedelta(days=1), options["until"] or now
        if since >= until:
            raise CommandError("--since must be before --until.")
        if not (options["retry"] or options["drain"]):
            self.show(standing(chosen, since=since, now=now), as_json=options["json"])
            return
        dry, facts = options["dry_run"], {"dry_run": options["dry_run"]}
        if options["retry"]:
            facts |= told(chosen, "retry", since=since, until=until, now=now, dry_run=dry)
        if options["drain"]:
            facts |= told(chosen, "drain", now=clock.now, dry_run=dry)
        self.report(facts, as_json=options["json"])
        if any(facts.get(f"{name}_left") for name in chosen):
            raise CommandError("Not all was sent: `outbox` shows why.")

    def show(self, heaps: list[dict[str, Any]], *, as_json: bool) -> None:
        if as_json:
            self.report({"standing": heaps}, as_json=True)
        elif heaps:
            table = Table(*COLUMNS)
            for heap in heaps:
                age = {"oldest": timedelta(seconds=heap["age_s"])}
                table.add_row(*(str((heap | age)[name]) for name in COLUMNS))
            Console(file=cast("IO[str]", self.stdout)).print(table)
        else:
            self.stdout.write("nothing waits, nothing failed")


def standing(chosen: list[str], *, since: datetime, now: datetime) -> list[dict[str, Any]]:
    found = [
        {"outbox": name, "due_at": None, **heap}
        for name in chosen
        for heap in OUTBOXES[name].standing(since=since)
    ]
    for heap in found:
        heap["age_s"] = round((now - heap["oldest_at"]).total_seconds())
        heap |= {name: clock.iso(heap[name]) for name in ("oldest_at", "due_at") if heap[name]}
    return sorted(found, key=lambda heap: -heap["age_s"])


def told(chosen: list[str], act: str, **how: Any) -> dict[str, int]:
    return {
        f"{name}_{fact}": count for name in chosen for fact, count in getattr(OUTBOXES[name], act)(**how).items()
    }
