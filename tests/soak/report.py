"""The report: for the eye, as Markdown, as JSON; and whether it held."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from deploy.cluster.ledger import Comparison
from tests.soak.memory import Growth
from tests.soak.reckoning import Felt, Service

Rows = tuple[tuple[str, ...], list[tuple[Any, ...]]]


@dataclass
class Report:
    """All that was found. `complaints` is empty where it held."""

    minutes: float
    share: float
    people: int
    capacity: float
    rate: float
    late_s: float
    whole: Service
    beside: Service
    kinds: dict[str, Service]
    felt: list[Felt]
    written: dict[str, tuple[int, Comparison]]
    none: dict[str, int]
    memory: list[Growth]
    wrong: dict[str, int]
    sent_again: int
    given_up: list[str]
    checks: dict[str, str]
    fleet: dict[str, Any]
    left_out: list[str] = field(default_factory=list)
    pushes_again: int = 0

    @property
    def complaints(self) -> list[str]:
        found = [f"{name}: {what}" for name, what in self.checks.items() if what != "well"]
        for name, (_, compared) in self.written.items():
            wrong = {"lost": compared.lost, "doubled": compared.doubled, "never sent": compared.unknown}
            found += [f"{name}: {len(keys)} {what}, such as {keys[0]}" for what, keys in wrong.items() if keys]
        found += [f"{name}: {count}" for name, count in self.none.items() if count]
        found += [f"{what}: {count} times" for what, count in self.wrong.items()]
        found += [f"given up: {each}" for each in self.given_up]
        if self.beside.failures:
            found.append(f"{self.beside.failures} requests failed beside all faults")
        found += [
            f"{each.group} grew from {each.first} to {each.second} MiB" for each in self.memory if not each.is_flat
        ]
        found += [f"the simulated fleet: {each}" for each in self.fleet.get("broken", ["it did not end"])]
        return found

    @property
    def held(self) -> bool:
        return not self.complaints

    def tables(self) -> dict[str, Rows]:
        return {
            "Service": self.services(),
            "Faults": self.faults(),
            "What was acknowledged": self.ledger(),
            "Memory, MiB": self.memories(),
        }

    def services(self) -> Rows:
        rows = [("all", *shown(self.whole)), ("beside all faults", *shown(self.beside))]
        rows += [(kind, *shown(each)) for kind, each in self.kinds.items()]
        return ("requests", "sent", "failed", "error rate, %", "p50, ms", "p95, ms", "p99, ms"), rows

    def faults(self) -> Rows:
        heads = (
            "fault",
            "requests",
            "503",
            "no answer",
            "wrong",
            "last failure, s",
            "slow until, s",
            "longest, s",
        )
        rows = [
            (
                each.window.name,
                *(each.requests, each.refused, each.broken, each.wrong),
                *(each.last_failure_s, each.last_slow_s, each.longest_s),
            )
            for each in self.felt
        ]
        return heads, rows

    def ledger(self) -> Rows:
        rows: list[tuple[Any, ...]] = [
            (name, count, len(each.lost), len(each.doubled), len(each.unknown))
            for name, (count, each) in self.written.items()
        ]
        return ("what", "acknowledged", "lost", "doubled", "never sent"), rows

    def memories(self) -> Rows:
        rows: list[tuple[Any, ...]] = [
            (each.group, each.first, each.second, percent(each.share), percent(each.alone), each.is_flat)
            for each in self.memory
        ]
        return ("program", "first half", "second half", "growth", "of processes that lived long", "flat"), rows

    def show(self, console: Console) -> None:
        for title, (heads, rows) in self.tables().items():
            table = Table(*heads, title=title, title_justify="left")
            for row in rows:
                table.add_row(*map(str, row))
            console.print(table)
        for line in self.lines():
            console.print(line, markup=False, highlight=False)

    def lines(self) -> list[str]:
        """What no table says."""
        checks = ", ".join(f"{name}: {what}" for name, what in self.checks.items())
        told = [
            f"Capacity {self.capacity:.0f} requests/s; offered {self.rate:.0f} a second for {self.minutes:g} "
            f"minutes, of {self.people:,} people with {3 * self.people:,} dispensers; the client itself was late "
            f"by {self.late_s:.2f} s at most.",
            f"{self.sent_again:,} were sent again; pushes that came twice under one id: {self.pushes_again}.",
            f"Afterwards: {checks}; " + ", ".join(f"{name}: {count}" for name, count in self.none.items()) + ".",
            f"The simulated fleet: {json.dumps(self.fleet)}",
        ]
        told += [f"Left out: {each}" for each in self.left_out]
        return told + [f"COMPLAINT {each}" for each in self.complaints]

    def write(self, folder: Path) -> None:
        (folder / "report.json").write_text(self.json())
        (folder / "report.md").write_text(self.markdown())

    def json(self) -> str:
        return json.dumps({"held": self.held, "complaints": self.complaints, **asdict(self)}, indent=1) + "\n"

    def markdown(self) -> str:
        parts = []
        for title, (heads, rows) in self.tables().items():
            lines = [heads, ("---",) * len(heads), *rows]
            parts.append(f"**{title}**\n\n" + "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines))
        return "\n\n".join([*parts, *self.lines()]) + "\n"


def shown(service: Service) -> tuple[Any, ...]:
    times = (f"{service.p50:.0f}", f"{service.p95:.0f}", f"{service.p99:.0f}")
    return (service.requests, service.failures, f"{100 * service.error_rate:.3f}", *times)


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:+.1f} %"
