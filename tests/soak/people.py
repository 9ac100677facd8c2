"""Households for the soak: each with three dispensers, a phone that is signed in, and a reminder that comes."""

import hashlib
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from accounts import sessions
from accounts.models import User
from notifications.models import NotificationSettings, PushToken
from telemetry.simulation import fleet
from telemetry.simulation.fleet import Simulated
from zinzino import clock

EACH = len(fleet.TYPES)
ZONE = ZoneInfo("Europe/Istanbul")


@dataclass(slots=True)
class Household:
    user_id: str
    token: str
    devices: list[Simulated]
    last_sync: str
    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    # When the reminder is due; None for those whose plans are edited, which moves it.
    reminded_at: datetime | None = None


def make(people: int, *, now: datetime) -> list[Household]:
    made = fleet.make(people * EACH, now=now)
    owners = {user.pk: user for user in User.objects.filter(pk__in={each.user_id for each in made})}
    homes = []
    for first in range(0, len(made), EACH):
        devices = made[first : first + EACH]
        owner = owners[devices[0].user_id]
        token = sessions.open_session(owner, sessions.Client(platform="android"), now=now).access
        homes.append(Household(str(owner.pk), token, devices, clock.iso(now)))
    return homes


def remind(homes: list[Household], *, first: datetime, minutes: int) -> None:
    """Of these people, so many each minute; each has an Android phone."""
    first = first.replace(second=0, microsecond=0) + timedelta(minutes=1)
    for number, home in enumerate(homes):
        home.reminded_at = first + timedelta(minutes=number % minutes)
    PushToken.objects.bulk_create(phone(home, first) for home in homes)
    for minute in range(minutes):
        at = first + timedelta(minutes=minute)
        NotificationSettings.objects.filter(user_id__in=[home.user_id for home in homes[minute::minutes]]).update(
            reminder_times=[at.astimezone(ZONE).time()],
            reminder_skip_if_taken=False,
            next_reminder_at=at,
            replan_from=None,
        )


def phone(home: Household, now: datetime) -> PushToken:
    token = f"soak-{home.user_id}"
    return PushToken(
        id=uuid.uuid4(),
        user_id=home.user_id,
        provider="fcm",
        platform="android",
        token=token,
        token_hash=hashlib.sha256(token.encode()).hexdigest(),
        created_at=now,
        registered_at=now,
    )
