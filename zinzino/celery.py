"""Celery: the jobs behind the API. Tasks live in each app's `tasks.py`."""

import os
from typing import Any

from celery import Celery
from celery.signals import beat_init, celeryd_init, worker_init

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

    metrics.listen()
