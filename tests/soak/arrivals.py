"""Who comes when: an open loop, where the next one comes whether or not the last one was answered."""

import queue
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Arrival:
    """`at` is in seconds after the beginning."""

    at: float
    kind: str


def arrivals(rate: float, seconds: float, weights: Mapping[str, float], *, seed: int) -> Iterator[Arrival]:
    """So many a second, at equal distances, of kinds in these proportions."""
    dice = random.Random(seed)  # noqa: S311
    kinds, shares = list(weights), list(weights.values())
    for number in range(int(rate * seconds)):
        yield Arrival(number / rate, dice.choices(kinds, shares)[0])


class Pool:
    """Threads that do what is put in, in that order."""

    def __init__(self, threads: int) -> None:
        self.work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self) -> None:
        while (work := self.work.get()) is not None:
            work()

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, self.work.put, (work,))
        timer.daemon = True
        timer.start()

    def end(self) -> None:
        for _ in self.threads:
            self.work.put(None)
        for thread in self.threads:
            thread.join(30)


def offer(schedule: Iterator[Arrival], begun: float, take: Callable[[str, float], None]) -> float:
    """Hand each arrival on at its moment (kind, due on the monotonic clock); the most that one was late, seconds.

    Ours to be late is measured too: a client that cannot keep its schedule spares the server.
    """
    latest = 0.0
    for arrival in schedule:
        due = begun + arrival.at
        if (wait := due - time.monotonic()) > 0:
            time.sleep(wait)
        latest = max(latest, time.monotonic() - due)
        take(arrival.kind, due)
    return latest
