"""Workers that die between sending and writing down, a broker that is away, a second beat by mistake: each
person has each notification once, and each delivery ends."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.db import connection
from rich.console import Console
from rich.table import Table

from accounts.models import User
from notifications import policy
from notifications.models import Notification, NotificationSettings, NotificationType, PushDelivery, PushToken
from notifications.telling import Telling, tell_all
from tests import make
from tests.embedded.conftest import eventually
from tests.mqtt.conftest import free_port
from tests.notifications import fakes
from tests.notifications.conftest import apples
from tests.notifications.fakes import Answer, FakeApns, FakeFcm
from zinzino import clock
from zinzino.embedded import valkey

pytestmark = [pytest.mark.enable_socket, pytest.mark.slow, pytest.mark.django_db(transaction=True)]


class Broker:
    """A Valkey of its own, which forgets all that it held when it is killed."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        files = {"dir": str(folder), "save": "", "appendonly": "no", "logfile": str(folder / "log")}
        options = {"port": str(self.port), "bind": "127.0.0.1", **files}
        self.command = [valkey.executable(), *(part for name in options for part in (f"--{name}", options[name]))]

    def start(self) -> None:
        self.process = subprocess.Popen(self.command)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Product:
    """Workers and beats as processes of their own, on the database of this test and on the two fakes."""

    def __init__(self, folder: Path, google: FakeFcm, apple: FakeApns, *, celery: str) -> None:
        self.folder, self.celery = folder, celery
        self.broker = Broker(folder)
        database = connection.settings_dict
        self.environment = {
            **os.environ,
            **{name: str(value) for name, value in fakes.settings_for(google, apple).items()},
            "DJANGO_SETTINGS_MODULE": "zinzino.settings",
            "DATA_DIR": str(folder / "var"),
            "DATABASE_URL": f"postgres://{database['USER']}@/{database['HOST']}/{database['NAME']}",
            "REDIS_URL": f"redis://127.0.0.1:{self.broker.port}/0",
            "REMINDER_SPREAD_S": "0",
            "PUSH_TIMEOUT_S": "5",
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        self.workers: list[subprocess.Popen[bytes]] = []
        self.started_anew = 0

    def spawn(self, *arguments: str) -> subprocess.Popen[bytes]:
        """In a group of its own, so that a worker dies with its children."""
        command = [sys.executable, "-m", self.celery, "-A", "zinzino", *arguments, "-l", "WARNING"]
        with (self.folder / "celery.log").open("ab") as log:
            started = subprocess.Popen(
                command,
                env=self.environment,
                cwd=settings.BASE_DIR,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(started)
        return started

    def worker(self) -> subprocess.Popen[bytes]:
        self.workers.append(self.spawn("worker", "-c", "2", "--without-mingle", "--without-gossip"))
        return self.workers[-1]

    def supervise(self) -> None:
        """Start anew who ended: a worker that has a message in hand when its broker dies gives up (kombu 5.7)."""
        for ended in [worker for worker in self.workers if worker.poll() is not None]:
            self.workers.remove(ended)
            self.worker()
            self.started_anew += 1

    def beat(self, number: int) -> subprocess.Popen[bytes]:
        return self.spawn("beat", "--pidfile=", "-s", str(self.folder / f"beat{number}"))

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.broker.kill()


Start = Callable[[str], tuple[Product, FakeFcm, FakeApns]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def started(celery: str) -> tuple[Product, FakeFcm, FakeApns]:
            google, apple = stack.enter_context(fakes.running(tmp_path))
            product = Product(tmp_path, google, apple, celery=celery)
            stack.callback(product.end)
            return product, google, apple

        yield started


def crowd(people: int) -> list[User]:
    """People with one phone each, every other one of Apple's; their reminder is due."""
    now = clock.now()
    users = User.objects.bulk_create(
        User(id=make.uuid_of(number), email=f"crowd{number}@example.com", password="", full_name="Crowd")
        for number in range(people)
    )
    PushToken.objects.bulk_create(
        PushToken(
            id=make.uuid_of(people + number),
            user=user,
            provider="apns" if number % 2 else "fcm",
            platform="ios" if number % 2 else "android",
            token=token_of(number),
            token_hash=token_of(number),
            created_at=now,
            registered_at=now,
        )
        for number, user in enumerate(users)
    )
    minute = now.replace(second=0, microsecond=0)
    wall = minute.astimezone(ZoneInfo("Europe/Istanbul")).time()
    NotificationSettings.objects.update(next_reminder_at=minute, replan_from=None, reminder_times=[wall])
    return users


def token_of(number: int) -> str:
    return apples(number) if number % 2 else f"android-{number}"


def waiting() -> Any:
    return PushDelivery.objects.filter(status__in=("queued", "sending"))


def told_while_the_broker_is_away(users: list[User], *, useful_for: timedelta, kind: NotificationType) -> None:
    usual = policy.USEFUL_FOR[kind]
    policy.USEFUL_FOR[kind] = useful_for
    try:
        facts = {"device_name": "Mutfak", "time": "08:00"}
        tell_all([Telling(user.pk, kind, f"{kind}:away", facts=facts) for user in users], now=clock.now())
    finally:
        policy.USEFUL_FOR[kind] = usual


def table(people: int, seconds: float, received: Counter[str]) -> Table:
    """What became of everything, for the eye; the test asserts the same."""
    shown = Table("what", "how many", title=f"{people:,} people, {seconds:.0f} s")
    rows: dict[str, Any] = {"notifications": Notification.objects.count()}
    rows |= {f"deliveries: {status}": count for status, count in sorted(ended().items())}
    rows |= {"deliveries: waiting": waiting().count(), "pushes received": received.total()}
    rows |= {"different ones": len(received), "received again": received.total() - len(received)}
    for name, value in rows.items():
        shown.add_row(name, f"{value:,}")
    return shown


def all_is_sent(product: Product) -> bool:
    product.supervise()
    return not waiting().exists()


def ended() -> Counter[str]:
    return Counter(PushDelivery.objects.values_list("status", flat=True))


@pytest.mark.parametrize(
    ("people", "celery", "away_s", "within_s"),
    [
        pytest.param(120, "tests.faults.hurried", 4.0, 90, id="in small"),
        pytest.param(1000, "celery", 60.0, 420, id="with real pauses", marks=pytest.mark.soak),
    ],
)
def test_whatever_dies_each_notification_comes_once(
    start: Start, people: int, celery: str, away_s: float, within_s: float
) -> None:
    product, google, apple = start(celery)
    began = time.monotonic()
    users = crowd(people)
    for number in range(0, people, 15):
        [google, apple][number % 2].says(token_of(number), Answer(503), Answer())
    product.broker.start()

    # A worker dies with pushes under way: the providers have them, and no row says so.
    alone = product.worker()
    google.when(people // 8, lambda: os.killpg(alone.pid, signal.SIGKILL))
    product.beat(1)
    product.beat(2)
    alone.wait(within_s)
    unwritten = set(map(str, PushDelivery.objects.filter(status="sending").values_list("pk", flat=True)))
    assert unwritten & google.by_id().keys()

    # The broker dies, with all that it held, while two other workers are at it.
    product.supervise()
    product.worker()
    google.when(people // 3, product.broker.kill)
    product.broker.process.wait(within_s)
    away_until = time.monotonic() + away_s
    eventually(lambda: not waiting().filter(next_attempt_at__lte=clock.now()).exists(), within_s)
    time.sleep(1)
    useless, useful = users[: people // 10], users[people // 10 : people // 5]
    told_while_the_broker_is_away(
        useless, kind=NotificationType.DOSE_MISSED, useful_for=timedelta(seconds=away_s / 4)
    )
    told_while_the_broker_is_away(useful, kind=NotificationType.DOSE_FAILED, useful_for=timedelta(hours=1))
    time.sleep(max(0.0, away_until - time.monotonic()))
    product.broker.start()

    eventually(lambda: all_is_sent(product), within_s)
    received = Counter(google.by_id()) + Counter(apple.by_id())
    Console().print(table(people, time.monotonic() - began, received))
    assert product.started_anew <= 3, "the killed one, and both that were at it when the broker died"
    assert Notification.objects.filter(type="reminder").count() == people
    assert Notification.objects.count() == people + len(useless) + len(useful)
    assert ended() == {"sent": people + len(useful), "expired": len(useless)}
    sent = set(map(str, PushDelivery.objects.filter(status="sent").values_list("pk", flat=True)))
    assert received.keys() == sent
    # Again only what had no answer: the pushes of the dead worker, and those that were refused once.
    again = {each for each, times in received.items() if times > 1}
    assert again & unwritten
    assert len(again - unwritten) <= people // 15 + 1
    assert not NotificationSettings.objects.filter(next_reminder_at__lte=clock.now()).exists()
