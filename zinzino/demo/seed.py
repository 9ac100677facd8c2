"""Demo data: two accounts, and a fortnight that two dispensers have lived through, told to the product's
own services with the clock of then."""

import json
import os
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction

from accounts import services as accounts
from accounts.models import User
from accounts.sessions import Client
from backoffice import roles
from devices import credentials
from devices import services as devices
from devices.credentials import DeviceCaller
from devices.models import Device, DeviceCredential
from notifications import services as notifications
from notifications.models import NotificationSettings
from telemetry import partitions, presence
from telemetry import services as telemetry
from telemetry.events import Reading
from zinzino.api.bearer import token_hash

STAFF, DEMO = "staff@example.com", "demo@example.com"
PASSWORD = "zinzino-demo"
# Two that start together must not both make the data.
LOCK_ID = 7_202_602
DAYS = 14
LIFTED_AFTER = timedelta(minutes=3)
# From adding the one dispenser to adding the other, which keeps the kitchen first in the list.
BETWEEN = timedelta(minutes=10)
KITCHEN_MISSED, KITCHEN_TWICE = 5, 9
BEDROOM_CHARGED = 8


@dataclass(frozen=True, slots=True)
class Seeded:
    """What was made, or with a dry run what would be; empty where all was there."""

    made: list[str]
    device_id: str | None
    file: Path


@dataclass(frozen=True, slots=True)
class Day:
    """What one dispenser lived through on one day: when the cup came, and the levels reported then."""

    cup_at: datetime | None
    battery: int
    supplement: int
    again_at: datetime | None = None


def seed(*, now: datetime, dry_run: bool = False) -> Seeded:
    """Make what is missing of the demo data, once, however many processes start at the same time."""
    if not dry_run:
        # Before the transaction: a table with rows that triggers still wait for takes no new partition.
        partitions.ensure(now=now - timedelta(days=DAYS))
        partitions.ensure(now=now)
    made = []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK_ID,))
        for email, make in ((STAFF, make_staff), (DEMO, make_household)):
            if not User.objects.filter(email=email).exists():
                made.append(email)
                if not dry_run:
                    make(now)
        device = first_device()
        file: Path = settings.DATA_DIR / "demo.json"
        if (device or DEMO in made) and not is_good(file, device):
            made.append(file.name)
            if device and not dry_run:
                write_secret(file, device_id=str(device.pk), device_token=credentials.issue(device.pk, now=now))
    return Seeded(made, str(device.pk) if device else None, file)


def make_staff(now: datetime) -> None:
    roles.set_up()
    User.objects.create_superuser(
        STAFF, PASSWORD, full_name="Zinzino Staff", is_verified=True, created_at=now, updated_at=now
    )


def make_household(now: datetime) -> None:
    """The account, its dispensers in the kitchen and the bedroom, and their fortnight up to yesterday: a
    cup that is placed today pours."""
    start = now - timedelta(days=DAYS)
    phone = Client(platform="ios", app_version="1.0.0", user_agent="Zinzino/1.0.0 (iPhone; iOS 18.1)")
    user = accounts.register(
        email=DEMO, password=PASSWORD, full_name="Ayşe Yılmaz", language="tr", client=phone, now=start
    ).user
    User.objects.filter(pk=user.pk).update(is_verified=True)
    kitchen = dispenser(user, "Mutfak Dispenseri", "fish_oil", "Mutfak", number=1, now=start)
    bedroom = dispenser(user, "Yatak Odası Dispenseri", "vitamin_d", "Yatak Odası", number=2, now=start + BETWEEN)
    zone = ZoneInfo(user.timezone)
    today = now.astimezone(zone).date()
    for day in range(DAYS):
        morning = today - timedelta(days=DAYS - day)
        live(kitchen, kitchen_day(day, morning, zone))
        live(bedroom, bedroom_day(day, morning, zone))
        if day == BEDROOM_CHARGED:
            notifications.mark_all_read(user.pk, now=at(morning, 10, 0, zone))
    newest = kitchen_day(DAYS - 1, today, zone)
    presence.report_status(kitchen.id, levels(newest, firmware_version="1.4.2"), now=now)
    # Those of the fortnight would be told as a fortnight late.
    NotificationSettings.objects.filter(user=user.pk).update(replan_from=now)


def dispenser(
    user: User, name: str, device_type: str, location: str, *, number: int, now: datetime
) -> DeviceCaller:
    device, _ = devices.enroll(
        user.pk,
        user.timezone,
        device_name=name,
        device_type=device_type,
        mac_address=f"02:5A:4E:5A:00:{number:02X}",
        serial_number=f"ZNZ-DEMO-{number:04d}",
        location=location,
        now=now,
    )
    return DeviceCaller(device.pk, user.pk, device_type)


def kitchen_day(day: int, morning: date, zone: ZoneInfo) -> Day:
    """Fish oil after breakfast: forgotten once, asked for twice once, and running low at the end."""
    cup_at = at(morning, 8, 5 + day * 7 % 25, zone)
    return Day(
        cup_at=None if day == KITCHEN_MISSED else cup_at,
        again_at=cup_at + timedelta(minutes=40) if day == KITCHEN_TWICE else None,
        battery=97 - day,
        supplement=59 - 3 * day,
    )


def bedroom_day(day: int, morning: date, zone: ZoneInfo) -> Day:
    """Vitamin D: every day, until the battery asks for its charger."""
    battery = 83 - 9 * day if day < BEDROOM_CHARGED else 100 - 2 * (day - BEDROOM_CHARGED)
    return Day(cup_at=at(morning, 9, 20 + day * 11 % 20, zone), battery=battery, supplement=88 - 2 * day)


def live(caller: DeviceCaller, day: Day) -> None:
    for cup_at in filter(None, (day.cup_at, day.again_at)):
        cup(caller, placed=True, sensor=104.5, now=cup_at)
        presence.report_status(caller.id, levels(day), now=cup_at + timedelta(minutes=2))
        cup(caller, placed=False, sensor=0.0, now=cup_at + LIFTED_AFTER)


def cup(caller: DeviceCaller, *, placed: bool, sensor: float, now: datetime) -> None:
    reading = Reading(cup_placed=placed, sensor_reading=sensor, timestamp=now)
    telemetry.report_state(caller, reading, now=now)


def levels(day: Day, **more: Any) -> presence.Status:
    return presence.Status(battery_level=day.battery, supplement_level=day.supplement, **more)


def at(day: date, hour: int, minute: int, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(hour, minute), zone)


def first_device() -> Device | None:
    return Device.objects.filter(user__email=DEMO).order_by("created_at").first()


def is_good(file: Path, device: Device | None) -> bool:
    """Whether the file names the device and a token of it that is alive: it may be of another database."""
    try:
        kept = json.loads(file.read_text())
        hashed = token_hash(kept["device_token"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False
    living = DeviceCredential.objects.filter(token_hash=hashed, ended_at=None)
    return device is not None and kept.get("device_id") == str(device.pk) and living.filter(device=device).exists()


def write_secret(file: Path, **values: str) -> None:
    """Written aside and moved: a reader sees the whole file, and nobody else sees it at all."""
    draft = file.with_suffix(f".{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(values) + "\n")
    draft.replace(file)
