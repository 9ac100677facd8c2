"""The job of one unit in a rollout: offered, downloaded, installed, and how it ended (iot.md 4).

A unit's word moves its job forward only; late and repeated reports change nothing. What it runs when it says
hello is the last word, whatever was reported or assumed before. Callers hold the unit's row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_lazy

from devices.firmware import rollouts, stages
from devices.firmware.manifest import numbers_of
from devices.firmware.models import FirmwareJob, FirmwareRelease, FirmwareRollout
from devices.models import Device
from zinzino.api.errors import Forbidden, InvalidFields, NotFound, NotOwner
from zinzino.ids import uuid7

Status = FirmwareJob.Status
# In the order in which a job passes through them.
WAY = (
    Status.OFFERED,
    Status.DOWNLOADING,
    Status.DOWNLOADED,
    Status.VERIFIED,
    Status.INSTALLING,
    Status.REBOOTING,
)
BEFORE_INSTALL = WAY[: WAY.index(Status.INSTALLING)]
INSTALLING = (Status.INSTALLING, Status.REBOOTING)
BAD_ENDS = (Status.FAILED, Status.ROLLED_BACK, Status.TIMED_OUT)
# Silence for longer is a failure, and nothing is poured meanwhile.
INSTALL_WITHIN = timedelta(hours=2)
OFFER_GOOD_FOR = timedelta(days=7)
CHUNK_ROWS = 1_000


class JobNotFound(NotFound):
    message = gettext_lazy("There is no such update.")


class ReleaseNotFound(NotFound):
    message = gettext_lazy("There is no such release.")


class UpdateHeld(Forbidden):
    """The rollout does not run at the moment; the unit asks again later."""

    reason = "update_held"
    message = gettext_lazy("This update is on hold.")


class AnotherVersion(InvalidFields):
    message = gettext_lazy("A success must name the version of the update.")


@dataclass(frozen=True, slots=True)
class Report:
    """What a unit says of its job; `seq` counts its reports of this job."""

    seq: int
    state: str
    progress: int | None = None
    code: str | None = None
    version: str | None = None


def fits(rollout: FirmwareRollout, device: Device) -> bool:
    """Whether the rollout's release is for this unit: its key still holds, the unit is in its cohort and active,
    runs another version that it can be updated from, and would not go back."""
    release, running = rollout.release, device.firmware_version
    return (
        device.is_active
        and release.status == FirmwareRelease.Status.PUBLISHED
        and release.key_id in settings.FIRMWARE_PUBLIC_KEYS
        and stages.reaches(rollout.pk, device.pk, percent=rollout.percent)
        and running is not None
        and running != release.version
        and can_update_from(release, running)
        and release.counter > counter_of(running, release.hardware)
    )


def can_update_from(release: FirmwareRelease, running: str) -> bool:
    least, numbers = numbers_of(release.min_from), numbers_of(running)
    return least is None or (numbers is not None and numbers >= least)


def counter_of(version: str, hardware: str) -> int:
    """The greatest counter that a version was signed with; 0 for one that we never had."""
    known = FirmwareRelease.objects.filter(hardware=hardware, version=version)
    return known.order_by("-counter").values_list("counter", flat=True).first() or 0


def offer(rollout_id: UUID, device: Device, *, now: datetime) -> FirmwareJob | None:
    """The unit's job in this rollout, made now where it is new; None where it has ended, where another update
    is being installed, or where the rollout was stopped a moment ago. Part of the caller's transaction."""
    rollout = rollouts.held(rollout_id)
    if rollout.status != rollouts.Status.RUNNING or not end_former(device, rollout_id, now=now):
        return None
    job, _ = FirmwareJob.objects.get_or_create(
        rollout_id=rollout_id,
        device_id=device.pk,
        defaults={
            "id": uuid7(now),
            "from_version": device.firmware_version or "",
            "offered_at": now,
            "updated_at": now,
        },
    )
    return job if job.status in BEFORE_INSTALL else None


def end_former(device: Device, rollout_id: UUID, *, now: datetime) -> bool:
    """Leave the job of another rollout; False where it is being installed."""
    former = FirmwareJob.objects.select_for_update().filter(device_id=device.pk, finished_at=None)
    job = former.exclude(rollout_id=rollout_id).first()
    if job and job.status in INSTALLING:
        return False
    if job:
        FirmwareJob.objects.filter(pk=job.pk).update(status=Status.CANCELLED, finished_at=now, updated_at=now)
    return True


def newest_of(device_id: UUID) -> FirmwareJob | None:
    """By firmware_jobs_newest."""
    jobs = FirmwareJob.objects.select_for_update(of=("self",)).select_related("rollout__release")
    return jobs.filter(device_id=device_id).order_by("-id").first()


def own(job_id: UUID, device_id: UUID) -> FirmwareJob:
    """The unit's job, locked. Raises JobNotFound, NotOwner."""
    jobs = FirmwareJob.objects.select_for_update(of=("self",)).select_related("rollout__release")
    job = jobs.filter(pk=job_id).first()
    if job is None:
        raise JobNotFound
    if job.device_id != device_id:
        raise NotOwner
    return job


def goes_on(rollout: FirmwareRollout) -> bool:
    """Whether units that have a job may go on with it."""
    published = rollout.release.status == FirmwareRelease.Status.PUBLISHED
    return published and rollout.status in {rollouts.Status.RUNNING, rollouts.Status.FINISHED}


