"""Jobs of this app. Beat runs each of them often, and each is safe on any number of workers."""

from celery import shared_task

from syncapi import erasure, exports, retention
from zinzino import clock


@shared_task(name="syncapi.tasks.erase_accounts")
def erase_accounts() -> int:
    return erasure.sweep(now=clock.now())


@shared_task(name="syncapi.tasks.make_exports")
def make_exports() -> int:
    return exports.make_waiting(now=clock.now())


@shared_task(name="syncapi.tasks.drop_exports")
def drop_exports() -> int:
    return exports.drop_expired(now=clock.now())


@shared_task(name="syncapi.tasks.prune_sync")
def prune_sync() -> dict[str, int]:
    return retention.purge(now=clock.now())
