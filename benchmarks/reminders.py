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
from zoneinfo import ZoneInfo

import psutil
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
CHUNK = 50_000
EMPTY_TICKS = 200
# Ids in their order fill indexes fast; the people of one minute are taken from all over.
ID = "('00000000-0000-7000-8{kind}00-' || lpad(to_hex(n), 12, '0'))::uuid"
PERSON, DEVICE, PHONE, DOSE = (ID.format(kind=kind) for kind in range(4))
SPAN = "generate_series(%(first)s, %(last)s) AS n"
# Everybody has one dispenser and has synchronised once, and every second one has a phone.
PEOPLE = f"""
INSERT INTO users (id, password, email, full_name, is_verified, is_active, is_staff, is_superuser,
                   notification_enabled, theme_preference, language, timezone, created_at, updated_at)
SELECT {PERSON}, '', 'user' || n || '@bench.example', 'Bench', true, true, false, false, true,
       'dark', CASE n %% 3 WHEN 0 THEN 'en' ELSE 'tr' END, 'Europe/Istanbul', now(), now() FROM {SPAN}"""
WISHES = f"""
INSERT INTO notification_settings (user_id, updated_at, next_reminder_at, replan_from)
SELECT {PERSON}, now(), now() + interval '1 day' + make_interval(mins => n %% 1440), NULL FROM {SPAN}"""
CLOCKS = f"""
INSERT INTO sync_clock (user_id, ts, owner_xid, stamped) SELECT {PERSON}, now(), '1', 1 FROM {SPAN}"""
DISPENSERS = f"""
INSERT INTO devices SELECT made.*
  FROM devices d, {SPAN}, jsonb_populate_record(d, jsonb_build_object(
    'id', {DEVICE}, 'user_id', {PERSON}, 'serial_number', 'BENCH-' || n,
    'mac_address', upper(regexp_replace(lpad(to_hex(n), 12, '0'), '(..)(?!$)', '\\1:', 'g')))) AS made
 WHERE d.serial_number = 'TEMPLATE'"""
PHONES = f"""
INSERT INTO push_tokens (id, user_id, provider, platform, token, token_hash, device_name, local_reminders,
                         created_at, registered_at, end_reason)
SELECT {PHONE}, {PERSON}, 'fcm', 'android', 'token-' || n, md5('hash' || n), '', false, now(), now(), ''
  FROM {SPAN} WHERE n %% 2 = 0"""
# Those of one minute: every fifth follows a plan with times, all took a dose yesterday, every tenth one today.
MINUTE = "FROM generate_series(%(every)s, %(every)s * %(due)s, %(every)s) AS n"
DUE = f"""
UPDATE notification_settings SET next_reminder_at = %(now)s, reminder_times = ARRAY[%(local)s::time]
 WHERE user_id IN (SELECT {PERSON} {MINUTE})"""
PLANS = f"""
UPDATE devices SET plan = jsonb_set(plan, '{{slots}}', jsonb_build_array(jsonb_build_object(
    'id', id, 'local_time', %(local)s::text, 'before_min', 30, 'after_min', 240,
    'days', '["mon", "tue", "wed", "thu", "fri", "sat", "sun"]'::jsonb)))
 WHERE id IN (SELECT {DEVICE} {MINUTE} WHERE n / %(every)s %% 5 = 0)"""
