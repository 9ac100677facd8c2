"""Firmware: what was released, how it is rolled out, and how far each unit has come (iot.md 4)."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from devices.firmware.manifest import Manifest
from devices.models import Device


class FirmwareRelease(models.Model):
    """A signed image for one hardware. What was signed never changes; only whether it may be used."""

    class Status(models.TextChoices):
        DRAFT = "draft"
        PUBLISHED = "published"
        BLOCKED = "blocked"

    id = models.UUIDField(primary_key=True, editable=False)
    version = models.CharField(max_length=50)
    # As units say it (`hardware_rev`).
    hardware = models.CharField(max_length=50)
    min_from = models.CharField(max_length=50, null=True)  # noqa: DJ001  (null in the manifest)
    size = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64)
    counter = models.PositiveIntegerField()
    key_id = models.CharField(max_length=50)
    # Base64 of 64 bytes, over the canonical manifest.
    signature = models.CharField(max_length=88)
    # In the private storage; named by us alone.
    file = models.CharField(max_length=100)
    notes_tr = models.TextField(blank=True, db_default="")
    notes_en = models.TextField(blank=True, db_default="")
    status = models.CharField(max_length=9, choices=Status, db_default=Status.DRAFT)
    imported_by = models.CharField(max_length=254)
    imported_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True)
    blocked_at = models.DateTimeField(null=True)
    blocked_by = models.CharField(max_length=254, blank=True, db_default="")
    block_reason = models.CharField(max_length=500, blank=True, db_default="")

    class Meta:
        db_table = "firmware_releases"
        constraints = (
            models.UniqueConstraint(fields=("hardware", "counter"), name="firmware_counter_used_once"),
            models.CheckConstraint(condition=Q(size__gt=0, counter__gt=0), name="firmware_is_counted"),
            models.CheckConstraint(
                condition=~Q(status="published") | Q(published_at__isnull=False), name="firmware_published_at"
            ),
            models.CheckConstraint(
                condition=~Q(status="blocked") | Q(blocked_at__isnull=False), name="firmware_blocked_at"
            ),
        )

    def __str__(self) -> str:
        return f"{self.version} for {self.hardware}"

    @property
    def manifest(self) -> Manifest:
        return Manifest(
            fw=self.version,
            hw=self.hardware,
            counter=self.counter,
            size=self.size,
            sha256=self.sha256,
            key_id=self.key_id,
            min_from=self.min_from,
        )


def usual_stages() -> list[int]:
    return [1, 10, 50, 100]


class FirmwareRollout(models.Model):
    """One release on its way to the fleet, in stages. Units get a job when they first ask, none before."""

    class Status(models.TextChoices):
        DRAFT = "draft"
        SCHEDULED = "scheduled"
        RUNNING = "running"
        PAUSED = "paused"
        # By the rules, not by a person.
        HALTED = "halted"
        ABORTED = "aborted"
        FINISHED = "finished"

    id = models.UUIDField(primary_key=True, editable=False)
    release = models.ForeignKey(FirmwareRelease, on_delete=models.PROTECT, related_name="rollouts")
    # Of the release, here for the constraint: no unit ever has to choose between two rollouts.
    hardware = models.CharField(max_length=50)
    status = models.CharField(max_length=9, choices=Status, db_default=Status.DRAFT)
    # Percent of the units; `stage` counts from 0.
    stages = ArrayField(models.PositiveSmallIntegerField(), default=usual_stages)
    stage = models.PositiveSmallIntegerField(db_default=0)
    stage_since = models.DateTimeField(null=True)
    starts_at = models.DateTimeField(null=True)
    # How many of the present stage ended well, and how many failed, were rolled back or timed out.
    succeeded = models.PositiveIntegerField(db_default=0)
    failed = models.PositiveIntegerField(db_default=0)
    # What a unit needs before it may install: charge in percent, and no dose so soon.
    battery_min = models.PositiveSmallIntegerField(db_default=30)
    no_dose_within_s = models.PositiveIntegerField(db_default=1800)
    # Why it stands where it stands, by the last who changed that.
    reason = models.CharField(max_length=500, blank=True, db_default="")
    created_by = models.CharField(max_length=254)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "firmware_rollouts"
        constraints = (
            models.UniqueConstraint(
                fields=("hardware",),
                condition=Q(status__in=("scheduled", "running", "paused")),
                name="one_open_rollout_a_hardware",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=("paused", "halted", "aborted")) | ~Q(reason=""), name="rollout_says_why"
            ),
            models.CheckConstraint(condition=Q(stage__lt=F("stages__len")), name="rollout_is_at_a_stage"),
            models.CheckConstraint(condition=Q(battery_min__lte=100), name="rollout_battery_is_percent"),
        )

    def __str__(self) -> str:
        return f"{self.release} {self.status}"

    @property
    def percent(self) -> int:
        return int(self.stages[self.stage])


class FirmwareRolloutEvent(models.Model):
    """Who changed what of a rollout, and why; rows are only ever added."""

    id = models.BigAutoField(primary_key=True)
    rollout = models.ForeignKey(FirmwareRollout, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField()
    # Empty: by the rules.
    by = models.CharField(max_length=254, blank=True)
    what = models.CharField(max_length=20)
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        db_table = "firmware_rollout_events"

    def __str__(self) -> str:
        return f"{self.what} {self.at:%F %T}"


class FirmwareJob(models.Model):
    """One unit in one rollout, from its first offer on."""

    class Status(models.TextChoices):
        OFFERED = "offered"
        DOWNLOADING = "downloading"
        DOWNLOADED = "downloaded"
        VERIFIED = "verified"
        INSTALLING = "installing"
        REBOOTING = "rebooting"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        ROLLED_BACK = "rolled_back"
        TIMED_OUT = "timed_out"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, editable=False)
    # The indexes below begin with each of them.
    rollout = models.ForeignKey(FirmwareRollout, on_delete=models.CASCADE, related_name="jobs", db_index=False)
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="firmware_jobs", db_index=False)
    status = models.CharField(max_length=11, choices=Status, db_default=Status.OFFERED)
    # The number of the last report that was taken, and what it said.
    seq = models.BigIntegerField(db_default=0)
    progress = models.PositiveSmallIntegerField(db_default=0)
    code = models.CharField(max_length=50, null=True)  # noqa: DJ001  (null until something failed)
    from_version = models.CharField(max_length=50)
    offered_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    # While it installs: when its silence is a failure.
    due_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "firmware_jobs"
        constraints = (
            models.UniqueConstraint(fields=("rollout", "device"), name="one_firmware_job_a_rollout"),
            models.UniqueConstraint(
                fields=("device",), condition=Q(finished_at=None), name="one_open_firmware_job"
            ),
            models.CheckConstraint(
                condition=Q(
                    finished_at=None,
                    status__in=(
                        "offered",
                        "downloading",
                        "downloaded",
                        "verified",
                        "installing",
                        "rebooting",
                    ),
                )
                | Q(
                    finished_at__isnull=False,
                    status__in=("succeeded", "failed", "rolled_back", "timed_out", "cancelled"),
                ),
                name="firmware_job_ends_once",
            ),
            models.CheckConstraint(
                condition=Q(due_at=None) ^ Q(status__in=("installing", "rebooting")),
                name="firmware_job_is_due_while_installing",
            ),
            models.CheckConstraint(condition=Q(progress__lte=100), name="firmware_progress_is_percent"),
        )
        indexes = (
            models.Index(fields=("device", "-id"), name="firmware_jobs_newest"),
            models.Index(fields=("rollout", "status"), name="firmware_jobs_by_status"),
            models.Index(fields=("due_at",), condition=Q(due_at__isnull=False), name="firmware_jobs_due"),
        )

    def __str__(self) -> str:
        return f"{self.device_id} {self.status}"
