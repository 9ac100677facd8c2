"""Rollouts: who is reached, what holds them, and when they stop by themselves (iot.md 4).

Locks, always in this order: the unit's row, its job, the rollout. Whoever offers or permits holds the rollout
FOR SHARE until its commit, and whoever stops it holds it alone: after a stop has committed nothing is offered.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import structlog
from django.db import IntegrityError, transaction

from devices.firmware import releases, stages
from devices.firmware.models import FirmwareRelease, FirmwareRollout, FirmwareRolloutEvent
from zinzino.ids import uuid7

log = structlog.get_logger(__name__)

Status = FirmwareRollout.Status
OPEN = (Status.SCHEDULED, Status.RUNNING, Status.PAUSED)
OVER = (Status.ABORTED, Status.FINISHED)
# From where each act is possible.
ACTS: dict[str, tuple[Status, tuple[Status, ...]]] = {
    "start": (Status.RUNNING, (Status.DRAFT, Status.SCHEDULED)),
    "pause": (Status.PAUSED, (Status.RUNNING,)),
    "resume": (Status.RUNNING, (Status.PAUSED, Status.HALTED)),
    "abort": (Status.ABORTED, (Status.DRAFT, *OPEN, Status.HALTED)),
    "finish": (Status.FINISHED, (Status.RUNNING, Status.PAUSED)),
}
MUST_SAY_WHY = ("pause", "resume", "abort")


class RolloutRefused(Exception):
    """The message says why, for operators."""


def create(
    release: FirmwareRelease,
    *,
    percents: Sequence[int],
    starts_at: datetime | None,
    by: str,
    now: datetime,
    battery_min: int = 30,
    no_dose_within_s: int = 1800,
) -> FirmwareRollout:
    """A draft, or one that starts by itself. Raises RolloutRefused."""
    if problem := stages.problem_of(list(percents)):
        raise RolloutRefused(problem)
    if not 0 <= battery_min <= 100:
        raise RolloutRefused("The charge is in percent.")
    require_published(release)
    rollout = FirmwareRollout(
        id=uuid7(now),
        release=release,
        hardware=release.hardware,
        status=Status.SCHEDULED if starts_at else Status.DRAFT,
        stages=list(percents),
        starts_at=starts_at,
        battery_min=battery_min,
        no_dose_within_s=no_dose_within_s,
        created_by=by,
        created_at=now,
    )
    with transaction.atomic():
        _saved(rollout, force_insert=True)
        note(rollout.pk, "create", by=by, reason="", now=now)
    return FirmwareRollout.objects.get(pk=rollout.pk)


def require_published(release: FirmwareRelease) -> None:
    if release.status != FirmwareRelease.Status.PUBLISHED:
        raise RolloutRefused(f"{release} is {release.status}; only a published release can be rolled out.")


@transaction.atomic
def act(rollout_id: UUID, what: str, *, reason: str, by: str, now: datetime) -> FirmwareRollout:
    """start, pause, resume, abort or finish; the same again changes nothing. Raises RolloutRefused."""
    target, possible_from = ACTS[what]
    reason = reason.strip()[:500]
    if what in MUST_SAY_WHY and not reason:
        raise RolloutRefused("Say why: whoever looks at it next will want to know.")
    rollout = locked(rollout_id)
    if rollout.status == target:
        return rollout
    if rollout.status not in possible_from:
        raise RolloutRefused(f"It is {rollout.status}; {what} is possible when it is {', '.join(possible_from)}.")
    if target == Status.RUNNING:
        # Not as it was joined to the row that we may have waited for.
        require_published(FirmwareRelease.objects.get(pk=rollout.release_id))
    if what == "start" or rollout.status == Status.HALTED:
        begin_stage(rollout, rollout.stage, now=now)
    rollout.status, rollout.reason = target, reason
    _saved(rollout)
    note(rollout_id, what, by=by, reason=reason, now=now)
    return rollout


@transaction.atomic
def advance(rollout_id: UUID, *, by: str, reason: str, now: datetime) -> FirmwareRollout:
    """To the next stage, whatever the present one has shown. Raises RolloutRefused."""
    rollout = locked(rollout_id)
    if rollout.status != Status.RUNNING:
        raise RolloutRefused(f"It is {rollout.status}, not running.")
    if rollout.stage + 1 >= len(rollout.stages):
        raise RolloutRefused("It is at its last stage.")
    begin_stage(rollout, rollout.stage + 1, now=now)
    rollout.save()
    note(rollout_id, f"stage {rollout.percent}%", by=by, reason=reason, now=now)
    return rollout


def begin_stage(rollout: FirmwareRollout, stage: int, *, now: datetime) -> None:
    """A stage, or one that goes on after a halt, is judged by what ends from now on."""
    rollout.stage, rollout.stage_since = stage, now
    rollout.succeeded = rollout.failed = 0


@transaction.atomic
def block(release_id: UUID, *, reason: str, by: str, now: datetime) -> list[FirmwareRollout]:
    """Block a release and halt its rollouts; these. Also those that are not open are locked: one of them may be
    about to start."""
    if not reason.strip():
        raise RolloutRefused("Say why: whoever looks at it next will want to know.")
    rows = FirmwareRollout.objects.select_for_update().filter(release_id=release_id).order_by("pk")
    held = [rollout for rollout in rows if rollout.status in OPEN]
    releases.block(release_id, reason=reason.strip()[:500], by=by, now=now)
    for rollout in held:
        halt(rollout, "The release was blocked.", by=by, now=now)
    return held


def halt(rollout: FirmwareRollout, reason: str, *, now: datetime, by: str = "") -> None:
    """Part of the caller's transaction, which holds the row."""
    rollout.status, rollout.reason = Status.HALTED, reason
    rollout.save(update_fields=("status", "reason"))
    note(rollout.pk, "halt", by=by, reason=reason, now=now)
    log.error("a firmware rollout was halted", rollout=str(rollout.pk), reason=reason)