def take(job: FirmwareJob, report: Report, device: Device, *, may_install: bool, now: datetime) -> bool:
    """Write down what a unit reports of its locked job; whether that changed its state.

    `installing` asks for permission: without `may_install`, or where the rollout was stopped, the job stays.
    Raises AnotherVersion.
    """
    said = Status(report.state)
    if said == Status.SUCCEEDED and report.version != job.rollout.release.version:
        raise AnotherVersion(version=[str(AnotherVersion.message)])
    if not moves(Status(job.status), said):
        return progressed(job, report, now=now)
    if said == Status.INSTALLING:
        rollout = rollouts.held(job.rollout_id)
        if not (may_install and goes_on(rollout)):
            return False
    job.seq = max(job.seq, report.seq)
    job.progress, job.code = report.progress or 0, report.code
    settle(job, said, device, now=now)
    return True


def moves(present: Status, said: Status) -> bool:
    """Whether a report brings a job further. What was only assumed gives way to the unit's own word."""
    if present in WAY:
        return said not in WAY or WAY.index(said) > WAY.index(present)
    return present == Status.TIMED_OUT and said not in WAY


def progressed(job: FirmwareJob, report: Report, *, now: datetime) -> bool:
    """The same state again may bring a greater progress."""
    newer = report.state == job.status and report.seq > job.seq and job.status in WAY
    if newer:
        job.seq, job.progress, job.updated_at = report.seq, max(job.progress, report.progress or 0), now
        job.save(update_fields=("seq", "progress", "updated_at"))
    return False


def settle(job: FirmwareJob, status: Status, device: Device | None, *, now: datetime) -> None:
    """Bring a locked job to another state, with all that follows: what the unit may pour, the rollout's count."""
    before, job.status, job.updated_at = Status(job.status), status, now
    if status in INSTALLING:
        job.due_at, job.finished_at = job.due_at or now + INSTALL_WITHIN, None
    else:
        job.due_at, job.finished_at = None, None if status in WAY else now
    job.save()
    if device is not None and device.updating_until != job.due_at:
        device.updating_until = job.due_at
        Device.objects.filter(pk=device.pk).update(updating_until=job.due_at)
    good = (status == Status.SUCCEEDED) - (before == Status.SUCCEEDED)
    bad = (status in BAD_ENDS) - (before in BAD_ENDS)
    if good or bad:
        rollouts.count(job.rollout_id, succeeded=good, failed=bad, now=now)


def heard(device: Device, version: str, *, now: datetime) -> FirmwareJob | None:
    """A unit says what it runs, which confirms its update or shows that it went back; its job if this ended it.

    Part of the caller's transaction, which holds the unit's row.
    """
    job = newest_of(device.pk)
    shown = shown_by(job, version) if job else None
    if job is None or shown is None:
        return None
    job.code = "went_back" if shown == Status.ROLLED_BACK else None
    settle(job, shown, device, now=now)
    return job


def shown_by(job: FirmwareJob, version: str) -> Status | None:
    """How a job stands, by the version that its unit runs; None where that changes nothing."""
    if version == job.rollout.release.version:
        return Status.SUCCEEDED if job.status != Status.SUCCEEDED else None
    if job.status == Status.REBOOTING:
        return Status.ROLLED_BACK
    went_back = job.status == Status.SUCCEEDED and version == job.from_version
    return Status.ROLLED_BACK if went_back else None


def downloadable(release_id: UUID, device_id: UUID) -> FirmwareRelease:
    """The release that a unit has a job for. Raises ReleaseNotFound, NotOwner, UpdateHeld."""
    jobs = FirmwareJob.objects.select_related("rollout__release")
    job = jobs.filter(device_id=device_id, rollout__release_id=release_id).order_by("-id").first()
    if job is None:
        if not FirmwareRelease.objects.filter(pk=release_id).exists():
            raise ReleaseNotFound
        raise NotOwner
    if job.status not in WAY or not goes_on(job.rollout):
        raise UpdateHeld
    return job.rollout.release


# --- what time brings ---------------------------------------------------------------------------


def time_out(*, now: datetime) -> int:
    """Units that went silent while they installed; by firmware_jobs_due. Safe on any number of workers."""
    due = FirmwareJob.objects.filter(due_at__lte=now).order_by("due_at").values_list("pk", "device_id")
    return sum(_timed_out(job_id, device_id, now=now) for job_id, device_id in list(due[:CHUNK_ROWS]))


@transaction.atomic
def _timed_out(job_id: UUID, device_id: UUID, *, now: datetime) -> bool:
    device = Device.objects.select_for_update().filter(pk=device_id).first()
    job = FirmwareJob.objects.select_for_update().filter(pk=job_id, due_at__lte=now).first()
    if device is None or job is None:
        return False
    job.code = "silent"
    settle(job, Status.TIMED_OUT, device, now=now)
    return True


def cancel_left_over(*, now: datetime) -> int:
    """End the jobs of rollouts that were aborted, and of blocked releases; those that install go on."""
    over = FirmwareRollout.objects.filter(status=rollouts.Status.ABORTED)
    blocked = FirmwareRollout.objects.filter(release__status=FirmwareRelease.Status.BLOCKED)
    ended: Sequence[UUID] = list((over | blocked).values_list("pk", flat=True))
    waiting = FirmwareJob.objects.filter(rollout_id__in=ended, status__in=BEFORE_INSTALL)
    total = 0
    while chunk := _cancelled(list(waiting.values_list("pk", flat=True)[:CHUNK_ROWS]), now=now):
        total += chunk
    return total


@transaction.atomic
def _cancelled(job_ids: Sequence[UUID], *, now: datetime) -> int:
    jobs = FirmwareJob.objects.select_for_update(skip_locked=True).filter(pk__in=job_ids)
    still = [job.pk for job in jobs.filter(status__in=BEFORE_INSTALL).order_by("pk")]
    gone = {"status": Status.CANCELLED, "finished_at": now, "updated_at": now}
    return FirmwareJob.objects.filter(pk__in=still).update(**gone)
