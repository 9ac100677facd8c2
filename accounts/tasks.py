"""Jobs of this app; each is safe on any number of workers."""

from celery import shared_task

from accounts import apple_grants, mails, one_time, sessions
from zinzino import clock


@shared_task(name="accounts.tasks.send_mails")
def send_mails() -> int:
    return mails.send_waiting(now=clock.now())


@shared_task(name="accounts.tasks.settle_apple_grants")
def settle_apple_grants() -> int:
    return apple_grants.settle_due(now=clock.now())


@shared_task(name="accounts.tasks.prune")
def prune() -> dict[str, int]:
    now = clock.now()
    return {
        "links": one_time.prune(now=now),
        "sessions": sessions.prune(now=now),
        "staff_sessions": sessions.prune_of_staff(now=now),
        "mails": mails.prune(now=now),
    }
