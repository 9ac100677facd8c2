"""From a cause to rows: the notification in the app, and one delivery for each phone (notifications.md B1).

All in the transaction of the cause, so that neither can happen without the other. However many people are
told, it takes three statements.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from notifications import policy, sql, texts
from notifications.models import NotificationType, PushDelivery
from notifications.policy import Audience
from zinzino.ids import uuid7
from zinzino.wakeup import wake

LINKS = {
    NotificationType.REMINDER: "zinzino://doses",
    NotificationType.ACHIEVEMENT: "zinzino://achievements",
    NotificationType.SECURITY: "zinzino://security",
}


@dataclass(frozen=True, slots=True)
class Telling:
    """Something that one person shall hear of once: the same `cause` again makes no second row."""

    user_id: UUID
    kind: NotificationType
    cause: str
    # One of texts.TEXTS, the kind itself unless it has several; and what the text speaks of.
    text: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    device_id: UUID | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    # Why its cause wants no push.
    held_back: PushDelivery.Reason | None = None

    @property
    def link(self) -> str:
        """Where in the app a tap leads."""
        return LINKS.get(self.kind) or (f"zinzino://devices/{self.device_id}" if self.device_id else "zinzino://")


def tell(telling: Telling, *, now: datetime) -> bool:
    """Whether a notification was made: its cause is new, and the person wants to hear of its kind."""
    return bool(tell_all([telling], now=now))


def tell_all(
    tellings: Sequence[Telling], *, now: datetime, audiences: Mapping[UUID, Audience] | None = None
) -> dict[UUID, Telling]:
    """Make what is new and wanted of it, and queue the pushes; answers what was made, by the ids of its rows.

    The people are locked against deletion, unless the caller has done so and brings the `audiences`, and
    written to in the order of their ids: at COMMIT their sync clocks are locked in that order.
    """
    if not tellings:
        return {}
    if audiences is None:
        audiences = sql.audiences({telling.user_id for telling in tellings})
    reached = [telling for telling in tellings if telling.user_id in audiences]
    wanted = [telling for telling in reached if audiences[telling.user_id].wants(telling.kind)]
    rows = {uuid7(now): telling for telling in sorted(wanted, key=lambda telling: telling.user_id)}
    made = sql.insert_notifications(
        [row_of(row_id, telling, audiences[telling.user_id].language) for row_id, telling in rows.items()], now=now
    )
    deliveries = [
        each
        for row_id in made
        for each in deliveries_of(row_id, rows[row_id], audiences[rows[row_id].user_id], now=now)
    ]
    refused = [
        delivery(telling.user_id, telling.kind, policy.switched_off(now), phone_id=None, now=now)
        for telling in reached
        if not audiences[telling.user_id].wants(telling.kind)
    ]
    deliver(deliveries + refused)
    return {row_id: rows[row_id] for row_id in made}


def row_of(row_id: UUID, telling: Telling, language: str) -> dict[str, Any]:
    title, message = texts.rendered(telling.text or telling.kind, language, **telling.facts)
    return {
        "id": row_id,
        "user_id": telling.user_id,
        "device_id": telling.device_id,
        "type": telling.kind,
        "title": title,
        "message": message,
        "metadata": telling.metadata | {"link": telling.link},
        "dedupe_key": telling.cause,
    }


def deliveries_of(
    row_id: UUID, telling: Telling, audience: Audience, *, now: datetime
) -> Iterable[dict[str, Any]]:
    """One for each phone; one that says why, where there is none."""
    for phone in audience.phones or (None,):
        decision = policy.decided(
            telling.kind,
            audience,
            phone,
            now=now,
            severity=telling.metadata.get("severity"),
            held_back=telling.held_back,
            spread=timedelta(seconds=settings.REMINDER_SPREAD_S),
        )
        yield delivery(
            telling.user_id, telling.kind, decision, phone_id=phone.id if phone else None, row_id=row_id, now=now
        )


def delivery(
    user_id: UUID,
    kind: str,
    decision: policy.Decision,
    *,
    phone_id: UUID | None,
    now: datetime,
    row_id: UUID | None = None,
) -> dict[str, Any]:
    return {
        "id": uuid7(now),
        "user_id": user_id,
        "notification_id": row_id,
        "phone_id": phone_id,
        "kind": kind,
        "status": decision.status,
        "reason": decision.reason,
        "created_at": now,
        "next_attempt_at": decision.due_at,
        "expires_at": decision.expires_at,
    }


def deliver(deliveries: list[dict[str, Any]]) -> None:
    """Write deliveries into the outbox and wake a sender once they are committed."""
    sql.insert_deliveries(deliveries)
    if any(each["status"] == PushDelivery.Status.QUEUED for each in deliveries):
        transaction.on_commit(wake_sender)


def tell_of_changes(user_ids: Collection[UUID], *, now: datetime) -> None:
    """Wake the phones that remind by themselves: a plan, a time or a dose has changed."""
    soon = policy.Decision(PushDelivery.Status.QUEUED, "", now, now + policy.USEFUL_FOR[policy.CHANGES])
    deliver(
        [
            delivery(user_id, policy.CHANGES, soon, phone_id=phone_id, now=now)
            for user_id, phone_id in sql.phones_to_wake(user_ids)
        ]
    )


def wake_sender() -> None:
    from notifications.tasks import send_pushes

    wake(send_pushes)
