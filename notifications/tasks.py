"""Jobs of this app."""

from celery import shared_task

from notifications import services
from zinzino import clock


@shared_task(name="notifications.tasks.announce_security_events")
def announce_security_events() -> int:
    return services.announce_security_events(now=clock.now())