DOSES = f"""
INSERT INTO dispenses (id, user_id, device_id, family, status, amount, unit, plan_version, activity_id,
                       authorized_at, expires_at)
SELECT gen_random_uuid(), {PERSON}, {DEVICE}, 'omega', 'dispensed', 5, 'ml', 1, {DOSE}, at, at
  FROM (SELECT n, %(now)s - interval '20 minutes' - make_interval(hours => hours) AS at {MINUTE},
       (VALUES (0), (24)) AS known (hours) WHERE hours = 24 OR n / %(every)s %% 10 = 1) AS taken"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reminders", description=__doc__)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--due", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    prepare(options.people)
    load(options.people)
    columns = (
        "due",
        "workers",
        "seconds",
        "people/s",
        "CPU s: Python",
        "PostgreSQL",
        "notifications",
        "deliveries",
    )
    table = Table(*columns, title=f"{options.people:,} people")
    for _ in range(options.rounds):
        table.add_row(f"{options.due:,}", str(options.workers), *drained(options))
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
    run("UPDATE notification_settings SET next_reminder_at = NULL, replan_from = NULL")
    run("SET statement_timeout = 0")
    for first in range(there + 1, people + 1, CHUNK):
        last = min(first + CHUNK - 1, people)
        with transaction.atomic():
            run("SET LOCAL session_replication_role = replica")
            for statement in (PEOPLE, WISHES, CLOCKS, DISPENSERS, PHONES):
                run(statement, first=first, last=last)
        sys.stderr.write(f"\r{last:,} of {people:,} people ")
    run("VACUUM ANALYZE")
    sys.stderr.write("\n")


def drained(options: argparse.Namespace) -> list[str]:
    """Drain one minute; how long it took, what it cost, and what was made."""
    from django.db import connection

    now = make_due(options.people, options.due)
    connection.close()
    context = multiprocessing.get_context("spawn")
    ready, go, costs = context.Barrier(options.workers + 1), context.Event(), context.Queue()
    arguments = os.environ["DATA_DIR"], now, ready, go, costs
    processes = [context.Process(target=work, args=arguments) for _ in range(options.workers)]
    for process in processes:
        process.start()
    ready.wait()
    started = time.perf_counter()
    go.set()
    python, postgres = map(sum, zip(*(costs.get() for _ in processes), strict=True))
    seconds = time.perf_counter() - started
    for process in processes:
        process.join()
    [(notifications,)] = asked("SELECT count(*) FROM notifications")
    [(deliveries,)] = asked("SELECT count(*) FROM push_deliveries")
    # Each of them was reminded, or the ledger says why not.
    if (notifications, deliveries) != (options.due * 9 // 10, options.due):
        raise SystemExit(f"{notifications} notifications and {deliveries} deliveries for {options.due} people")
    times = f"{seconds:.2f}", f"{options.due / seconds:,.0f}", f"{python:.2f}", f"{postgres:.2f}"
    return [*times, f"{notifications:,}", f"{deliveries:,}"]


def make_due(people: int, due: int) -> datetime:
    """The reminders of before are gone, and those of this minute are due."""
    from django.db import transaction

    from zinzino import clock

    now = clock.now().replace(second=0, microsecond=0)
    local = f"{now.astimezone(ZoneInfo('Europe/Istanbul')):%H:%M}"
    run("SET statement_timeout = 0")
    run("TRUNCATE push_deliveries, notifications, sync_change, dispenses")
    with transaction.atomic():
        run("SET LOCAL session_replication_role = replica")
        for statement in (DUE, PLANS, DOSES):
            run(statement, now=now, local=local, due=due, every=people // due)
    for table in ("notification_settings", "devices", "dispenses"):
        run(f"VACUUM ANALYZE {table}")
    run("CHECKPOINT")
    return now


def work(data_dir: str, now: datetime, ready: Any, go: Any, costs: Any) -> None:
    """One worker: all is imported and connected before the clock starts, as in a worker that lives."""
    os.environ["DATA_DIR"] = data_dir
    import django

    django.setup()
    from notifications import reminders
    from telemetry.intake import doses_since
    from zinzino.lasting import settle

    reminders.fire(now=now - timedelta(days=1), doses=doses_since)
    settle()
    [(backend,)] = asked("SELECT pg_backend_pid()")
    before = time.process_time(), cpu_of(backend)
    ready.wait()
    go.wait()
    while reminders.fire(now=now, doses=doses_since):
        pass
    costs.put((time.process_time() - before[0], cpu_of(backend) - before[1]))


def cpu_of(pid: int) -> float:
    spent = psutil.Process(pid).cpu_times()
    return float(spent.user + spent.system)


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
