"""A push on demand, so that a person, or support, can see whether a phone is reached (api.md 7)."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy

from notifications import phones, policy
from notifications.models import NotificationSettings, PushDelivery
from notifications.policy import TEST
from notifications.telling import deliver, delivery
from zinzino.api.errors import ApiError, NotFound, NotOwner, RateLimitExceeded

HOUR = timedelta(hours=1)
TRIALS_AN_HOUR = 3


class NoPhone(ApiError):
    status_code = 409
    code = "DEVICE_NOT_CONNECTED"
    reason = "device_offline"
    message = gettext_lazy("No phone is registered for notifications.")


class TooManyTrials(RateLimitExceeded):
    message = gettext_lazy("Too many test notifications. Please try again later.")


@transaction.atomic
def send_test(user_id: UUID, *, now: datetime) -> list[dict[str, Any]]:
    """Queue a push to each phone of the person, whatever they switched off. Raises NoPhone, TooManyTrials."""
    NotificationSettings.objects.select_for_update().get(user_id=user_id)
    reached = list(phones.of(user_id))
    if not reached:
        raise NoPhone
    refuse_many(user_id, now=now)
    at_once = policy.Decision(PushDelivery.Status.QUEUED, "", now, now + policy.USEFUL_FOR[TEST])
    made = [delivery(user_id, TEST, at_once, phone_id=phone.pk, now=now) for phone in reached]
    deliver(made)
    return made


def refuse_many(user_id: UUID, *, now: datetime) -> None:
    recent = PushDelivery.objects.filter(user_id=user_id, kind=TEST, created_at__gt=now - HOUR)
    times = sorted(set(recent.values_list("created_at", flat=True)))
    if len(times) >= TRIALS_AN_HOUR:
        raise TooManyTrials(retry_after=int((times[-TRIALS_AN_HOUR] + HOUR - now).total_seconds()) + 1)


def owned(delivery_id: UUID, user_id: UUID) -> PushDelivery:
    """Raises NotFound, NotOwner."""
    found = PushDelivery.objects.filter(pk=delivery_id).first()
    if found is None:
        raise NotFound
    if found.user_id != user_id:
        raise NotOwner
    return found
