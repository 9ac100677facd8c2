"""Jobs of this app; each is safe on any number of workers."""

from celery import shared_task

from notifications import achievements, outbox, phones, services
from zinzino import clock


@shared_task(name="notifications.tasks.announce_security_events")
def announce_security_events() -> int:
    return services.announce_security_events(now=clock.now())


@shared_task(name="notifications.tasks.notice_achievements")
def notice_achievements() -> int:
    return achievements.sweep(now=clock.now())


@shared_task(name="notifications.tasks.send_pushes")
def send_pushes() -> int:
    return outbox.drain(now=clock.now)


@shared_task(name="notifications.tasks.prune_pushes")
def prune_pushes() -> dict[str, int]:
    now = clock.now()
    return {
        "stale": phones.end_stale(now=now),
        "deliveries": outbox.prune(now=now),
        "phones": phones.prune(now=now),
    }
