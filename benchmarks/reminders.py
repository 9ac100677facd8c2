"""`python -m benchmarks.reminders`: how long the reminders of one minute take among a million people.

Loads the people once into a data folder of its own; then makes a minute's worth of them due, and lets worker
processes drain them with the product's own code: rows locked, dispensers and doses read, texts rendered,
notifications stamped for sync, deliveries queued. Also what a tick costs when nobody is due.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
CHUNK = 50_000
EMPTY_TICKS = 200
# Everybody has one dispenser, and every second one a phone.
PEOPLE = """
INSERT INTO users (id, password, email, full_name, is_verified, is_active, is_staff, is_superuser,
                   notification_enabled, theme_preference, language, timezone, created_at, updated_at)
SELECT md5('user' || n)::uuid, '', 'user' || n || '@bench.example', 'Bench', true, true, false, false, true,
       'dark', CASE n %% 3 WHEN 0 THEN 'en' ELSE 'tr' END, 'Europe/Istanbul', now(), now()
  FROM generate_series(%(first)s, %(last)s) AS n"""
WISHES = """
INSERT INTO notification_settings (user_id, updated_at, next_reminder_at, replan_from)
SELECT md5('user' || n)::uuid, now(), now() + interval '1 day' + make_interval(mins => n %% 1440), NULL
  FROM generate_series(%(first)s, %(last)s) AS n"""
DISPENSERS = """
INSERT INTO devices SELECT (jsonb_populate_record(d, jsonb_build_object(
    'id', md5('device' || n)::uuid, 'user_id', md5('user' || n)::uuid, 'serial_number', 'BENCH-' || n,
    'mac_address', upper(regexp_replace(lpad(to_hex(n), 12, '0'), '(..)(?!$)', '\\1:', 'g'))))).*
  FROM devices d, generate_series(%(first)s, %(last)s) AS n WHERE d.serial_number = 'TEMPLATE'"""
PHONES = """
INSERT INTO push_tokens (id, user_id, provider, platform, token, token_hash, device_name, local_reminders,
                         created_at, registered_at, end_reason)
SELECT md5('phone' || n)::uuid, md5('user' || n)::uuid, 'fcm', 'android', 'token-' || n, md5('hash' || n), '',
       false, now(), now(), ''
  FROM generate_series(%(first)s, %(last)s) AS n WHERE n %% 2 = 0"""
# The reminders of before are gone, and those of this minute are due.
DUE = """
UPDATE notification_settings
   SET next_reminder_at = %(now)s, reminder_times = ARRAY[(%(now)s AT TIME ZONE 'Europe/Istanbul')::time]
 WHERE user_id IN (SELECT md5('user' || n)::uuid FROM generate_series(1, %(due)s) AS n)"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reminders", description=__doc__)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--due", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    prepare(options.people)
    load(options.people)
    table = Table(
        "due", "workers", "seconds", "people/s", "notifications", "deliveries", title=f"{options.people:,} people"
    )
    for _ in range(options.rounds):
        seconds, made = drained(options.due, options.workers)
        table.add_row(
            f"{options.due:,}", str(options.workers), f"{seconds:.2f}", f"{options.due / seconds:,.0f}", *made
        )
    Console().print(table)
    Console().print(f"an empty tick takes {empty_tick():.2f} ms (median of {EMPTY_TICKS})")


def prepare(people: int) -> None:
    os.environ["DATA_DIR"] = str(ROOT / "var" / f"reminders-{people}")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zinzino.settings")
    os.environ.setdefault("LOG_LEVEL", "ERROR")
    import django

    django.setup()
    from zinzino.servers import attach

    attach()


def load(people: int) -> None:
    from django.core.management import call_command
    from django.db import transaction

    from benchmarks.fleet import template

    call_command("migrate", verbosity=0)
    [(there,)] = asked("SELECT count(*) FROM users WHERE email LIKE '%@bench.example'")
    if there >= people:
        return
    template()
    run("SET statement_timeout = 0")
    for first in range(there + 1, people + 1, CHUNK):
        last = min(first + CHUNK - 1, people)
        with transaction.atomic():
            run("SET LOCAL session_replication_role = replica")
            for statement in (PEOPLE, WISHES, DISPENSERS, PHONES):
                run(statement, first=first, last=last)
        sys.stderr.write(f"\r{last:,} of {people:,} people ")
    run("VACUUM ANALYZE")
    sys.stderr.write("\n")


def drained(due: int, workers: int) -> tuple[float, tuple[str, str]]:
    """Seconds until nobody is due any more, and what was made."""
    from django.db import connection

    from zinzino import clock

    now = clock.now().replace(second=0, microsecond=0)
    run("TRUNCATE push_deliveries, notifications, sync_change, sync_clock")
    run(DUE, now=now, due=due)
    run("VACUUM notification_settings")
    connection.close()
    context = multiprocessing.get_context("spawn")
    ready, go = context.Barrier(workers + 1), context.Event()
    processes = [
        context.Process(target=work, args=(os.environ["DATA_DIR"], now, ready, go)) for _ in range(workers)
    ]
    for process in processes:
        process.start()
    ready.wait()
    started = time.perf_counter()
    go.set()
    for process in processes:
        process.join()
    seconds = time.perf_counter() - started
    [(notifications,)] = asked("SELECT count(*) FROM notifications")
    [(deliveries,)] = asked("SELECT count(*) FROM push_deliveries")
    return seconds, (f"{notifications:,}", f"{deliveries:,}")


def work(data_dir: str, now: datetime, ready: Any, go: Any) -> None:
    """One worker: all is imported and connected before the clock starts, as in a worker that lives."""
    os.environ["DATA_DIR"] = data_dir
    import django

    django.setup()
    from notifications import reminders
    from telemetry.intake import doses_since

    reminders.fire(now=now - timedelta(days=1), doses=doses_since)
    ready.wait()
    go.wait()
    while reminders.fire(now=now, doses=doses_since):
        pass


def empty_tick() -> float:
    from notifications import reminders
    from telemetry.intake import doses_since
    from zinzino import clock

    took = []
    for _ in range(EMPTY_TICKS):
        started = time.perf_counter()
        reminders.run(now=clock.now, doses=doses_since)
        took.append((time.perf_counter() - started) * 1000)
    return statistics.median(took)


def run(statement: str, **parameters: Any) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)


def asked(statement: str) -> list[tuple[Any, ...]]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


if __name__ == "__main__":
    main()
