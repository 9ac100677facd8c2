"""Celery: the jobs behind the API. Tasks live in each app's `tasks.py`."""

import os
import time
from typing import Any

from celery import Celery
from celery.signals import beat_init, celeryd_init, task_postrun, task_prerun, worker_init, worker_process_init

from zinzino import lasting

lasting.begin()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zinzino.settings")

app = Celery("zinzino")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@celeryd_init.connect
@beat_init.connect
def attach_servers(**_kwargs: Any) -> None:
    from zinzino.servers import attach

    attach()


@worker_init.connect
def tell_metrics(**_kwargs: Any) -> None:
    from zinzino import metrics
    from zinzino.timetable import JOBS

    # A count that begins with the first of its kind would hide it: Prometheus sees only what grows.
    for job in JOBS.values():
        for outcome in ("failure", "success"):
            metrics.JOBS.labels(job["task"], outcome)
    metrics.listen()


@worker_process_init.connect
def settle_down(**_kwargs: Any) -> None:
    lasting.settle()


_begun: dict[str, float] = {}


@task_prerun.connect
def begin(task_id: str, **_kwargs: Any) -> None:
    _begun[task_id] = time.perf_counter()


@task_postrun.connect
def count(task_id: str, task: Any, state: str | None, **_kwargs: Any) -> None:
    """What a time limit cuts off is not heard of here: its process is killed."""
    from zinzino import metrics

    ended = time.perf_counter()
    metrics.JOBS.labels(task.name, (state or "unknown").lower()).observe(ended - _begun.pop(task_id, ended))
