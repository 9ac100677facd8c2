"""The servers that are measured, and the runs that they are asked for."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from django.utils import timezone

from benchmarks import floor, load
from benchmarks.endpoints import Endpoint
from benchmarks.findings import FLOOR, OURS, STOCK, Findings
from benchmarks.households import Households, id_of
from benchmarks.load import Call, Load

WARM_UP_S = 1.0


@dataclass(slots=True)
class Bench:
    """How long each is asked in each round, by how many clients at once."""

    homes: Households
    ports: dict[str, int]
    work: Path
    clients: int
    rounds: int
    seconds: float
    findings: Findings = field(default_factory=Findings)

    def __post_init__(self) -> None:
        self.work.mkdir(exist_ok=True)

    def in_turn(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Each round begins with another, so that none always follows the same."""
        order = (OURS, STOCK, FLOOR)
        for number in range(self.rounds):
            first = number % len(order)
            yield number, order[first:] + order[:first]

    def be(self, endpoint: Endpoint) -> None:
        """Bring the households into the situation that the endpoint needs."""
        match endpoint.situation:
            case "changed":
                self.homes.changed()
            case "fed":
                self.homes.fed()
            case "hungry":
                self.homes.hungry()

    def ask(self, endpoint: Endpoint, who: str, *, first: int = 1, last: int = 0, seconds: float = 0) -> Load:
        """The endpoint of these people (of all ordinary ones), from one of the servers."""
        calls = endpoint.calls(self.homes, first, last or self.homes.people)
        path = load.save(calls, self.work / "calls.tsv")
        return load.run(
            self.ports[who], path, clients=self.clients, seconds=seconds or self.seconds, once=endpoint.once
        )

    def calls_of_one(self, endpoint: Endpoint) -> list[Call]:
        """What the last ordinary person sends, or their second dispenser."""
        last = self.homes.people
        other = str(id_of("device", 2 * last - 1))
        return [call for call in endpoint.calls(self.homes, last, last) if other not in call.path]

    def floor(self, endpoint: Endpoint) -> Load:
        """The same statements from pgbench; notes how many there are."""
        calls, scripts = self.calls_of_one(endpoint), []
        units = 2 * self.homes.people
        once = units // self.clients if endpoint.once else None
        if not endpoint.once:
            for call in calls:
                floor.recorded(call)
        for number, call in enumerate(calls):
            now = timezone.now()
            ran = floor.recorded(call)
            noted = self.findings.rounds[endpoint.name]
            noted.statements = max(noted.statements, sum(not each.is_bound for each in ran))
            script = floor.Script(ran, self.homes, device=units, now=now)
            scripts.append(self.work / f"{number}.sql")
            scripts[-1].write_text(script.text(once=once))
        if endpoint.once:
            self.be(endpoint)
        return floor.run(scripts, clients=self.clients, seconds=self.seconds, devices=units, once=once)
