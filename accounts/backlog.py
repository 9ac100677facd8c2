"""What stands in the outbox of mails, for operators."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Min, Q

from accounts import mails
from accounts.models import Mail


def standing(*, since: datetime) -> list[dict[str, Any]]:
    """Mails that wait, and those written since then that were given up, by status and reason."""
    waiting = Mail.objects.filter(status=Mail.Status.PENDING)
    failed = Mail.objects.filter(status=Mail.Status.FAILED, created_at__gte=since)
    by_reason = {"reason": F("last_error"), "count": Count("pk"), "oldest_at": Min("created_at")}
    heaps: list[Any] = [
        *waiting.values("status").annotate(**by_reason, due_at=Min("next_attempt_at")),
        *failed.values("status").annotate(**by_reason),
    ]
    return heaps


def retry(*, since: datetime, until: datetime, now: datetime, dry_run: bool) -> dict[str, int]:
    """Mails that were written then and wait after a failure are due at once.

    Those that were given up have no words any more, since links are secrets: who missed one asks for another.
    """
    written = Mail.objects.filter(created_at__gte=since, created_at__lt=until)
    # What is being sent at this moment has a lease, and must not go out twice.
    pausing = written.filter(status=Mail.Status.PENDING, next_attempt_at__gt=now + mails.LEASE)
    hurried = pausing.count() if dry_run else pausing.update(next_attempt_at=now)
    return {"due_now": hurried, "lost": written.filter(status=Mail.Status.FAILED).count()}


def drain(*, now: Callable[[], datetime], dry_run: bool) -> dict[str, int]:
    """Send what is due; how many we sent, and how many are left: due still, or waiting after a failure."""
    moment, sent = now(), 0
    if dry_run:
        return {"due": mails.due(now=moment).count()}
    while mails.due(now=moment).exists():
        sent += mails.send_waiting(now=moment)
    stuck = Q(next_attempt_at__lte=moment) | ~Q(last_error="")
    return {"sent": sent, "left": Mail.objects.filter(stuck, status=Mail.Status.PENDING).count()}
