"""What people write into their own log, and what it may say (api.md 6). Pure."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from telemetry.models import Action

ACTIONS = (Action.DOSE_TAKEN_MANUAL, Action.REFILL, Action.NOTE)
AHEAD_TOLERATED, BACK_TOLERATED = timedelta(minutes=5), timedelta(days=30)
# Ours to write; the API shows them beside what the client sent.
RESERVED = ("triggered_by", "severity", "dispense_id", "confirmation")
MAX_METADATA_BYTES = 2048
FULL_PERCENT = 100
# The form of `dispense_amount` (api.md 4), within what a dose column holds.
DOSE = re.compile(r"(\d{1,7}(?:\.\d{1,3})?)(ml|IU|capsule|drop)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as its author sends it; None where nothing is said."""

    action: str
    # Made by the client; it becomes the id of the line.
    id: UUID | None = None
    device_id: UUID | None = None
    # The device type whose supplement was taken, where no device is named.
    supplement: str | None = None
    dose_amount: str | None = None
    timestamp: datetime | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_dose(self) -> bool:
        return self.action == Action.DOSE_TAKEN_MANUAL

    @property
    def is_refill(self) -> bool:
        return self.action == Action.REFILL

    @property
    def level(self) -> int:
        """Of a refill, in percent."""
        return int(self.metadata.get("level", FULL_PERCENT))

    @property
    def fingerprint(self) -> str:
        """The same for the same entry sent again, whatever has become of it since."""
        said = {name: value for name, value in asdict(self).items() if name != "id" and value}
        return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


def faults(entry: Entry) -> Iterator[tuple[str, str]]:
    """What an entry may not say, by field; the database is not asked."""
    if not entry.is_dose:
        for name in ("dose_amount", "supplement"):
            if getattr(entry, name) is not None:
                yield name, _("Only a dose has this.")
    if entry.is_refill:
        level = entry.metadata.get("level", FULL_PERCENT)
        if entry.device_id is None:
            yield "device_id", _("This field is required.")
        if isinstance(level, bool) or not isinstance(level, int) or not 0 <= level <= FULL_PERCENT:
            yield "metadata.level", _("Must be a whole number from 0 to 100.")
    for name in RESERVED:
        if name in entry.metadata:
            yield f"metadata.{name}", _("This name is reserved.")


def is_in_time(claimed: datetime, *, now: datetime) -> bool:
    return now - BACK_TOLERATED <= claimed <= now + AHEAD_TOLERATED


def parsed_dose(text: str) -> tuple[Decimal, str] | None:
    """Amount and unit of `5ml`, `1000IU`; None for anything else, and for nothing at all."""
    found = DOSE.fullmatch(text)
    return (Decimal(found[1]), found[2]) if found and Decimal(found[1]) else None
