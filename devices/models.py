"""Dispensers: who owns them, what they last reported, what they pour, and how they prove themselves."""

import uuid
from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from devices import plans


class DeviceType(models.TextChoices):
    FISH_OIL = "fish_oil"
    VITAMIN_D = "vitamin_d"
    KRILL_OIL = "krill_oil"
    VEGAN = "vegan"


def ceiling_of(device_type: str) -> Decimal:
    """The most of its supplement that a day may bring, in its unit; no plan and no profile can exceed it."""
    return Decimal(settings.DOSE_CEILINGS[plans.family_of(device_type)])


class SupplementProfile(models.Model):
    """What dispensers of one type pour by until their owners plan otherwise; staff change it in the back
    office, and dispensers that are added from then on take it (iot.md 5)."""

    device_type = models.CharField(max_length=50, primary_key=True, choices=DeviceType)
    amount = models.DecimalField(max_digits=10, decimal_places=3, validators=[MinValueValidator(Decimal("0.001"))])
    unit = models.CharField(max_length=10, choices=[("ml", "ml"), ("IU", "IU")])
    concentration = models.DecimalField(
        max_digits=12,
        decimal_places=3,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal("0.001"))],
        help_text="Units in a millilitre, where the dose is no volume itself.",
    )
    target_per_day = models.PositiveSmallIntegerField(validators=[MinValueValidator(1)])
    max_per_day = models.PositiveSmallIntegerField(validators=[MinValueValidator(1)])
    min_interval_min = models.PositiveIntegerField(
        validators=[MinValueValidator(plans.LEAST_INTERVAL_MIN), MaxValueValidator(plans.MOST_INTERVAL_MIN)]
    )
    rolling_hours = models.PositiveSmallIntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(plans.MOST_ROLLING_HOURS)]
    )

    class Meta:
        db_table = "supplement_profiles"
        constraints = (
            models.CheckConstraint(condition=models.Q(amount__gt=0), name="profile_pours_something"),
            models.CheckConstraint(
                condition=models.Q(target_per_day__lte=models.F("max_per_day")), name="profile_target_within_max"
            ),
        )

    def __str__(self) -> str:
        return self.device_type

    def clean(self) -> None:
        """No profile may promise what no plan could have: the ceilings, and the unit they are counted in."""
        shipped, ceiling = plans.DEFAULTS[self.device_type], ceiling_of(self.device_type)
        if self.unit != shipped.unit:
            raise ValidationError({"unit": f"Must be {shipped.unit}: the ceiling is counted in it."})
        if self.amount and self.max_per_day and self.amount * self.max_per_day > ceiling:
            raise ValidationError(
                {"max_per_day": f"Together more than the ceiling of {ceiling} {self.unit} a day."}
            )

    @staticmethod
    def of(device_type: str) -> plans.Defaults:
        """What holds for a type; what was shipped where its row is missing."""
        row = SupplementProfile.objects.filter(pk=device_type).first()
        return row.defaults if row else plans.DEFAULTS[device_type]

    @property
    def defaults(self) -> plans.Defaults:
        return plans.Defaults(
            amount=self.amount,
            unit=self.unit,
            target_per_day=self.target_per_day,
            max_per_day=self.max_per_day,
            min_interval_min=self.min_interval_min,
            rolling_hours=self.rolling_hours,
            concentration=self.concentration,
        )


class SetupState(models.TextChoices):
    CREATED = "created"
    ONLINE = "online"


def default_settings() -> dict[str, object]:
    return {"led": "auto", "volume": 5, "child_lock": False}


