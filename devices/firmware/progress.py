"""How a rollout goes, for those who watch it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Q

from devices.firmware.models import FirmwareJob, FirmwareRelease, FirmwareRollout
from devices.models import Device
from zinzino import clock


@dataclass(frozen=True, slots=True)
class Progress:
    """`units` have the hardware and are in use, `updated` of them run the release; `jobs` by how they stand."""

    units: int
    updated: int
    jobs: dict[str, int]

    @property
    def under_way(self) -> int:
        return sum(self.jobs.get(state, 0) for state in ("offered", "downloading", "downloaded", "verified"))

    @property
    def installing(self) -> int:
        return sum(self.jobs.get(state, 0) for state in ("installing", "rebooting"))

    @property
    def succeeded(self) -> int:
        return self.jobs.get("succeeded", 0)

    @property
    def failed(self) -> int:
        return sum(self.jobs.get(state, 0) for state in ("failed", "rolled_back", "timed_out"))


def of(rollout: FirmwareRollout) -> Progress:
    """Two statements: the jobs by firmware_jobs_by_status, and one walk over the devices (0.1 s at 200 k)."""
    jobs = FirmwareJob.objects.filter(rollout_id=rollout.pk).values_list("status").annotate(Count("pk"))
    units = Device.objects.filter(hardware_rev=rollout.hardware, is_active=True)
    counted = units.aggregate(
        units=Count("pk"), updated=Count("pk", filter=Q(firmware_version=rollout.release.version))
    )
    return Progress(counted["units"], counted["updated"], {str(state): n for state, n in jobs})


def running(release: FirmwareRelease) -> int:
    """How many units run it; one walk over the devices."""
    return Device.objects.filter(hardware_rev=release.hardware, firmware_version=release.version).count()


def described(rollout: FirmwareRollout) -> dict[str, Any]:
    """As the command says it."""
    progress, release = of(rollout), rollout.release
    return {
        "rollout": str(rollout.pk),
        "release": release.version,
        "hardware": rollout.hardware,
        "status": rollout.status,
        "reason": rollout.reason,
        "stages": list(rollout.stages),
        "percent": rollout.percent,
        "starts_at": _iso(rollout.starts_at),
        "stage_since": _iso(rollout.stage_since),
        "stage_succeeded": rollout.succeeded,
        "stage_failed": rollout.failed,
        "units": progress.units,
        "updated": progress.updated,
        "jobs": dict(sorted(progress.jobs.items())),
    }


def _iso(moment: datetime | None) -> str | None:
    return clock.iso(moment) if moment else None
