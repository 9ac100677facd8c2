"""Jobs of this app; beat runs each of them often, and each is safe on any number of workers."""

from functools import partial

from celery import shared_task

from devices import commands
from notifications import missed, offline, reminders
from telemetry import fleet_health, intake, partitions, presence, removal, retention, settlement, updates
from zinzino import clock


@shared_task(name="telemetry.tasks.sweep_dispenses")
def sweep_dispenses() -> int:
    return settlement.sweep(now=clock.now())


@shared_task(name="telemetry.tasks.sweep_presence")
def sweep_presence() -> int:
    return presence.sweep(now=clock.now())


@shared_task(name="telemetry.tasks.send_reminders")
def send_reminders() -> int:
    return reminders.run(now=clock.now, doses=intake.doses_since)


@shared_task(name="telemetry.tasks.sweep_commands")
def sweep_commands() -> int:
    return commands.sweep(now=clock.now())


@shared_task(name="telemetry.tasks.tick_rollouts")
def tick_rollouts() -> dict[str, int]:
    return updates.tick()


@shared_task(name="telemetry.tasks.judge_rollouts")
def judge_rollouts() -> int:
    return fleet_health.judge_all(now=clock.now())


@shared_task(name="telemetry.tasks.notice_silence")
def notice_silence() -> int:
    now = clock.now()
    return offline.sweep(now=now, doses=intake.doses_since, noticed=partial(presence.log_presence, now=now))


@shared_task(name="telemetry.tasks.notice_missed_doses")
def notice_missed_doses() -> int:
    return missed.sweep(now=clock.now(), doses=intake.doses_since)


@shared_task(name="telemetry.tasks.ensure_partitions")
def ensure_partitions() -> list[str]:
    return partitions.ensure(now=clock.now())


@shared_task(name="telemetry.tasks.drop_expired_states")
def drop_expired_states() -> list[str]:
    return partitions.drop_expired(now=clock.now())


@shared_task(name="telemetry.tasks.erase_readings")
def erase_readings() -> int:
    return removal.erase_readings()


@shared_task(name="telemetry.tasks.prune")
def prune() -> dict[str, int]:
    return retention.prune(now=clock.now())
