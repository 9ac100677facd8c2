"""What people are told, what they want to be told, on which phones, and which alerts are open."""

from datetime import time

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from accounts.models import Session
from devices.models import Device
from zinzino import clock


class NotificationType(models.TextChoices):
    REMINDER = "reminder"
    LOW_BATTERY = "low_battery"
    LOW_SUPPLEMENT = "low_supplement"
    ACHIEVEMENT = "achievement"
    DEVICE_OFFLINE = "device_offline"
    DOSE_FAILED = "dose_failed"
    DOSE_MISSED = "dose_missed"
    DOSE_WARNING = "dose_warning"
    REFILL_DUE = "refill_due"
    SECURITY = "security"


class Notification(models.Model):
    """One in-app notification, its text in the owner's language of that moment."""

    id = models.UUIDField(primary_key=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notifications")
    # Without a foreign key: what was said of a device stays when the device goes.
    device_id = models.UUIDField(null=True)
    type = models.CharField(max_length=50, choices=NotificationType)
    title = models.CharField(max_length=255)
    message = models.TextField()
    is_read = models.BooleanField(default=False)
    read_at = models.DateTimeField(null=True)
    metadata = models.JSONField(default=dict)
    # The same cause announced twice makes one row.
    dedupe_key = models.CharField(max_length=120)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "notifications"
        constraints = (models.UniqueConstraint(fields=("user", "dedupe_key"), name="one_row_per_cause"),)
        indexes = (
            models.Index(fields=("user", "-created_at", "-id"), name="notifications_newest"),
            models.Index(fields=("user", "type"), condition=models.Q(is_read=False), name="notifications_unread"),
        )

    def __str__(self) -> str:
        return f"{self.type}: {self.title}"


class PushContent(models.TextChoices):
    """What a locked screen may show: the text, or only that there is something to read."""

    FULL = "full"
    PRIVATE = "private"


def default_reminder_times() -> list[time]:
    return [time(8)]


class NotificationSettings(models.Model):
    """What one person wants to hear of. The database makes the row with the user (migration 0002)."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="notification_settings",
    )
    reminder_enabled = models.BooleanField(default=True, db_default=True)
    reminder_times = ArrayField(models.TimeField(), default=default_reminder_times, db_default=["08:00"])
    reminder_skip_if_taken = models.BooleanField(default=True, db_default=True)
    low_battery_enabled = models.BooleanField(default=True, db_default=True)
    low_supplement_enabled = models.BooleanField(default=True, db_default=True)
    achievement_enabled = models.BooleanField(default=True, db_default=True)
    device_offline_enabled = models.BooleanField(default=True, db_default=True)
    dose_missed_enabled = models.BooleanField(default=True, db_default=True)
    refill_due_enabled = models.BooleanField(default=True, db_default=True)
    push_content = models.CharField(
        max_length=10, choices=PushContent, default=PushContent.FULL, db_default=PushContent.FULL
    )
    quiet_enabled = models.BooleanField(default=False, db_default=False)
    quiet_start = models.TimeField(default=time(22), db_default="22:00")
    quiet_end = models.TimeField(default=time(8), db_default="08:00")
    updated_at = models.DateTimeField(default=clock.now)
    # Null where there is none. Not in sync: it moves with every reminder.
    next_reminder_at = models.DateTimeField(null=True)
    # Set where times, zone or plans have changed, by triggers too (migration 0004): the next reminder is to be
    # looked for after this moment.
    replan_from = models.DateTimeField(null=True, db_default=Now())

    class Meta:
        db_table = "notification_settings"
        indexes = (
            models.Index(
                fields=("next_reminder_at",),
                condition=models.Q(next_reminder_at__isnull=False),
                name="reminders_due",
            ),
            models.Index(
                fields=("replan_from",), condition=models.Q(replan_from__isnull=False), name="reminders_unplanned"
            ),
        )

    def __str__(self) -> str:
        return f"settings of {self.user_id}"


class Platform(models.TextChoices):
    IOS = "ios"
    ANDROID = "android"


class Provider(models.TextChoices):
    FCM = "fcm"
    APNS = "apns"


class PushToken(models.Model):
    """One phone that can be reached, as its provider knows it.

    It belongs to the session that registered it last: a trigger (migration 0002) ends it with the session,
    whichever way that ends, so that nobody hears of a stranger's doses on a phone that was passed on.
    """

    class EndReason(models.TextChoices):
        SESSION_ENDED = "session_ended"
        REMOVED = "removed"
        # Another person has registered the same phone.
        MOVED = "moved"
        # The oldest of more phones than a person may have.
        TOO_MANY = "too_many"
        # What the provider said of it.
        UNREGISTERED = "unregistered"
        BAD_TOKEN = "bad_token"
        WRONG_SENDER = "wrong_sender"
        # Not registered again for so long that the provider has forgotten it too.
        STALE = "stale"

    id = models.UUIDField(primary_key=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="push_tokens")
    # Null when the session's row has been pruned: the phone itself may still be reached.
    session = models.ForeignKey(Session, on_delete=models.SET_NULL, null=True, related_name="+")
    provider = models.CharField(max_length=10, choices=Provider)
    platform = models.CharField(max_length=10, choices=Platform)
    token = models.TextField()
    token_hash = models.CharField(max_length=64)
    device_name = models.CharField(max_length=100, blank=True)
    # This phone reminds by itself.
    local_reminders = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    # When the app registered it last; a provider's word from before that is out of date.
    registered_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    end_reason = models.CharField(max_length=20, choices=EndReason, blank=True)

    class Meta:
        db_table = "push_tokens"
        constraints = (
            models.UniqueConstraint(
                fields=("provider", "token_hash"),
                condition=models.Q(ended_at=None),
                name="one_owner_per_phone",
            ),
        )
        indexes = (models.Index(fields=("user",), condition=models.Q(ended_at=None), name="push_tokens_living"),)

    def __str__(self) -> str:
        return f"{self.device_name or self.platform} of {self.user_id}"

    @property
    def masked(self) -> str:
        """Enough to tell two phones apart, too little to send to one."""
        return f"…{self.token[-6:]}"


class PushDelivery(models.Model):
    """One notification on its way to one phone, or why it is not: the outbox and its ledger.

    Written in the transaction of the cause. A worker takes a row by moving `next_attempt_at` behind its
    lease; one that dies leaves the row to the next, which sends under the same id.
    """

    class Status(models.TextChoices):
        QUEUED = "queued"
        SENDING = "sending"
        SENT = "sent"
        SUPPRESSED = "suppressed"
        EXPIRED = "expired"
        FAILED = "failed"

    class Reason(models.TextChoices):
        # Why it is late.
        QUIET_HOURS = "quiet_hours"
        RETRYING = "retrying"
        PROVIDER_DOWN = "provider_down"
        # Why it was never sent.
        PUSH_DISABLED = "push_disabled"
        TYPE_DISABLED = "type_disabled"
        COOL_DOWN = "cool_down"
        NO_PHONE = "no_phone"
        LOCAL_REMINDER = "local_reminder"
        DOSE_TAKEN = "dose_taken"
        PLAN_PAUSED = "plan_paused"
        ALREADY_READ = "already_read"
        DELETED = "deleted"
        PHONE_ENDED = "phone_ended"
        TOO_LATE = "too_late"
        # Why it failed.
        PHONE_GONE = "phone_gone"
        REJECTED = "rejected"
        GAVE_UP = "gave_up"
        NOT_CONFIGURED = "not_configured"

    id = models.UUIDField(primary_key=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, db_index=False, related_name="+")
    # Without a foreign key: the ledger outlives what its reader has deleted. Null where there is no row.
    notification_id = models.UUIDField(null=True)
    phone = models.ForeignKey(PushToken, on_delete=models.CASCADE, null=True, related_name="deliveries")
    kind = models.CharField(max_length=50)
    status = models.CharField(max_length=10, choices=Status)
    reason = models.CharField(max_length=20, choices=Reason, blank=True)
    # What the provider said last.
    detail = models.CharField(max_length=200, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()
    next_attempt_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "push_deliveries"
        constraints = (
            models.UniqueConstraint(fields=("notification_id", "phone"), name="one_delivery_per_phone"),
        )
        indexes = (
            models.Index(
                fields=("next_attempt_at",),
                condition=models.Q(status__in=("queued", "sending")),
                name="push_deliveries_due",
            ),
            models.Index(fields=("user", "-created_at"), name="push_deliveries_of_user"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.status} {self.reason}".strip()


class PushRoute(models.Model):
    """Whether a provider takes our pushes to one platform: open after a refusal that concerns all of them."""

    name = models.CharField(max_length=20, primary_key=True)
    # In a row; 0 while all is well. After `open_until` one push tries whether it is over.
    failures = models.PositiveIntegerField(default=0)
    open_until = models.DateTimeField()
    detail = models.CharField(max_length=200, blank=True)

    class Meta:
        db_table = "push_routes"

    def __str__(self) -> str:
        return f"{self.name}: {self.failures} failures"


class AlertKind(models.TextChoices):
    BATTERY = "battery"
    SUPPLEMENT = "supplement"
    OFFLINE = "offline"
    MISSED = "missed"


class AlertState(models.Model):
    """Where the alert of one kind and device stands, so that one low level is told once."""

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="alert_states")
    kind = models.CharField(max_length=20, choices=AlertKind)
    # None while armed, else how far the open episode has gone.
    severity = models.CharField(max_length=10, null=True)  # noqa: DJ001  (None is a state)
    episodes = models.PositiveIntegerField(default=0)
    # When a push said so last; until a day has passed the next one of that severity is held back.
    low_told_at = models.DateTimeField(null=True)
    critical_told_at = models.DateTimeField(null=True)
    # Supplement: the level after the last refill, since when it falls, and whether its end was told.
    full_level = models.PositiveSmallIntegerField(null=True)
    full_at = models.DateTimeField(null=True)
    refill_told_at = models.DateTimeField(null=True)
    # Offline: the last contact before the silence; `episodes` counts how often that silence was told.
    # Missed: until when the windows of the plan have been looked at.
    since = models.DateTimeField(null=True)
    # When a job has to look again; null where none has to.
    next_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "alert_states"
        constraints = (models.UniqueConstraint(fields=("device", "kind"), name="one_alert_per_kind"),)
        indexes = (
            models.Index(
                fields=("kind", "next_at"), condition=models.Q(next_at__isnull=False), name="alert_states_due"
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} of {self.device_id}: {self.severity or 'armed'}"


class IntakeDay(models.Model):
    """How many doses a person took on one local day: what streaks are made of.

    Kept by a trigger on the log (telemetry, migration of intake), so that it is right whichever way a dose is
    reported, corrected or deleted.
    """

    pk = models.CompositePrimaryKey("user_id", "local_date")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, db_index=False, related_name="+")
    local_date = models.DateField()
    # Confirmed, assumed, or taken by hand (api.md 6).
    taken = models.IntegerField(db_default=0)
    # Poured or not, nobody knows: a day of these neither adds to a streak nor breaks it.
    unknown = models.IntegerField(db_default=0)
    # Of those taken, how many achievements have not looked at yet.
    unseen = models.IntegerField(db_default=0)

    class Meta:
        db_table = "intake_days"
        indexes = (models.Index(fields=("user",), condition=models.Q(unseen__gt=0), name="intake_days_unseen"),)

    def __str__(self) -> str:
        return f"{self.user_id} {self.local_date}: {self.taken}"
