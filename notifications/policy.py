"""Whether a phone is told of a notification, and when (api.md 7). Pure.

The row in the app is made at once whatever is decided here; only the push waits or is left out.
"""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from notifications.models import NotificationType, PushDelivery

Reason = PushDelivery.Reason
Status = PushDelivery.Status

# The columns that switch a type off; those without one are always on.
SWITCHES = {
    NotificationType.REMINDER: "reminder_enabled",
    NotificationType.LOW_BATTERY: "low_battery_enabled",
    NotificationType.LOW_SUPPLEMENT: "low_supplement_enabled",
    NotificationType.ACHIEVEMENT: "achievement_enabled",
    NotificationType.DEVICE_OFFLINE: "device_offline_enabled",
    NotificationType.DOSE_MISSED: "dose_missed_enabled",
    NotificationType.REFILL_DUE: "refill_due_enabled",
}

TEST, CHANGES = "test", "changes"
# After that a push says nothing that is still of use.
USEFUL_FOR = {
    NotificationType.REMINDER: timedelta(hours=2),
    NotificationType.DOSE_FAILED: timedelta(hours=12),
    NotificationType.DOSE_MISSED: timedelta(hours=12),
    NotificationType.SECURITY: timedelta(days=7),
    TEST: timedelta(minutes=10),
    CHANGES: timedelta(hours=1),
}
USEFUL = timedelta(hours=24)

# These come at the hour that their reader chose, or must not wait for the morning.
AT_ANY_HOUR = {NotificationType.REMINDER, NotificationType.DOSE_WARNING, NotificationType.SECURITY}
CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Phone:
    id: UUID
    local_reminders: bool


@dataclass(frozen=True, slots=True)
class Audience:
    """One person, as far as it matters for telling them something."""

    user_id: UUID
    language: str
    timezone: str
    push_enabled: bool
    quiet_enabled: bool
    quiet_start: time
    quiet_end: time
    switched_off: frozenset[str]
    phones: tuple[Phone, ...]

    def wants(self, kind: str) -> bool:
        return kind not in self.switched_off


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one push: queued for `due_at`, or suppressed; `reason` says why it is late or left out."""

    status: PushDelivery.Status
    reason: str
    due_at: datetime
    expires_at: datetime


def decided(
    kind: str,
    audience: Audience,
    phone: Phone | None,
    *,
    now: datetime,
    severity: str | None = None,
    held_back: PushDelivery.Reason | None = None,
    spread: timedelta = timedelta(),
) -> Decision:
    """`held_back`: why its cause wants no push. `spread`: over how long the reminders of a minute go out."""
    suppressed = why_not(kind, audience, phone, held_back)
    if suppressed:
        return Decision(Status.SUPPRESSED, suppressed, now, now)
    due, late = now, ""
    if kind == NotificationType.REMINDER:
        due = now + share_of(audience.user_id, spread)
    elif kind not in AT_ANY_HOUR and severity != CRITICAL and (end := quiet_until(audience, now)):
        due, late = end, Reason.QUIET_HOURS
    return Decision(Status.QUEUED, late, due, due + USEFUL_FOR.get(kind, USEFUL))


def switched_off(now: datetime) -> Decision:
    """For the ledger: there is no row in the app either (api.md 3)."""
    return Decision(Status.SUPPRESSED, Reason.TYPE_DISABLED, now, now)


def why_not(
    kind: str, audience: Audience, phone: Phone | None, held_back: PushDelivery.Reason | None
) -> PushDelivery.Reason | None:
    if not audience.push_enabled:
        return Reason.PUSH_DISABLED
    if phone is None:
        return Reason.NO_PHONE
    if kind == NotificationType.REMINDER and phone.local_reminders:
        return Reason.LOCAL_REMINDER
    return held_back


def quiet_until(audience: Audience, now: datetime) -> datetime | None:
    """When the quiet hours end that hold at `now`; None outside of them. They may reach over midnight."""
    if not audience.quiet_enabled:
        return None
    zone = ZoneInfo(audience.timezone)
    wall = now.astimezone(zone).time()
    start, end = audience.quiet_start, audience.quiet_end
    is_quiet = start <= wall < end if start < end else wall >= start or wall < end
    if not is_quiet:
        return None
    day = now.astimezone(zone).date()
    ends = (datetime.combine(day + timedelta(days=days), end, zone).astimezone(now.tzinfo) for days in range(3))
    return next(moment for moment in ends if moment > now)


def share_of(user_id: UUID, spread: timedelta) -> timedelta:
    """Always the same for one person, evenly spread over all: everybody's first choice is 08:00."""
    seconds = int(spread.total_seconds())
    return timedelta(seconds=user_id.int % seconds) if seconds else timedelta()
