"""When a level is worth telling: hysteresis, so that one empty battery is one notification. Pure.

The rules are those of api.md 3: an episode opens at 20 % or below, once more at 10 % or below, and is
armed again at 25 % or above or by a jump of 20 points. A level that swings around a threshold makes rows,
but no second push within a day, unless it jumped in between.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

Severity = Literal["low", "critical"]

LOW = 20
CRITICAL = 10
ARMED_AGAIN = 25
JUMP = 20
COOL_DOWN = timedelta(hours=24)
# What was measured longer ago says nothing of now.
LATE_AFTER = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Episode:
    """`severity` is None while the alert is armed."""

    severity: Severity | None = None
    # How many episodes have opened; names the notification of each.
    number: int = 0
    low_told_at: datetime | None = None
    critical_told_at: datetime | None = None

    def cools(self, severity: Severity, *, now: datetime) -> bool:
        """Whether a push of that severity went out within the last day."""
        told_at = self.critical_told_at if severity == "critical" else self.low_told_at
        return told_at is not None and now - told_at < COOL_DOWN

    def told(self, severity: Severity, *, now: datetime) -> "Episode":
        if severity == "critical":
            return replace(self, critical_told_at=now)
        return replace(self, low_told_at=now)


def advanced(before: Episode, *, previous: int, level: int) -> tuple[Episode, Severity | None]:
    """The episode after a fresh sample, and the severity to tell of, if any."""
    if level - previous >= JUMP:
        before = replace(before, low_told_at=None, critical_told_at=None)
    if before.severity is None:
        if level > LOW:
            return before, None
        severity: Severity = "critical" if level <= CRITICAL else "low"
        return replace(before, severity=severity, number=before.number + 1), severity
    if level >= ARMED_AGAIN or level - previous >= JUMP:
        return replace(before, severity=None), None
    if before.severity == "low" and level <= CRITICAL:
        return replace(before, severity="critical"), "critical"
    return before, None


def is_late(sampled_at: datetime, *, newest: datetime | None, now: datetime) -> bool:
    """Whether a sample is too old to raise an alarm (api.md 3)."""
    return now - sampled_at > LATE_AFTER or (newest is not None and sampled_at < newest)
