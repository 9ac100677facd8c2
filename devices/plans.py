"""Dose plans: how much of which supplement, and how often (api.md 3, iot.md 5). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

# Doses of one family count against each other, whichever dispenser or hand they come from.
OMEGA, VITAMIN_D = "omega", "vitamin_d"
FAMILIES = {"fish_oil": OMEGA, "krill_oil": OMEGA, "vegan": OMEGA, "vitamin_d": VITAMIN_D}

DEFAULT_DOSES = {
    "fish_oil": (Decimal(5), "ml"),
    "vitamin_d": (Decimal(1000), "IU"),
    "krill_oil": (Decimal(3), "ml"),
    "vegan": (Decimal(5), "ml"),
}
MICROLITRES_PER_ML = 1000


def members(family: str) -> list[str]:
    """The device types whose doses count against each other."""
    return [device_type for device_type, of in FAMILIES.items() if of == family]


def family_of(device_type: str) -> str:
    return FAMILIES[device_type]


@dataclass(frozen=True, slots=True)
class Plan:
    """The rules that one dispenser pours by, in its own time zone."""

    version: int
    amount: Decimal
    unit: str
    target_per_day: int
    max_per_day: int
    min_interval: timedelta
    rolling: timedelta
    paused_until: datetime | None
    timezone: str

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def local_date(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()

    @property
    def dose_text(self) -> str:
        """`5ml`, `1000IU`: the form of `dispense_amount` (api.md 4)."""
        return dose_text(self.amount, self.unit)

    @property
    def volume_ul(self) -> int | None:
        return int(self.amount * MICROLITRES_PER_ML) if self.unit == "ml" else None


def dose_text(amount: Decimal, unit: str) -> str:
    return f"{amount.normalize():f}{unit}"


def default_plan(device_type: str) -> dict[str, Any]:
    """What a newly registered dispenser pours by: one dose a day, with room for a second."""
    amount, unit = DEFAULT_DOSES[device_type]
    return {
        "dose": {"amount": int(amount), "unit": unit},
        "target_per_day": 1,
        "max_per_day": 1 if device_type == "vitamin_d" else 2,
        "min_interval_min": 240,
        "rolling_hours": 20,
        "slots": [],
        "paused_until": None,
    }


def plan_of(stored: Mapping[str, Any], *, version: int, timezone: str) -> Plan:
    paused = stored["paused_until"]
    return Plan(
        version=version,
        amount=Decimal(str(stored["dose"]["amount"])),
        unit=stored["dose"]["unit"],
        target_per_day=stored["target_per_day"],
        max_per_day=stored["max_per_day"],
        min_interval=timedelta(minutes=stored["min_interval_min"]),
        rolling=timedelta(hours=stored["rolling_hours"]),
        paused_until=datetime.fromisoformat(paused) if paused else None,
        timezone=timezone,
    )