@transaction.atomic
def halt_for(rollout_id: UUID, reason: str, *, now: datetime) -> bool:
    """Halt a running rollout; False where it runs no longer."""
    rollout = locked(rollout_id)
    if rollout.status != Status.RUNNING:
        return False
    halt(rollout, reason, now=now)
    return True


def count(rollout_id: UUID, *, succeeded: int, failed: int, now: datetime) -> None:
    """Count how units ended, and halt where too many failed. Reports of many units take turns here, so that
    none of them is missed and exactly one halts it. Part of the caller's transaction."""
    rollout = locked(rollout_id)
    rollout.succeeded = max(0, rollout.succeeded + succeeded)
    rollout.failed = max(0, rollout.failed + failed)
    rollout.save(update_fields=("succeeded", "failed"))
    running = rollout.status == Status.RUNNING
    if running and stages.must_halt(succeeded=rollout.succeeded, failed=rollout.failed):
        finished = rollout.succeeded + rollout.failed
        halt(rollout, f"{rollout.failed} of {finished} units failed.", now=now)


def running_for(hardware: str) -> FirmwareRollout | None:
    """By the unique one_open_rollout_a_hardware."""
    found = FirmwareRollout.objects.select_related("release")
    return found.filter(hardware=hardware, status=Status.RUNNING).first()


def held(rollout_id: UUID) -> FirmwareRollout:
    """The rollout, which nobody can stop until the transaction ends; many may hold it at once."""
    statement = "SELECT * FROM firmware_rollouts WHERE id = %s FOR SHARE"
    return FirmwareRollout.objects.raw(statement, [rollout_id])[0]


def locked(rollout_id: UUID) -> FirmwareRollout:
    """Raises RolloutRefused."""
    found = FirmwareRollout.objects.select_for_update(of=("self",)).select_related("release")
    rollout = found.filter(pk=rollout_id).first()
    if rollout is None:
        raise RolloutRefused("There is no such rollout.")
    return rollout


def note(rollout_id: UUID, what: str, *, by: str, reason: str, now: datetime) -> None:
    FirmwareRolloutEvent.objects.create(rollout_id=rollout_id, at=now, by=by, what=what, reason=reason)


def _saved(rollout: FirmwareRollout, *, force_insert: bool = False) -> None:
    try:
        with transaction.atomic():
            rollout.save(force_insert=force_insert)
    except IntegrityError as error:
        if "one_open_rollout_a_hardware" not in str(error):
            raise
        raise RolloutRefused(
            f"Another rollout for {rollout.hardware} is open: finish or abort it first."
        ) from error


def start_scheduled(*, now: datetime) -> int:
    due = FirmwareRollout.objects.filter(status=Status.SCHEDULED, starts_at__lte=now)
    ids = list(due.values_list("pk", flat=True))
    for rollout_id in ids:
        try:
            act(rollout_id, "start", reason="As scheduled.", by="", now=now)
        except RolloutRefused as refusal:
            log.error("a scheduled rollout does not start", rollout=str(rollout_id), reason=str(refusal))
    return len(ids)


@transaction.atomic
def advance_if_good(rollout_id: UUID, *, now: datetime) -> bool:
    """To the next stage where the present one has lasted and gone well."""
    rollout = locked(rollout_id)
    if rollout.status != Status.RUNNING or rollout.stage + 1 >= len(rollout.stages):
        return False
    facts = {"succeeded": rollout.succeeded, "failed": rollout.failed}
    if not stages.may_advance(**facts, since=rollout.stage_since or now, now=now):
        return False
    advance(rollout_id, by="", reason=f"{rollout.succeeded} units succeeded, {rollout.failed} failed.", now=now)
    return True
