"""How much memory each program holds, and whether it grows."""

import statistics
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

EVERY_S = 10.0
MIB = 1024.0
# What a word of the command line makes a process part of; the first that fits.
PROGRAMS = {
    "granian": "web",
    "mqtt_bridge": "bridge",
    "mqtt_broker": "broker",
    "live": "live",
    "worker": "worker",
    "beat": "beat",
    "run": "run",
    "supervisor.supervisord": "run",
    "zinzino.embedded": "run",
}
SERVERS = {"postgres": "postgres", "valkey-server": "valkey", "mosquitto": "broker"}
# At most so much of a process's life is taken for its warming up.
WARM_UP_S = 240.0
LIVED_LONG = 1 / 3
GROWS_BY, BUT_AT_LEAST_MIB = 0.10, 8.0


@dataclass(frozen=True, slots=True)
class Look:
    """At one process: what it holds alone or shares by its part (MiB), without files and PostgreSQL's buffers."""

    at: float
    group: str
    pid: int
    mib: float


def group_of(name: str, words: Sequence[str]) -> str:
    if name in SERVERS:
        return SERVERS[name]
    return next((group for word, group in PROGRAMS.items() if word in words), "")


def held(pid: int) -> float:
    """Anonymous memory, shared pages by their part; MiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1]) / MIB
    return 0.0


def look(processes: Iterable[psutil.Process]) -> list[Look]:
    at, found = time.monotonic(), []
    for each in processes:
        with suppress(psutil.Error, OSError):
            if group := group_of(each.name(), each.cmdline()):
                found.append(Look(at, group, each.pid, held(each.pid)))
    return found


class Watch(threading.Thread):
    """Looks now and then until told to stop."""

    def __init__(self, processes: Callable[[], Iterable[psutil.Process]]) -> None:
        super().__init__(daemon=True)
        self.processes, self.looks = processes, list[Look]()
        self.stopping = threading.Event()

    def run(self) -> None:
        while not self.stopping.wait(EVERY_S):
            self.looks += look(self.processes())


@dataclass(frozen=True, slots=True)
class Growth:
    """Medians in MiB: of the whole group in both halves of the run, and of its processes that lived long."""

    group: str
    first: float
    second: float
    # How much the long-lived ones have grown after their warming up, as a share; None where none lived long.
    alone: float | None

    @property
    def share(self) -> float:
        return self.second / self.first - 1 if self.first else 0.0

    @property
    def is_flat(self) -> bool:
        """A program that was killed begins anew: where one of its processes lived on, that one tells."""
        if self.second - self.first < BUT_AT_LEAST_MIB:
            return True
        return min(self.share, self.share if self.alone is None else self.alone) <= GROWS_BY


def growths(looks: Sequence[Look], *, since: float, until: float) -> list[Growth]:
    """After `since` and before `until` (monotonic), by group."""
    inside = [each for each in looks if since <= each.at <= until]
    return [
        growth([each for each in inside if each.group == group], group, since, until) for group in groups(inside)
    ]


def groups(looks: Iterable[Look]) -> list[str]:
    return sorted({each.group for each in looks})


def growth(looks: Sequence[Look], group: str, since: float, until: float) -> Growth:
    middle, totals = (since + until) / 2, dict[float, float]()
    for each in looks:
        totals[each.at] = totals.get(each.at, 0.0) + each.mib
    halves = [[mib for at, mib in totals.items() if (at < middle) is early] for early in (True, False)]
    first, second = (statistics.median(half) if half else 0.0 for half in halves)
    return Growth(group, round(first, 1), round(second, 1), alone(looks, until - since))


def alone(looks: Sequence[Look], seconds: float) -> float | None:
    before = after = 0.0
    for pid in {each.pid for each in looks}:
        mine = sorted((each for each in looks if each.pid == pid), key=lambda each: each.at)
        begun, ended = mine[0].at, mine[-1].at
        if ended - begun < seconds * LIVED_LONG:
            continue
        warm = begun + min(WARM_UP_S, (ended - begun) / 4)
        middle = (warm + ended) / 2
        early = [each.mib for each in mine if warm <= each.at < middle]
        late = [each.mib for each in mine if each.at >= middle]
        if early and late:
            before, after = before + statistics.median(early), after + statistics.median(late)
    return after / before - 1 if before else None
