"""`python -m benchmarks.decade`: what ten years of doses cost the person who has them, against one month.

Loads both people into a data folder of its own and asks each endpoint of section 9, in this process and in
turns. `--fresh` loads anew.
"""

import argparse
import os
import shutil
import statistics
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "var" / "decade"
DAYS = {"a month": 30, "ten years": 3652}
PATHS = (
    "/analytics/usage?period=month",
    "/analytics/devices/{device}/performance",
    "/analytics/engagement",
    "/analytics/health-insights",
    "/analytics/summary",
    "/analytics/report?format=html",
    "/analytics/report?format=pdf",
)
# Two dispensers, a dose a day of each; one day in ten is missed.
LINES = """
INSERT INTO activity_logs (id, user_id, device_id, action, dose_amount, triggered_by, confirmation, local_date,
                           metadata, timestamp)
SELECT gen_random_uuid(), d.user_id, d.id, 'dose_dispensed', '5ml', 'automatic', 'device', at::date, '{}', at
  FROM devices d, generate_series(now() - %s * interval '1 day', now() - interval '1 day', interval '1 day') AS at
 WHERE d.user_id = %s AND extract(doy FROM at)::int %% 10 <> 0"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decade", description=__doc__)
    parser.add_argument("--fresh", action="store_true", help="load again what is there")
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    if options.fresh:
        shutil.rmtree(FOLDER, ignore_errors=True)
    os.environ |= {"DATA_DIR": str(FOLDER), "RATE_LIMIT_GENERAL": "100000000/min", "LOG_LEVEL": "WARNING"}
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zinzino.settings")
    import django

    django.setup()
    from analytics import streaks
    from zinzino import clock
    from zinzino.servers import attach

    attach()
    people = {title: person(title, days) for title, days in DAYS.items()}
    # As the job does that beat starts.
    streaks.mark_all(today=clock.now().date())
    table = Table("endpoint", "statements", *(f"{title}, ms" for title in DAYS), "ratio")
    for path in PATHS:
        counts, took = measured(path, people, rounds=options.rounds)
        few, many = took.values()
        table.add_row(path, " / ".join(map(str, counts)), f"{few:.2f}", f"{many:.2f}", f"{many / few:.2f}")
    Console().print(table)


def person(title: str, days: int) -> tuple[str, str]:
    """An access token and a dispenser of somebody with so many days of doses."""
    from django.core.management import call_command
    from django.db import connection

    from accounts import sessions
    from accounts.models import User
    from accounts.services import register
    from accounts.sessions import Client
    from devices import services as devices
    from zinzino import clock

    call_command("migrate", verbosity=0)
    email = f"{title.replace(' ', '-')}@decade.example"
    user = User.objects.filter(email=email).first()
    if user is None:
        now = clock.now() - timedelta(days=days)
        made = register(email=email, password="benchmark-only", full_name=title, client=Client(), now=now)
        user = User.objects.get(pk=made.user.pk)
        for number, device_type in enumerate(("fish_oil", "vitamin_d")):
            name = f"DECADE-{days}-{number}"
            address = f"02:00:00:{days // 256:02X}:{days % 256:02X}:{number:02X}"
            described = {"device_name": name, "device_type": device_type, "mac_address": address}
            devices.register(user.pk, user.timezone, now=now, serial_number=name, **described)
        with connection.cursor() as cursor:
            cursor.execute(LINES, (days, user.pk))
            cursor.execute("ANALYZE")
    token = sessions.open_session(user, Client(), now=clock.now()).access
    return token, str(user.devices.order_by("created_at")[0].pk)


def measured(path: str, people: dict[str, tuple[str, str]], *, rounds: int) -> tuple[list[int], dict[str, float]]:
    """Statements and median milliseconds of each person, asked in turns."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client()

    def ask(title: str) -> Any:
        token, device = people[title]
        answer = client.get("/v1" + path.format(device=device), HTTP_AUTHORIZATION=f"Bearer {token}")
        if answer.status_code != 200:
            sys.exit(f"{path}: {answer.content!r}")

    took: dict[str, list[float]] = {title: [] for title in people}
    counts = []
    for title in people:
        ask(title)
        with CaptureQueriesContext(connection) as captured:
            ask(title)
        counts.append(len(captured))
    for _ in range(rounds):
        for title, times in took.items():
            started = time.perf_counter()
            ask(title)
            times.append((time.perf_counter() - started) * 1000)
    return counts, {title: statistics.median(times) for title, times in took.items()}


if __name__ == "__main__":
    main()
