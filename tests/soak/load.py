"""Sends what people and dispensers want: as fast as it is answered, or when it is due."""

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from tests.soak.arrivals import Arrival, Pool, arrivals, offer
from tests.soak.day import WEIGHTS, Day
from tests.soak.units import Player
from tests.soak.wire import CONNECTIONS, Answer, Ask, Sample

# So long the same is sent again; then it is given up, which must not be.
PATIENCE_S = 180.0
AT_ONCE = 16


class Load:
    def __init__(
        self, wire: Callable[[Ask], Answer], day: Day, players: Sequence[Player], samples: list[Sample]
    ) -> None:
        self.wire, self.day, self.samples = wire, day, samples
        self.pool = Pool(CONNECTIONS)
        self.players: Mapping[str, Iterable[Player]] = {
            kind: itertools.cycle([each for each in players if each.kind == kind])
            for kind in {player.kind for player in players}
        }
        self.waiting, self.given_up = 0, list[str]()
        self.lock = threading.Lock()

    # --- when it is due ---------------------------------------------------------------------------

    def offered(self, rate: float, seconds: float, *, begun: float, seed: int) -> float:
        """By how much (seconds) we were late ourselves, at most."""
        schedule: Iterable[Arrival] = arrivals(rate, seconds, WEIGHTS, seed=seed)
        return offer(iter(schedule), begun, self.take)

    def take(self, kind: str, due: float) -> None:
        if kind in self.players:
            self.next_of(kind).dues.put(due)
            return
        ask = self.day.ask(kind)
        self.count(+1 if ask.again else 0)
        self.pool.work.put(lambda: self.send(ask, due, first=True))

    def send(self, ask: Ask, due: float, *, first: bool) -> None:
        answer = self.wire(ask)
        sample = Sample(ask.kind, due, time.monotonic(), answer.outcome, first)
        if sample.is_ok:
            ask.ok(answer.data)
        self.samples.append(sample)
        if not ask.again:
            return
        if sample.is_ok or time.monotonic() - ask.since > PATIENCE_S:
            self.count(-1)
            if not sample.is_ok:
                self.given_up.append(f"{ask.kind}: {answer.outcome}")
            return
        pause = answer.retry_after + random.random()  # noqa: S311
        self.pool.later(pause, lambda: self.send(ask, time.monotonic(), first=False))

    def count(self, change: int) -> None:
        with self.lock:
            self.waiting += change

    def finish(self) -> None:
        """Until all that must be answered is, or given up."""
        deadline = time.monotonic() + PATIENCE_S + 60
        while self.waiting and time.monotonic() < deadline:
            time.sleep(0.2)
        self.pool.end()

    def next_of(self, kind: str) -> Player:
        return next(iter(self.players[kind]))

    # --- as fast as it is answered ----------------------------------------------------------------

    def capacity(self, seconds: float, *, seed: int) -> float:
        """Answers a second of the same mix, where AT_ONCE clients send the next thing after the last answer."""
        until, before = time.monotonic() + seconds, len(self.samples)
        dice = random.Random(seed)  # noqa: S311
        kinds, shares = list(WEIGHTS), list(WEIGHTS.values())

        def client() -> None:
            while time.monotonic() < until:
                with self.lock:
                    kind = dice.choices(kinds, shares)[0]
                    player = self.next_of(kind) if kind in self.players else None
                if player:
                    player.play(time.monotonic())
                else:
                    self.waiting_send(kind)

        threads = [threading.Thread(target=client, daemon=True) for _ in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return (len(self.samples) - before) / seconds

    def waiting_send(self, kind: str) -> None:
        ask = self.day.ask(kind)
        self.count(+1 if ask.again else 0)
        self.send(ask, time.monotonic(), first=True)
