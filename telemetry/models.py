"""What dispensers report and what was decided: events, decisions, doses, the activity log.

`device_states` and `activity_logs` grow for ever and are partitioned by month: the table's key is
(id, timestamp), no foreign key points at them, and no idempotency key lives in them.
"""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models

from devices.models import Device


class TimeQuality(models.TextChoices):
    """What the time of an event rests on (iot.md 2)."""

    OK = "ok"
    CORRECTED = "corrected"
    CLAMPED = "clamped"
    UNKNOWN = "unknown"


class DeviceState(models.Model):
    """One cup reading (mission 4)."""

    id = models.UUIDField(primary_key=True, editable=False)
    device_id = models.UUIDField()
    cup_placed = models.BooleanField()
    sensor_reading = models.DecimalField(max_digits=5, decimal_places=2, null=True)
    timestamp = models.DateTimeField()
    received_at = models.DateTimeField()
    time_quality = models.CharField(max_length=9, choices=TimeQuality, db_default=TimeQuality.OK)
    # What the dispenser's own clock said, where it came in a journal.
    device_time = models.DateTimeField(null=True)

    class Meta:
        db_table = "device_states"

    def __str__(self) -> str:
        return f"{self.device_id} {'cup' if self.cup_placed else 'no cup'} {self.timestamp:%F %T}"


class DeviceSample(models.Model):
    """Levels and signal, as a dispenser's journal brings them (iot.md 2); what it says live is on its row."""

    id = models.UUIDField(primary_key=True, editable=False)
    device_id = models.UUIDField()
    battery_level = models.PositiveSmallIntegerField(null=True)
    supplement_level = models.PositiveSmallIntegerField(null=True)
    # dBm, below zero.
    rssi = models.SmallIntegerField(null=True)
    timestamp = models.DateTimeField()
    received_at = models.DateTimeField()
    time_quality = models.CharField(max_length=9, choices=TimeQuality)
    device_time = models.DateTimeField(null=True)

    class Meta:
        db_table = "device_samples"

    def __str__(self) -> str:
        return f"{self.device_id} {self.timestamp:%F %T}"


class DeviceReport(models.Model):
    """What a dispenser's journal says of itself: alarms, lines of its log, purged stock (iot.md 2)."""

    class Kind(models.TextChoices):
        ALARM = "alarm"
        LOG = "log"
        PURGE = "purge"

    id = models.UUIDField(primary_key=True, editable=False)
    device_id = models.UUIDField()
    kind = models.CharField(max_length=5, choices=Kind)
    data = models.JSONField()
    timestamp = models.DateTimeField()
    received_at = models.DateTimeField()
    time_quality = models.CharField(max_length=9, choices=TimeQuality)
    device_time = models.DateTimeField(null=True)

    class Meta:
        db_table = "device_reports"

    def __str__(self) -> str:
        return f"{self.kind} {self.device_id} {self.timestamp:%F %T}"


class Action(models.TextChoices):
    DOSE_DISPENSED = "dose_dispensed"
    DOSE_FAILED = "dose_failed"
    DOSE_TAKEN_MANUAL = "dose_taken_manual"
    DEVICE_CONNECTED = "device_connected"
    DEVICE_DISCONNECTED = "device_disconnected"
    BATTERY_LOW = "battery_low"
    SUPPLEMENT_LOW = "supplement_low"
    REFILL = "refill"
    FIRMWARE_UPDATED = "firmware_updated"
    NOTE = "note"


class TriggeredBy(models.TextChoices):
    AUTOMATIC = "automatic"
    MANUAL = "manual"
    SCHEDULED = "scheduled"


class Confirmation(models.TextChoices):
    PENDING = "pending"
    DEVICE = "device"
    ASSUMED = "assumed"
    NONE = "none"
    USER = "user"


class ActivityLog(models.Model):
    """One line of a person's log; doses stay as long as the account (mission 6)."""

    id = models.UUIDField(primary_key=True, editable=False)
    user_id = models.UUIDField()
    device_id = models.UUIDField(null=True)
    action = models.CharField(max_length=100, choices=Action)
    dose_amount = models.CharField(max_length=20, null=True)  # noqa: DJ001  (null in the API)
    triggered_by = models.CharField(max_length=50, choices=TriggeredBy, null=True)  # noqa: DJ001
    confirmation = models.CharField(max_length=10, choices=Confirmation, null=True)  # noqa: DJ001
    local_date = models.DateField()
    metadata = models.JSONField(default=dict)
    timestamp = models.DateTimeField()

    class Meta:
        db_table = "activity_logs"

    def __str__(self) -> str:
        return f"{self.action} {self.timestamp:%F %T}"


