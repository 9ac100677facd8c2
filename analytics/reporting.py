"""The adherence report of one person, from what the roll-ups hold."""

from datetime import date
from uuid import UUID

from analytics import sql
from analytics.adherence_report import worded
from analytics.course import Span, course
from analytics.documents import Document


def adherence_report(
    user_id: UUID, *, asked: Span, today: date, zone: str, device_id: UUID | None = None
) -> Document:
    """In the language of the moment; one statement."""
    history, hours, name = sql.report(
        user_id, first=asked.first, last=asked.last, today=today, zone=zone, device_id=device_id
    )
    return worded(
        course(history, first=asked.first),
        name=name,
        asked=asked,
        made_on=today,
        zone=zone,
        doses=sum(dose.total for dose in history.doses),
        hours=hours,
    )
