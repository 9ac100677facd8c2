"""Jobs of this app; each is safe on any number of workers."""

from celery import shared_task

from analytics import streaks
from zinzino import clock


@shared_task(name="analytics.tasks.mark_streaks")
def mark_streaks() -> int:
    return streaks.mark_all(today=clock.now().date())