class ActivityKey(models.Model):
    """An entry that a person wrote: its id is taken once, and its line is found by it.

    A client-made id names no partition, and an entry's time may be corrected. The key outlives its line, so
    that a late retry does not bring back what was deleted.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    timestamp = models.DateTimeField()
    # Of what was sent, so that a retry is told from another entry under the same id.
    fingerprint = models.CharField(max_length=64)

    class Meta:
        db_table = "activity_keys"

    def __str__(self) -> str:
        return f"{self.id} {self.timestamp:%F %T}"


class Dispense(models.Model):
    """One dose of a supplement family, from the moment it was allowed: a reservation that counts at once.

    Doses that nobody asked for are here as well: those a dispenser poured offline and those taken by hand.
    """

    class Status(models.TextChoices):
        AUTHORIZED = "authorized"
        DISPENSED = "dispensed"
        PARTIAL = "partial"
        FAILED = "failed"
        NOT_STARTED = "not_started"
        UNCONFIRMED = "unconfirmed"

    class DecidedBy(models.TextChoices):
        SERVER = "server"
        DEVICE = "device"
        PERSON = "person"

    class Protocol(models.TextChoices):
        """Whether the dispenser confirms (iot.md 1)."""

        SIMPLE = "simple"
        FULL = "full"

    class Outcome(models.TextChoices):
        """A person's answer for a dose that nobody confirmed."""

        TAKEN = "taken"
        NOT_TAKEN = "not_taken"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    # Without a foreign key: a removed dispenser's doses still count against the family's limits.
    # Null where a dose was taken by hand without a dispenser.
    device_id = models.UUIDField(null=True)
    family = models.CharField(max_length=20)
    status = models.CharField(max_length=12, choices=Status)
    # Whether it counts against the family's limits; only an explicit "nothing came out" takes it away.
    counts = models.BooleanField(db_default=True)
    decided_by = models.CharField(max_length=6, choices=DecidedBy, db_default=DecidedBy.SERVER)
    protocol = models.CharField(max_length=6, choices=Protocol, db_default=Protocol.SIMPLE)
    amount = models.DecimalField(max_digits=10, decimal_places=3)
    actual_amount = models.DecimalField(max_digits=10, decimal_places=3, null=True)
    unit = models.CharField(max_length=10)
    plan_version = models.PositiveIntegerField()
    slot_date = models.DateField(null=True)
    slot_id = models.CharField(max_length=36, null=True)  # noqa: DJ001  (a plan without slots has none)
    request_id = models.UUIDField(null=True)
    activity_id = models.UUIDField()
    authorized_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    time_quality = models.CharField(max_length=9, choices=TimeQuality, db_default=TimeQuality.OK)
    # The dispenser's own word, which is final; what contradicts it later is kept beside it.
    reported_at = models.DateTimeField(null=True)
    resolved_as = models.CharField(max_length=9, choices=Outcome, null=True)  # noqa: DJ001
    resolved_at = models.DateTimeField(null=True)
    dispute = models.JSONField(null=True)
    # The failure after which the family gets nothing until a person has seen it (`dispense_fault`).
    is_fault = models.BooleanField(db_default=False)
    acknowledged_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "dispenses"
        constraints = (
            models.UniqueConstraint(
                fields=("device_id",),
                condition=models.Q(status="authorized"),
                name="one_open_dispense_per_device",
            ),
            models.UniqueConstraint(
                fields=("device_id", "request_id"),
                condition=models.Q(request_id__isnull=False),
                name="one_dispense_per_request",
            ),
            models.UniqueConstraint(
                fields=("device_id", "slot_date", "slot_id"),
                condition=models.Q(slot_id__isnull=False, counts=True),
                name="one_dispense_per_slot",
            ),
        )
        indexes = (
            models.Index(fields=("user", "family", "authorized_at"), name="dispenses_of_family"),
            models.Index(fields=("expires_at",), condition=models.Q(status="authorized"), name="dispenses_open"),
            models.Index(
                fields=("user", "family"),
                condition=models.Q(is_fault=True, acknowledged_at=None),
                name="dispenses_at_fault",
            ),
        )

    def __str__(self) -> str:
        return f"{self.amount}{self.unit} {self.status}"


