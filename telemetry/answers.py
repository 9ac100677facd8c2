"""A person's word on a dose: what became of one that nobody confirmed, or that a failed one has been seen.

It never frees a limit (api.md 6). The locks: `telemetry.family`; then the dose.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy

from devices import plans
from notifications import achievements
from telemetry import log, sql
from telemetry.models import Action, ActivityLog, Confirmation, Dispense
from zinzino.api.errors import InvalidFields, SyncConflict

# What a dispenser has not said for certain.
UNSURE = (Confirmation.NONE, Confirmation.ASSUMED)


class NothingToAnswer(InvalidFields):
    """422: the line is no dose, or its dispenser has said how it went, or still may within its minute."""

    message = gettext_lazy("Only a dose that nobody confirmed, or one that failed, can be answered.")


class AnsweredOtherwise(SyncConflict):
    """409: the person has said the opposite before; `answered` is that first word, which stands."""

    reason = "conflict"
    message = gettext_lazy("This has been answered otherwise before.")


@transaction.atomic
def resolve(activity_id: UUID, user_id: UUID, outcome: Dispense.Outcome, *, now: datetime) -> None:
    """Take the person's word; the same word again changes nothing.

    Raises NotFound, NotOwner, NothingToAnswer, AnsweredOtherwise.
    """
    dose_id = log.own_line(activity_id, user_id).metadata.get("dispense_id")
    known = Dispense.objects.filter(pk=dose_id, user_id=user_id).first()
    if known is None:
        raise NothingToAnswer
    sql.lock_family(user_id, plans.members(known.family))
    dose = Dispense.objects.select_for_update().filter(pk=dose_id).first()
    line = log.own_line(activity_id, user_id)  # an entry by hand may have been deleted while we waited
    if dose is None:
        raise NothingToAnswer
    if dose.resolved_as not in (None, outcome):
        raise AnsweredOtherwise(answered=dose.resolved_as)
    if dose.resolved_as is None:
        answer(dose, line, outcome, now=now)
        achievements.doses_changed(user_id, now=now)


def answer(dose: Dispense, line: ActivityLog, outcome: Dispense.Outcome, *, now: datetime) -> None:
    failed = line.action == Action.DOSE_FAILED
    if not failed and line.confirmation not in UNSURE:
        raise NothingToAnswer
    seen: dict[str, Any] = {"acknowledged_at": dose.acknowledged_at or now} if failed else {}
    Dispense.objects.filter(pk=dose.pk).update(resolved_as=outcome, resolved_at=now, **seen)
    # That a dose failed is the dispenser's word, and stays so.
    ActivityLog.objects.filter(pk=line.pk, timestamp=line.timestamp).update(
        confirmation=line.confirmation if failed else Confirmation.USER,
        metadata={**line.metadata, "resolved_as": outcome},
    )
