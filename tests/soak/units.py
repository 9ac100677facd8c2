"""Units of the full protocol: each keeps a journal, over HTTP or MQTT, and says it whenever its turn has come."""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deploy.cluster.clients import CUP_EVERY, Unit
from deploy.cluster.ledger import Channel
from tests.soak.wire import OK, Sample

OVER_MQTT, OVER_HTTP = 24, 12
AT_ONCE = 12
BROUGHT_IN_WITHIN_S = 180.0


class Player(threading.Thread):
    """One unit, with the moments at which something happened to it."""

    def __init__(self, kind: str, unit: Unit, write: Callable[[Sample], None]) -> None:
        super().__init__(daemon=True, name=unit.name)
        self.kind, self.unit, self.write = kind, unit, write
        self.dues: queue.SimpleQueue[float | None] = queue.SimpleQueue()
        self.lock = threading.Lock()
        self.start()

    def run(self) -> None:
        while (due := self.dues.get()) is not None:
            self.play(due)

    def play(self, due: float) -> None:
        """Something is noted, and all of the journal brought in; every fifth time a cup is placed."""
        with self.lock:
            has_cup = (self.unit.rounds + 1) % CUP_EVERY == 0
            try:
                self.unit.act()
                outcome = "broken: no answer" if self.unit.waiting else OK
            except Exception as error:  # noqa: BLE001 - whatever it is, the report shows it
                outcome = f"wrong: {error!r}"
        kind = f"cup and {self.kind}" if has_cup else self.kind
        self.write(Sample(kind, due, time.monotonic(), outcome))

    def end(self) -> bool:
        """Whether all of the journal has been brought in."""
        self.dues.put(None)
        self.join(BROUGHT_IN_WITHIN_S)
        self.unit.finish()
        return not self.unit.waiting


def make(url: str, mqtt: tuple[str, int], folder: Path, write: Callable[[Sample], None]) -> list[Player]:
    folder.mkdir()

    def made(number: int) -> Player:
        by_mqtt = number < OVER_MQTT
        kind = "journal, MQTT" if by_mqtt else "journal, HTTP"
        flash = folder / f"{number}.json"
        unit = Unit(url, Channel(f"{kind} {number}"), flash, mqtt=mqtt if by_mqtt else None)
        return Player(kind, unit, write)

    # The broker hears of a new unit within a second or two.
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(made, range(OVER_MQTT + OVER_HTTP)))
