"""Whether units with a new firmware fare worse than those without it (iot.md 4). The judgement is pure."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from devices import plans
from devices.firmware import rollouts, stages
from devices.firmware.models import FirmwareRollout

LOOK_BACK = timedelta(hours=24)
# By chance alone a difference is as large as this once in a thousand looks.
SIGMAS = 3.1

# So many of each side say enough, and cost the same in every fleet.
UNITS_LOOKED_AT = 5_000
# The first boot belongs to the update itself.
BOOTED_ANEW = timedelta(minutes=5)

# Units that have succeeded in this rollout beside others of the same hardware, each since its update or for a day.
# Jobs by firmware_jobs_by_status, doses by dispenses_of_family, boots by device_reports_of_device.
FIGURES = """
WITH units AS (
    (SELECT d.id, d.user_id, true AS updated, d.silent_at < %(now)s AS silent,
            greatest(%(since)s, j.finished_at) AS since
       FROM firmware_jobs j JOIN devices d ON d.id = j.device_id
      WHERE j.rollout_id = %(rollout_id)s AND j.status = 'succeeded' AND d.contact_at >= %(since)s
      LIMIT %(most)s)
    UNION ALL
    (SELECT d.id, d.user_id, false, d.silent_at < %(now)s, %(since)s
       FROM devices d
      WHERE d.hardware_rev = %(hardware)s AND d.is_active AND d.contact_at >= %(since)s
        AND d.firmware_version IS DISTINCT FROM %(version)s
      LIMIT %(most)s)),
known AS (
    SELECT u.*, p.asked, p.failed, p.unconfirmed, r.boots
      FROM units u,
   LATERAL (SELECT count(*) AS asked, count(*) FILTER (WHERE status = 'failed') AS failed,
                   count(*) FILTER (WHERE status = 'unconfirmed') AS unconfirmed
              FROM dispenses
             WHERE user_id = u.user_id AND family = ANY(%(families)s) AND authorized_at >= u.since
               AND device_id = u.id AND decided_by = 'server') p,
   LATERAL (SELECT count(*) AS boots
              FROM device_reports
             WHERE device_id = u.id AND timestamp >= u.since + %(anew)s
               AND kind = 'log' AND data ->> 'code' = 'boot') r)
SELECT updated, count(*), sum(extract(epoch FROM %(now)s - since) / 3600)::float, count(*) FILTER (WHERE silent),
       sum(asked)::int, sum(failed)::int, sum(unconfirmed)::int, sum(boots)::int
  FROM known GROUP BY updated"""


@dataclass(frozen=True, slots=True)
class Health:
    """Of one group of units, within a day."""

    units: int = 0
    # Of all of them together.
    hours: float = 0.0
    silent: int = 0
    doses: int = 0
    failed: int = 0
    unconfirmed: int = 0
    boots: int = 0


def worse(updated: Health, others: Health) -> str | None:
    """What is worse with the new firmware, beyond chance; None where too little is known."""
    if min(updated.units, others.units) < stages.LEAST_SAMPLE:
        return None
    shares = {
        "fell silent": (updated.silent, updated.units, others.silent, others.units),
        "doses failed": (updated.failed, updated.doses, others.failed, others.doses),
        "doses were never confirmed": (updated.unconfirmed, updated.doses, others.unconfirmed, others.doses),
    }
    for what, (bad, all_, bad_before, all_before) in shares.items():
        if exceeds(bad, all_, bad_before, all_before):
            return f"More {what} with it than without: {bad} of {all_}, {bad_before} of {all_before}."
    if counts_exceed(updated.boots, updated.hours, others.boots, others.hours):
        of = f"{updated.boots} in {updated.hours:.0f} h, {others.boots} in {others.hours:.0f} h"
        return f"More reboots with it than without: {of}."
    return None


def exceeds(bad: int, of: int, bad_other: int, of_other: int) -> bool:
    """Whether one share lies above another by more than chance."""
    if min(of, of_other) < stages.LEAST_SAMPLE:
        return False
    share = (bad + bad_other) / (of + of_other)
    spread = math.sqrt(share * (1 - share) * (1 / of + 1 / of_other))
    return bad / of - bad_other / of_other > SIGMAS * spread


def counts_exceed(count: int, of: float, count_other: int, of_other: float) -> bool:
    """The same of what can happen to a unit more than once, in so many hours."""
    if count < stages.LEAST_SAMPLE or min(of, of_other) <= 0:
        return False
    rate = (count + count_other) / (of + of_other)
    spread = math.sqrt(rate * (1 / of + 1 / of_other))
    return count / of - count_other / of_other > SIGMAS * spread


def compared(rollout: FirmwareRollout, *, now: datetime) -> tuple[Health, Health]:
    """The units that have it, and the others."""
    asked: dict[str, Any] = {
        "rollout_id": rollout.pk,
        "hardware": rollout.hardware,
        "version": rollout.release.version,
        "now": now,
        "since": now - LOOK_BACK,
        "anew": BOOTED_ANEW,
        "families": list(set(plans.FAMILIES.values())),
        "most": UNITS_LOOKED_AT,
    }
    with connection.cursor() as cursor:
        cursor.execute(FIGURES, asked)
        groups = {bool(updated): Health(*figures) for updated, *figures in cursor.fetchall()}
    return groups.get(True, Health()), groups.get(False, Health())


def judge(rollout: FirmwareRollout, *, now: datetime) -> bool:
    """Halt a rollout whose units fare worse; whether it did."""
    reason = worse(*compared(rollout, now=now))
    return reason is not None and rollouts.halt_for(rollout.pk, reason, now=now)


def judge_all(*, now: datetime) -> int:
    """How many were halted."""
    running = FirmwareRollout.objects.select_related("release").filter(status=rollouts.Status.RUNNING)
    return sum(judge(rollout, now=now) for rollout in running)
