"""Jobs of this app; each is safe on any number of workers."""

from celery import shared_task

from analytics import fleet, streaks
from zinzino import clock


@shared_task(name="analytics.tasks.mark_streaks")
def mark_streaks() -> int:
    return streaks.mark_all(today=clock.now().date())


@shared_task(name="analytics.tasks.sum_fleet")
def sum_fleet() -> int:
    return fleet.sum_up(today=clock.now().date())
