"""What is done to the running product, on one machine."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import psutil
import redis

from tests.faults.product import Product
from tests.soak.disk import Media

BROKER_DOWN_S, DISK_FULL_S = 20.0, 30.0
FOUND_WITHIN_S = 20.0


def nothing() -> None: ...


@dataclass(frozen=True, slots=True)
class Fault:
    """`strike` begins it, after `lasts_s` `mend` ends it; within `settles_s` of that all is to be well again."""

    name: str
    told: str
    strike: Callable[[], None]
    lasts_s: float = 0.0
    mend: Callable[[], None] = nothing
    settles_s: float = 30.0
    # Nobody may be refused because of it.
    is_harmless: bool = False

    @property
    def window_s(self) -> float:
        return self.lasts_s + self.settles_s


def faults(product: Product, media: Media) -> Iterator[Fault]:
    """In the order of their coming."""

    def kill(who: Callable[[], psutil.Process], signum: signal.Signals = signal.SIGKILL) -> Callable[[], None]:
        return lambda: found(who).send_signal(signum)

    yield Fault("web worker", "one of the two REST processes: kill -9", kill(lambda: web_worker(product)))
    yield Fault("worker", "the Celery worker: kill -9", kill(lambda: product.masters("worker")[0]))
    yield Fault(
        "postgres restart",
        "PostgreSQL is told to end at once (SIGINT), and started again",
        kill(lambda: product.servers()["postgres"], signal.SIGINT),
    )
    yield Fault(
        "valkey restart",
        "Valkey is told to end (SIGTERM), and started again",
        kill(lambda: product.servers()["valkey-server"], signal.SIGTERM),
    )
    yield Fault("bridge", "the MQTT bridge: kill -9", kill(lambda: product.masters("mqtt_bridge")[0]))
    if media.is_mounted:
        yield Fault("disk full", "no byte is free where pictures lie", media.fill, DISK_FULL_S, media.make_room)
    yield Fault(
        "broker",
        f"Mosquitto is killed as soon as it comes, for {BROKER_DOWN_S:.0f} s",
        lambda: keep_down(product, BROKER_DOWN_S),
        settles_s=BROKER_DOWN_S + 60,
    )
    yield Fault("valkey flush", "FLUSHALL", lambda: flush(product))
    yield Fault(
        "postgres kill",
        "the postmaster: kill -9",
        kill(lambda: product.servers()["postgres"]),
    )
    yield Fault("web", "all REST processes: kill -9", kill(lambda: product.masters("granian")[0]))


def found(who: Callable[[], psutil.Process]) -> psutil.Process:
    """What was killed before may still be on its way back."""
    deadline = time.monotonic() + FOUND_WITHIN_S
    while True:
        try:
            return who()
        except (IndexError, KeyError, ValueError, psutil.Error):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def web_worker(product: Product) -> psutil.Process:
    return product.masters("granian")[0].children()[0]


def keep_down(product: Product, seconds: float) -> None:
    """Kill whatever Mosquitto comes, by the number that it writes down."""
    pid_file, until = product.layout.data_dir / "mosquitto" / "pid", time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(OSError, ValueError, psutil.Error):
            process = psutil.Process(int(pid_file.read_text()))
            if process.name() == "mosquitto":
                process.kill()
        time.sleep(0.05)


def flush(product: Product) -> None:
    with redis.Redis(unix_socket_path=str(product.layout.valkey_socket)) as client:
        client.flushall()