class Decision(models.Model):
    """Why a cup got a dose or did not: the whole trace of the rules, kept 90 days."""

    id = models.UUIDField(primary_key=True, editable=False)
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="decisions")
    decided_at = models.DateTimeField()
    should_dispense = models.BooleanField()
    reason = models.CharField(max_length=30)
    trace = models.JSONField()
    dispense_id = models.UUIDField(null=True)
    # Where the device's events stood; a later one ends a recorded yes.
    event_count = models.BigIntegerField()

    class Meta:
        db_table = "decisions"
        indexes = (models.Index(fields=("device", "-decided_at"), name="decisions_newest"),)

    def __str__(self) -> str:
        return f"{self.reason} {self.decided_at:%F %T}"


class SafetyStop(models.Model):
    """An order of the operators: every decision it covers is no until it is lifted or over (iot.md 5)."""

    class Scope(models.TextChoices):
        ALL = "all"
        TYPE = "type"
        FIRMWARE = "firmware"
        LOT = "lot"
        UNIT = "unit"

    id = models.BigAutoField(primary_key=True)
    scope = models.CharField(max_length=8, choices=Scope)
    # A device type, firmware version, production lot, or the serial of one unit; empty for all.
    value = models.CharField(max_length=100, blank=True)
    # Shown to the people whose dispensers it stops.
    reason = models.CharField(max_length=500)
    until = models.DateTimeField(null=True, blank=True)
    ordered_by = models.CharField(max_length=254)
    ordered_at = models.DateTimeField()
    lifted_by = models.CharField(max_length=254, blank=True)
    lifted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "safety_stops"
        constraints = (
            models.UniqueConstraint(
                fields=("scope", "value"), condition=models.Q(lifted_at=None), name="one_standing_stop_each"
            ),
            models.CheckConstraint(
                condition=models.Q(scope="all", value="") | (~models.Q(scope="all") & ~models.Q(value="")),
                name="stop_names_what_it_covers",
            ),
        )

    def __str__(self) -> str:
        return f"{self.scope} {self.value}".strip()


class EventKey(models.Model):
    """An event that was taken: the same one again stores nothing."""

    pk = models.CompositePrimaryKey("device_id", "key")
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=60)
    decision_id = models.UUIDField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "event_keys"
        indexes = (BrinIndex(fields=("created_at",), name="event_keys_age"),)

    def __str__(self) -> str:
        return f"{self.device_id} {self.key}"


class JournalAck(models.Model):
    """How far the journal of one boot of a dispenser is safe with us (iot.md 2)."""

    pk = models.CompositePrimaryKey("device_id", "boot")
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="+", db_index=False)
    boot = models.BigIntegerField()
    acked = models.BigIntegerField()
    # Bounds of what was taken (telemetry.acks).
    taken = ArrayField(models.BigIntegerField())
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "journal_acks"

    def __str__(self) -> str:
        return f"{self.device_id} boot {self.boot} up to {self.acked}"


class DeadLetter(models.Model):
    """What a dispenser sent and nobody can take: acknowledged, so that it never blocks the journal, and kept
    for those who look after the fleet."""

    id = models.UUIDField(primary_key=True, editable=False)
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="+")
    event_id = models.UUIDField(null=True)
    code = models.CharField(max_length=30)
    message = models.CharField(max_length=500)
    # JSON as text: it may hold what no column of JSON takes. Base64 where it was no text.
    payload = models.TextField()
    # Of the payload, so that a repeated one is kept once.
    fingerprint = models.CharField(max_length=64)
    received_at = models.DateTimeField()

    class Meta:
        db_table = "dead_letters"
        constraints = (models.UniqueConstraint(fields=("device", "fingerprint"), name="one_letter_each"),)
        indexes = (models.Index(fields=("received_at",), name="dead_letters_age"),)

    def __str__(self) -> str:
        return f"{self.code} {self.received_at:%F %T}"