class Device(models.Model):
    """One dispenser of one user. The current cup state and the plan live on the row, so that a decision
    locks and reads one row (iot.md 5)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="devices")
    device_name = models.CharField(max_length=255)
    device_type = models.CharField(max_length=50, choices=DeviceType)
    mac_address = models.CharField(max_length=17, unique=True)
    serial_number = models.CharField(max_length=100, unique=True)
    location = models.CharField(max_length=255, null=True)  # noqa: DJ001  (null in the API)
    is_active = models.BooleanField(default=True)
    setup_state = models.CharField(max_length=10, choices=SetupState, default=SetupState.CREATED)
    settings = models.JSONField(default=default_settings)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    # What the dispenser last reported.
    battery_level = models.PositiveSmallIntegerField(default=100)
    supplement_level = models.PositiveSmallIntegerField(default=100)
    # The time of the newest sample that the two levels come from.
    levels_at = models.DateTimeField(null=True)
    firmware_version = models.CharField(max_length=50, null=True)  # noqa: DJ001  (null in the API)
    is_connected = models.BooleanField(default=False)
    # Exact contact, for presence; the API shows the two columns below, which move at most once a minute.
    contact_at = models.DateTimeField(null=True)
    # When silence ends the presence: 2.5 heartbeats, or what the dispenser announced.
    silent_at = models.DateTimeField(null=True)
    last_seen = models.DateTimeField(null=True)
    last_sync = models.DateTimeField(null=True)

    # The current cup state and the times that the decision needs.
    cup_placed = models.BooleanField(default=False)
    sensor_reading = models.DecimalField(max_digits=5, decimal_places=2, null=True)
    last_state_change = models.DateTimeField(null=True)
    last_event_at = models.DateTimeField(null=True)
    last_removal_at = models.DateTimeField(null=True)
    last_dose_event_at = models.DateTimeField(null=True)
    # Counts the events that were taken: a recorded yes dies with the next one.
    event_count = models.BigIntegerField(default=0)

    plan = models.JSONField(default=dict)
    plan_version = models.PositiveIntegerField(default=1)
    timezone = models.CharField(max_length=50)
    total_doses_dispensed = models.PositiveIntegerField(default=0)
    last_decision = models.JSONField(null=True)
    # While new firmware is installed nothing is poured.
    updating_until = models.DateTimeField(null=True)

    # How commands reach it: by the broker, or for as long as it asks for them over HTTP.
    mqtt_online = models.BooleanField(db_default=False)
    polls_until = models.DateTimeField(null=True)
    # Its newest boot, and the newest connection of that boot: a last will of an older one says nothing.
    boot = models.BigIntegerField(null=True)
    conn = models.BigIntegerField(null=True)
    hardware_rev = models.CharField(max_length=50, null=True)  # noqa: DJ001  (null until it was said)

    class Meta:
        db_table = "devices"
        constraints = (
            models.CheckConstraint(condition=models.Q(battery_level__lte=100), name="battery_is_percent"),
            models.CheckConstraint(condition=models.Q(supplement_level__lte=100), name="supplement_is_percent"),
        )
        indexes = (
            models.Index(fields=("user", "created_at"), name="devices_of_user"),
            models.Index(fields=("silent_at",), condition=models.Q(is_connected=True), name="devices_connected"),
        )

    def __str__(self) -> str:
        return f"{self.device_name} ({self.serial_number})"

    @property
    def dose_plan(self) -> plans.Plan:
        return plans.plan_of(self.plan, version=self.plan_version, timezone=self.timezone)

    @property
    def family(self) -> str:
        return plans.family_of(self.device_type)


class RemovedDevice(models.Model):
    """A dispenser that its owner has removed: the row is the queue of the job that deletes its readings.

    Doses stay in the owner's log (api.md 3); cup readings mean nothing without their dispenser.
    """

    device_id = models.UUIDField(primary_key=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")

    class Meta:
        db_table = "removed_devices"

    def __str__(self) -> str:
        return str(self.device_id)


class ManufacturedUnit(models.Model):
    """A dispenser as the factory made it; who has it now stands in Device (api.md 3, claiming)."""

    serial_number = models.CharField(max_length=100, primary_key=True)
    mac_address = models.CharField(max_length=17, unique=True)
    # Empty: of any type.
    device_type = models.CharField(max_length=50, choices=DeviceType, blank=True, db_default="")
    # Of the code that is printed in the box.
    claim_code_hash = models.CharField(max_length=128, blank=True, db_default="")
    # Ed25519, 32 bytes in base64: what the unit proves itself with.
    public_key = models.CharField(max_length=44, blank=True, db_default="")
    batch = models.CharField(max_length=50, blank=True, db_default="")
    lot = models.CharField(max_length=50, blank=True, db_default="")
    hardware_rev = models.CharField(max_length=50, blank=True, db_default="")
    imported_at = models.DateTimeField()

    class Meta:
        db_table = "manufactured_units"
        indexes = (models.Index(fields=("lot",), name="manufactured_units_of_lot"),)

    def __str__(self) -> str:
        return self.serial_number


class DeviceCredential(models.Model):
    """A device token, as its hash. Two live while one replaces the other (api.md 3)."""

    id = models.BigAutoField(primary_key=True)
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="credentials")
    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    first_used_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    # Taken by the dispenser itself, so that no phone has seen it; the others it is told to rotate.
    by_device = models.BooleanField(db_default=False)
    # The broker's form of the token (PBKDF2), made while it is known; the file holds it once the token is used.
    mqtt_hash = models.CharField(max_length=150, db_default="")

    class Meta:
        db_table = "device_credentials"

    def __str__(self) -> str:
        return f"credential {self.pk} of {self.device_id}"


class DoseDay(models.Model):
    """How many doses one device gave on one local day: statistics without reading the log."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    # Without a foreign key: the days stay when the device goes.
    device_id = models.UUIDField()
    local_date = models.DateField()
    doses = models.PositiveIntegerField(default=0)

    class Meta:
        db_table = "dose_days"
        constraints = (models.UniqueConstraint(fields=("device_id", "local_date"), name="one_day_per_device"),)
        indexes = (models.Index(fields=("user", "local_date"), name="dose_days_of_user"),)

    def __str__(self) -> str:
        return f"{self.device_id} {self.local_date}: {self.doses}"


class DeviceCommand(models.Model):
    """Something that a person wants a dispenser to do now (iot.md 4). The row is its own outbox."""

    class Type(models.TextChoices):
        DISPENSE_NOW = "dispense_now"
        IDENTIFY = "identify"
        REBOOT = "reboot"
        SYNC = "sync"
        LOG_UPLOAD = "log_upload"

    class Status(models.TextChoices):
        QUEUED = "queued"
        SENT = "sent"
        DELIVERED = "delivered"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        REJECTED = "rejected"
        EXPIRED = "expired"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, editable=False)
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="commands")
    type = models.CharField(max_length=20, choices=Type)
    params = models.JSONField(default=dict)
    status = models.CharField(max_length=10, choices=Status, db_default=Status.QUEUED)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    # The dispenser's own, a number or a word.
    code = models.CharField(max_length=50, null=True)  # noqa: DJ001  (null in the API)
    result = models.JSONField(null=True)

    class Meta:
        db_table = "device_commands"
        indexes = (
            models.Index(fields=("device", "-id"), name="commands_newest"),
            models.Index(
                fields=("expires_at",),
                condition=models.Q(status__in=("queued", "sent", "delivered")),
                name="commands_under_way",
            ),
        )

    def __str__(self) -> str:
        return f"{self.type} {self.status}"

    def as_of(self, now: datetime) -> "DeviceCommand":
        """Itself, expired where nobody has written that down yet."""
        if self.status in {self.Status.QUEUED, self.Status.SENT} and self.expires_at <= now:
            self.status = self.Status.EXPIRED
        return self


# Their tables belong to this app.
import devices.firmware.models  # noqa: E402, F401
