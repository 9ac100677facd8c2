"""Jobs that belong to no app: the heartbeat of beat, and the end of remembered outcomes."""

from celery import shared_task

from zinzino import clock
from zinzino.api import idempotency
from zinzino.redis_client import client

HEARTBEAT_KEY = "beat:at_ms"
HEARTBEAT_EVERY_S = 10
# The key outlives an outage long enough to tell how long it has lasted.
HEARTBEAT_KEPT_S = 24 * 3600


@shared_task(ignore_result=True, expires=HEARTBEAT_EVERY_S)
def heartbeat() -> None:
    """Says that beat schedules and a worker works; `/health/ready` shows its age."""
    client().set(HEARTBEAT_KEY, clock.epoch_ms(clock.now()), ex=HEARTBEAT_KEPT_S)


@shared_task(ignore_result=True)
def prune() -> int:
    return idempotency.prune(now=clock.now())
