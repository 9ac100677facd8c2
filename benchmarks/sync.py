"""`python -m benchmarks.sync`: what a delta costs a person with much history, and what capture costs a write.

In this process, on embedded servers and a data folder of its own; needs a minute.
"""

import os
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
FEW, MANY = 200, 200_000
CHANGES, TIMES, WRITES = 20, 60, 400

LINES = """
INSERT INTO activity_logs (id, user_id, action, local_date, metadata, timestamp)
SELECT gen_random_uuid(), %(user_id)s, 'note', now(), '{}', now() - random() * interval '80 days'
  FROM generate_series(1, %(rows)s)"""
# What one write costs with the triggers and without: a line of the log, and a report of a dispenser.
WRITTEN = {
    "a line of the log": LINES.replace("now() - random() * interval '80 days'", "now()"),
    "a device row": "UPDATE devices SET battery_level = (battery_level + 1) %% 100 WHERE user_id = %(user_id)s",
}


def main() -> None:
    folder = ROOT / "var" / "bench-sync"
    os.environ |= {"DATA_DIR": str(folder), "RATE_LIMIT_SYNC": "100000000/min", "LOG_LEVEL": "WARNING"}
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zinzino.settings")
    import django

    django.setup()
    from django.core.management import call_command

    from zinzino.servers import attach

    attach()
    call_command("migrate", verbosity=0)
    Console().print(deltas())
    Console().print(writes())


def person() -> tuple[uuid.UUID, str]:
    """A new person with one dispenser: their id and their token."""
    from accounts.services import register
    from accounts.sessions import Client
    from devices.services import register as add_device
    from zinzino import clock

    name, now = uuid.uuid4().hex, clock.now()
    signed_in = register(email=f"{name}@bench.example", password=name, full_name="Bench", client=Client(), now=now)
    address = ":".join(name[place : place + 2].upper() for place in range(0, 12, 2))
    described = {"device_name": "Bench", "device_type": "fish_oil", "mac_address": address, "serial_number": name}
    add_device(signed_in.user.pk, "Europe/Istanbul", now=now, location=None, **described)
    return signed_in.user.pk, signed_in.tokens.access


def run(statement: str, **values: Any) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def deltas() -> Table:
    title = f"a delta with {CHANGES} changes, median of {TIMES}, in turn"
    table = Table("rows in the log", "statements", "ms", "full sync, first page, ms", title=title)
    phones = [Phone(rows) for rows in (FEW, MANY)]
    # Or the vacuum that follows so many rows runs beside one of them.
    run("VACUUM ANALYZE")
    for _ in range(TIMES):
        for phone in phones:
            phone.exchange()
    for phone in phones:
        cells = (phone.statements(), statistics.median(phone.took), statistics.median(phone.whole))
        table.add_row(f"{phone.rows:,}", *map(str, cells[:1]), *(f"{each:.2f}" for each in cells[1:]))
    return table


class Phone:
    """That of a new person with so many lines in their log."""

    def __init__(self, rows: int) -> None:
        from django.test import Client

        self.rows, self.client = rows, Client()
        self.user_id, self.token = person()
        for _ in range(0, rows, 5_000):
            run(LINES, user_id=self.user_id, rows=min(rows, 5_000))
        self.since = self.ask("full", {})["sync_timestamp"]
        self.took: list[float] = []
        self.whole: list[float] = []

    def ask(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        bearer = {"Authorization": f"Bearer {self.token}"}
        answer = self.client.post(f"/v1/sync/{kind}", body, content_type="application/json", headers=bearer)
        data: dict[str, Any] = answer.json()["data"]
        return data

    def exchange(self) -> None:
        run(WRITTEN["a line of the log"], user_id=self.user_id, rows=CHANGES)
        page: dict[str, Any] = {}
        self.took.append(timed(lambda: page.update(self.ask("delta", {"last_sync": self.since}))))
        self.since = page["sync_timestamp"]
        if len(page["new_activity_logs"]) != CHANGES:
            sys.exit(f"{len(page['new_activity_logs'])} changes instead of {CHANGES}")
        self.whole.append(timed(lambda: self.ask("full", {})))

    def statements(self) -> int:
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as captured:
            self.ask("delta", {"last_sync": self.since})
        return len(captured)


def timed(work: Callable[[], Any]) -> float:
    """Milliseconds."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def writes() -> Table:
    table = Table(
        "one write and its commit", "without, ms", "with, ms", "capture, ms", title=f"median of {WRITES}"
    )
    user_id, _ = person()
    for name, statement in WRITTEN.items():
        # Alternating, so that both see the same moods of the machine.
        with_them, without = [], []
        for _ in range(WRITES // 20):
            with_them += [timed(lambda: run(statement, user_id=user_id, rows=1)) for _ in range(20)]  # noqa: B023
            with unseen():
                without += [timed(lambda: run(statement, user_id=user_id, rows=1)) for _ in range(20)]  # noqa: B023
        one, other = statistics.median(without), statistics.median(with_them)
        table.add_row(name, f"{one:.3f}", f"{other:.3f}", f"{other - one:.3f}")
    return table


@contextmanager
def unseen() -> Iterator[None]:
    run("SET session_replication_role = replica")
    try:
        yield
    finally:
        run("SET session_replication_role = DEFAULT")


if __name__ == "__main__":
    main()
