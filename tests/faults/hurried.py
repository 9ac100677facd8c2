"""Celery with the product's own jobs, and short pauses: `python -m tests.faults.hurried worker -c 2`."""

import sys
from datetime import timedelta

import django

SECOND = timedelta(seconds=1)


def hurry() -> None:
    from notifications import outbox, routes
    from zinzino.celery import app

    outbox.LEASE, outbox.BATCH_S, outbox.FIRST_RETRY = 6 * SECOND, 3.0, SECOND
    routes.REFUSED = routes.UNREACHABLE = (SECOND, SECOND)
    for name in ("send-reminders", "send-pushes"):
        app.conf.beat_schedule[name]["schedule"] = 1.0


def main(arguments: list[str]) -> None:
    django.setup()
    from zinzino.celery import app

    hurry()
    app.start(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
