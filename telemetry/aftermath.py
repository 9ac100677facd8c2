"""What people hear of a dose that has ended (api.md 7)."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from notifications import achievements
from notifications import services as notifications
from telemetry.models import Action
from telemetry.outcomes import Settlement


def of_report(
    user_id: UUID,
    device_id: UUID | None,
    dispense_id: UUID,
    result: Settlement,
    *,
    exceeded: Sequence[str] = (),
    now: datetime,
) -> None:
    """Part of the transaction that took the report. `exceeded`: limits that an unasked dose broke."""
    if result.action == Action.DOSE_FAILED and device_id:
        notifications.dose_failed(device_id, dispense_id, needs_answer=result.is_fault, now=now)
    if exceeded and device_id:
        notifications.dose_warning(device_id, dispense_id, exceeded, now=now)
    achievements.doses_changed(user_id, now=now)
