"""What stands in the outbox of pushes, for operators."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db.models import Count, Min, Q, QuerySet

from notifications import outbox
from notifications.models import PushDelivery, PushRoute
from notifications.outbox import CHUNK_ROWS, WAITING
from zinzino.ids import least_uuid7

Status, Reason = PushDelivery.Status, PushDelivery.Reason
# Nobody can mend these by sending again.
FOR_GOOD = (Reason.PHONE_GONE,)
AFTER_A_FAILURE = (Reason.RETRYING, Reason.PROVIDER_DOWN)


def standing(*, since: datetime) -> list[dict[str, Any]]:
    """Pushes that wait, and those made since then that failed or came too late, by status and reason."""
    # By push_deliveries_due, and by the primary key, which begins with the time.
    waiting = PushDelivery.objects.filter(status__in=WAITING)
    over = PushDelivery.objects.filter(pk__gte=least_uuid7(since), status__in=(Status.FAILED, Status.EXPIRED))
    heap = {"count": Count("pk"), "oldest_at": Min("created_at")}
    heaps: list[Any] = [
        *waiting.values("status", "reason").annotate(**heap, due_at=Min("next_attempt_at")),
        *over.values("status", "reason").annotate(**heap),
    ]
    return heaps


def retry(*, since: datetime, until: datetime, now: datetime, dry_run: bool) -> dict[str, int]:
    """What failed then and still is of use gets one more attempt; what waits after a failure is due at once.

    Breakers end their pause: one push tries first, the others follow if it passes.
    """
    made = PushDelivery.objects.filter(pk__gte=least_uuid7(since), pk__lt=least_uuid7(until))
    failed = made.filter(status=Status.FAILED)
    again = failed.filter(expires_at__gt=now, phone__ended_at=None).exclude(reason__in=FOR_GOOD)
    pausing = made.filter(status=Status.QUEUED, reason__in=AFTER_A_FAILURE, next_attempt_at__gt=now)
    facts = {"put_back": again.count(), "due_now": pausing.count(), "lost": failed.count() - again.count()}
    if not dry_run:
        PushRoute.objects.filter(open_until__gt=now).update(open_until=now)
        facts["put_back"] = changed(again, status=Status.QUEUED, reason=Reason.RETRYING, next_attempt_at=now)
        facts["due_now"] = changed(pausing, next_attempt_at=now)
    return facts


def changed(rows: QuerySet[PushDelivery], **values: Any) -> int:
    """In chunks so that no lock lasts; how many."""
    total = 0
    while ids := list(rows.order_by("pk").values_list("pk", flat=True)[:CHUNK_ROWS]):
        total += rows.filter(pk__in=ids).update(**values)
    return total


def drain(*, now: Callable[[], datetime], dry_run: bool) -> dict[str, int]:
    """Send what is due, for 40 s at most; how many we sent, and how many are left: due still, or waiting after
    a failure."""
    due = Q(status__in=WAITING, next_attempt_at__lte=now())
    if dry_run:
        return {"due": PushDelivery.objects.filter(due).count()}
    sent = outbox.drain(now=now)
    stuck = due | Q(status=Status.QUEUED, reason__in=AFTER_A_FAILURE)
    return {"sent": sent, "left": PushDelivery.objects.filter(stuck).count()}
