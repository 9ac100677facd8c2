"""When a level is worth telling: hysteresis, so that one empty battery is one notification. Pure.

The rules are those of api.md 3: an episode opens at 20 % or below, once more at 10 % or below, and is
armed again at 25 % or above or by a jump of 20 points.
"""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["low", "critical"]

LOW = 20
CRITICAL = 10
ARMED_AGAIN = 25
JUMP = 20


@dataclass(frozen=True, slots=True)
class Episode:
    """`severity` is None while the alert is armed."""

    severity: Severity | None = None
    # How many episodes have opened; names the notification of each.
    number: int = 0


def advanced(before: Episode, *, previous: int, level: int) -> tuple[Episode, Severity | None]:
    """The episode after a fresh sample, and the severity to tell of, if any."""
    if before.severity is None:
        if level > LOW:
            return before, None
        severity: Severity = "critical" if level <= CRITICAL else "low"
        return Episode(severity, before.number + 1), severity
    if level >= ARMED_AGAIN or level - previous >= JUMP:
        return Episode(None, before.number), None
    if before.severity == "low" and level <= CRITICAL:
        return Episode("critical", before.number), "critical"
    return before, None
