"""What was measured, and what becomes of it: ratios with their spread, and whether a goal holds."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.load import Load

OURS, STOCK, FLOOR = "ours", "stock", "floor"


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with the least and the most of the rounds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))

    def text(self, digits: int = 2) -> str:
        return f"{self.median:.{digits}f} ({self.least:.{digits}f} to {self.most:.{digits}f})"


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure against what it is meant to be; `is_met` is None where nothing is asked for."""

    what: str
    found: str
    wanted: str
    is_met: bool | None


@dataclass(slots=True)
class Rounds:
    """The runs of one endpoint, round by round, by server."""

    runs: dict[str, list[Load]] = field(default_factory=lambda: {OURS: [], STOCK: [], FLOOR: []})
    statements: int = 0
    # Of one answer in bytes, by server: the work must be about the same.
    lengths: dict[str, int] = field(default_factory=dict)

    def rate(self, who: str) -> float:
        return statistics.median(each.rate for each in self.runs[who])

    def at(self, percentile: str, who: str = OURS) -> float:
        return float(statistics.median(getattr(each, percentile) for each in self.runs[who]))

    def ratio(self, other: str) -> Spread:
        """Ours against another, round by round."""
        pairs = zip(self.runs[OURS], self.runs[other], strict=True)
        return Spread.of([ours.rate / theirs.rate for ours, theirs in pairs])


@dataclass(slots=True)
class Findings:
    rounds: dict[str, Rounds] = field(default_factory=lambda: defaultdict(Rounds))
    goals: list[Goal] = field(default_factory=list)
    scenarios: list[tuple[str, Load, str]] = field(default_factory=list)

    def judge(
        self, what: str, value: float, *, least: float | None = None, most: float | None = None, **said: Any
    ) -> None:
        """`said["found"]` is how it is written, where not with two digits."""
        is_met = (least is None or value >= least) and (most is None or value <= most)
        wanted = f"≥ {least:g}" if least is not None else f"≤ {most:g}" if most is not None else ""
        self.goals.append(Goal(what, said.get("found", f"{value:.2f}"), wanted, is_met if wanted else None))

    def as_json(self) -> dict[str, Any]:
        return {
            "rounds": {name: asdict(each) for name, each in self.rounds.items()},
            "goals": [asdict(each) for each in self.goals],
            "scenarios": [[name, asdict(each), said] for name, each, said in self.scenarios],
        }
