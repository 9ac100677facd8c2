"""What the samples say: of each fault, of the time beside all faults, and of the whole. Pure."""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.soak.wire import Sample

# Who waits longer than this is not served well.
SLOW_S = 1.0


@dataclass(frozen=True, slots=True)
class Window:
    """A fault and the time in which it may be felt; monotonic. `is_harmless`: nobody may be refused in it."""

    name: str
    told: str
    since: float
    until: float
    is_harmless: bool = False

    def has(self, sample: Sample) -> bool:
        """Also what was under way when it struck."""
        return sample.due < self.until and sample.ended > self.since


@dataclass(frozen=True, slots=True)
class Felt:
    """What clients felt of a fault. Seconds are since it struck."""

    window: Window
    requests: int
    refused: int
    broken: int
    wrong: int
    last_failure_s: float
    last_slow_s: float
    longest_s: float


@dataclass(frozen=True, slots=True)
class Service:
    """How requests were served; milliseconds."""

    requests: int
    failures: int
    p50: float
    p95: float
    p99: float

    @property
    def error_rate(self) -> float:
        return self.failures / self.requests if self.requests else 0.0


def felt(samples: Sequence[Sample], window: Window) -> Felt:
    inside = [each for each in samples if each.first and window.has(each)]
    outcomes = Counter(each.outcome.partition(" ")[0].rstrip(":") for each in inside)
    return Felt(
        window,
        requests=len(inside),
        refused=outcomes["refused"],
        broken=outcomes["broken"],
        wrong=outcomes["wrong"],
        last_failure_s=last([each for each in inside if not each.is_ok], window),
        last_slow_s=last([each for each in inside if each.waited > SLOW_S], window),
        longest_s=round(max((each.waited for each in inside), default=0.0), 2),
    )


def last(samples: Iterable[Sample], window: Window) -> float:
    return round(max((each.ended - window.since for each in samples), default=0.0), 1)


def beside(samples: Iterable[Sample], windows: Sequence[Window]) -> list[Sample]:
    """Those that no fault explains."""
    harmful = [window for window in windows if not window.is_harmless]
    return [each for each in samples if not any(window.has(each) for window in harmful)]


def service(samples: Iterable[Sample]) -> Service:
    """Of what was sent for the first time. How long one waited is counted from when it was due."""
    mine = [each for each in samples if each.first]
    waited = [each.waited * 1000 for each in mine]
    cuts = statistics.quantiles(waited, n=100) if len(waited) > 1 else [0.0] * 99
    failures = sum(not each.is_ok for each in mine)
    return Service(len(mine), failures, *(round(cuts[at], 1) for at in (49, 94, 98)))


def by_kind(samples: Sequence[Sample]) -> dict[str, Service]:
    kinds = sorted({each.kind for each in samples})
    return {kind: service([each for each in samples if each.kind == kind]) for kind in kinds}


def wrongs(samples: Iterable[Sample]) -> Counter[str]:
    """Answers that may never be given, fault or not."""
    return Counter(f"{each.kind}: {each.outcome}" for each in samples if each.outcome.startswith("wrong"))
