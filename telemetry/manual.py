"""Writing one's own log: doses taken by hand, refills, notes (api.md 6).

A dose taken by hand counts for its supplement family like any other. Locks, always in this order: the rows of
all the person's dispensers by ascending id; the entry's key; then, at COMMIT, the person's sync clock. Each
function is part of the caller's transaction where there is one; a caller that changes dispensers in the same
transaction locks all of them first (`household.lock`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from devices.models import Device
from notifications import achievements
from notifications import services as notifications
from notifications.models import AlertKind
from telemetry import entries, entry_sql, household, log, presence
from telemetry.entries import Entry
from telemetry.entry_sql import Known, Written
from telemetry.household import Household, Supply
from telemetry.models import ActivityKey, ActivityLog, Confirmation, Dispense
from zinzino.api.errors import ApiError, DuplicateEntry, Forbidden, InvalidFields, NotFound
from zinzino.ids import uuid7


class EntryExists(DuplicateEntry):
    """409: this id names another entry. `owner` is `yours` or `other`."""

    message = gettext_lazy("Another entry has this id.")


class EntryDeleted(NotFound):
    """404: this entry was sent before, and has been deleted since."""

    message = gettext_lazy("This entry has been deleted.")


class NotByHand(Forbidden):
    """403: no person wrote this line."""

    reason = "not_editable"
    message = gettext_lazy("Only what you have written yourself can be changed.")


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry that is in the log; `created` is False where it was there before."""

    id: UUID
    created: bool


# ----------------------------------------------------------------------------------------- new entries


def create(user_id: UUID, *, timezone: str, now: datetime, **said: Any) -> Recorded:
    """Write one entry; `said` are the fields of an Entry. The same entry again changes nothing.

    Raises InvalidFields, DeviceNotFound, DeviceOfAnother, EntryExists, EntryDeleted.
    """
    [result] = record(user_id, [Entry(**said)], timezone=timezone, now=now)
    if isinstance(result, ApiError):
        raise result
    return result


@transaction.atomic
def record(user_id: UUID, said: Sequence[Entry], *, timezone: str, now: datetime) -> list[Recorded | ApiError]:
    """Write entries, each for itself; what became of each, in their order."""
    home = household.lock(user_id, timezone=timezone, named=[entry.device_id for entry in said])
    rows = [attempted(entry, home, now=now) for entry in said]
    # Of two under one id the first is written.
    fresh = {row.id: row for row in reversed(rows) if isinstance(row, Written)}
    created = entry_sql.insert(user_id, fresh.values()) if fresh else set()
    known = entry_sql.known(entry.id for entry in said if entry.id) if len(created) < len(said) else {}
    results: list[Recorded | ApiError] = []
    for entry, row in zip(said, rows, strict=True):
        if isinstance(row, Written) and row.id in created and fresh[row.id] is row:
            results.append(Recorded(row.id, created=True))
            follow(entry, at=row.timestamp, now=now)
        else:
            results.append(met(user_id, entry, row, known))
    if any(fresh[row_id].dispense_id for row_id in created):
        achievements.doses_changed(user_id, now=now)
    return results


def attempted(entry: Entry, home: Household, *, now: datetime) -> Written | ApiError:
    try:
        check(entry, now=now)
        at = min(entry.timestamp or now, now)
        supply = supply_of(entry, home)
        return line_of(entry, supply, id=entry.id or uuid7(at), at=at, local_date=home.local_date(entry, at))
    except ApiError as refusal:
        return refusal


def met(user_id: UUID, entry: Entry, row: Written | ApiError, known: Mapping[UUID, Known]) -> Recorded | ApiError:
    """A retry gets what became of the first, also where it would be refused by now."""
    kept = known.get(entry.id) if entry.id else None
    if kept and (kept.user_id, kept.fingerprint) == (user_id, entry.fingerprint):
        return Recorded(kept.id, created=False) if kept.is_there else EntryDeleted()
    if isinstance(row, ApiError):
        return row
    return EntryExists(**({"owner": "yours" if kept.user_id == user_id else "other"} if kept else {}))


def check(entry: Entry, *, now: datetime | None) -> None:
    """Raises InvalidFields. Without `now` any time is good."""
    found: dict[str, list[str]] = {}
    for name, message in entries.faults(entry):
        found.setdefault(name, []).append(message)
    if now and entry.timestamp and not entries.is_in_time(entry.timestamp, now=now):
        found["timestamp"] = [_("Must be at most 30 days back and 5 minutes ahead.")]
    if found:
        raise InvalidFields(**found)


def supply_of(entry: Entry, home: Household) -> Supply | None:
    if entry.device_id:
        home.dispenser(entry.device_id)
    return home.supply(entry) if entry.is_dose else None


def line_of(
    entry: Entry,
    supply: Supply | None,
    *,
    id: UUID,
    at: datetime,
    local_date: date,
    dispense_id: str | None = None,
) -> Written:
    """Raises InvalidFields where the unit does not fit the supplement."""
    line = Written(
        id=id,
        action=entry.action,
        device_id=entry.device_id,
        dose_amount=entry.dose_amount or (supply.dose_text if supply else None),
        confirmation=Confirmation.USER if entry.is_dose else None,
        local_date=local_date,
        metadata=dict(entry.metadata),
        timestamp=at,
        fingerprint=entry.fingerprint,
    )
    return counted(line, entry, supply, dispense_id or str(uuid4())) if supply else line


def counted(line: Written, entry: Entry, supply: Supply, dispense_id: str) -> Written:
    """The line of a dose that counts for its family."""
    amount, unit = entries.parsed_dose(line.dose_amount or "") or (None, None)
    if unit != supply.unit:
        raise InvalidFields(dose_amount=[_("Must be in %(unit)s for this supplement.") % {"unit": supply.unit}])
    names_supplement = {} if entry.device_id else {"supplement": entry.supplement}
    return replace(
        line,
        metadata={**line.metadata, **names_supplement, "dispense_id": dispense_id},
        dispense_id=UUID(dispense_id),
        family=supply.family,
        amount=amount,
        unit=unit,
        plan_version=supply.plan_version,
    )


def follow(entry: Entry, *, at: datetime, now: datetime) -> None:
    """A refill is the newest word on the level, unless the dispenser has spoken since (iot.md 5)."""
    device = Device.objects.filter(pk=entry.device_id).first() if entry.is_refill and entry.device_id else None
    if device is None or (device.levels_at and device.levels_at > at):
        return
    for kind in notifications.observe_levels(device, {AlertKind.SUPPLEMENT: entry.level}, now=now):
        presence.log_low_level(device, kind, now=now)
    Device.objects.filter(pk=device.pk).update(supplement_level=entry.level, levels_at=at, updated_at=now)


# -------------------------------------------------------------------------------- changing one's entries


@transaction.atomic
def edit(activity_id: UUID, user_id: UUID, *, timezone: str, now: datetime, **said: Any) -> None:
    """Change the given fields of an own entry; its dose changes along.

    Raises NotFound, NotOwner, NotByHand, InvalidFields, DeviceNotFound, DeviceOfAnother.
    """
    home = household.lock(user_id, timezone=timezone, named=[said.get("device_id")])
    line = own_entry(activity_id, user_id)
    before = entry_of(line)
    after = replace(before, **({"supplement": None} if said.get("device_id") else {}) | said)
    moved = after.timestamp != before.timestamp
    check(after, now=now if moved else None)
    elsewhere = (after.device_id, after.supplement) != (before.device_id, before.supplement)
    gone = not elsewhere and line.device_id is not None and line.device_id not in home.devices
    supply = former_supply(line) if gone else supply_of(after, home)
    at = min(after.timestamp or now, now)
    redated = moved or after.device_id != before.device_id
    local_date = home.local_date(after, at) if redated else line.local_date
    known_dose = line.metadata.get("dispense_id")
    rewrite(line, line_of(after, supply, id=line.id, at=at, local_date=local_date, dispense_id=known_dose))
    follow(after, at=at, now=now)
    achievements.doses_changed(user_id, now=now)


@transaction.atomic
def delete(activity_id: UUID, user_id: UUID, *, timezone: str) -> None:
    """Remove an own entry; its dose counts no more. Raises NotFound, NotOwner, NotByHand."""
    household.lock(user_id, timezone=timezone)
    line = own_entry(activity_id, user_id)
    doses_of(line).delete()
    ActivityLog.objects.filter(pk=line.pk, timestamp=line.timestamp).delete()


def own_entry(activity_id: UUID, user_id: UUID) -> ActivityLog:
    """An entry that this person wrote, its key locked. Raises NotFound, NotOwner, NotByHand."""
    key = ActivityKey.objects.select_for_update().filter(pk=activity_id).first()
    line = log.own_line(activity_id, user_id)
    if key is None:
        raise NotByHand
    return line


def entry_of(line: ActivityLog) -> Entry:
    """The entry as its author would send it today."""
    counts = "dispense_id" in line.metadata
    names_supplement = counts and line.device_id is None
    ours = ("dispense_id", "supplement") if names_supplement else ("dispense_id",)
    return Entry(
        action=line.action,
        id=line.id,
        device_id=line.device_id,
        supplement=line.metadata["supplement"] if names_supplement else None,
        dose_amount=line.dose_amount,
        timestamp=line.timestamp,
        metadata={name: value for name, value in line.metadata.items() if name not in ours},
    )


def doses_of(line: ActivityLog) -> Any:
    return Dispense.objects.filter(pk=line.metadata.get("dispense_id"), activity_id=line.id)


def former_supply(line: ActivityLog) -> Supply | None:
    """Of a dose from a dispenser that has been removed since."""
    dose = doses_of(line).first()
    return Supply(dose.family, dose.unit, line.dose_amount, dose.plan_version) if dose else None


def rewrite(line: ActivityLog, new: Written) -> None:
    if new.dispense_id:
        dose = {
            "user_id": line.user_id,
            "device_id": new.device_id,
            "family": new.family,
            "status": Dispense.Status.DISPENSED,
            "decided_by": Dispense.DecidedBy.PERSON,
            "amount": new.amount,
            "unit": new.unit,
            "plan_version": new.plan_version,
            "activity_id": line.id,
            **dict.fromkeys(("authorized_at", "expires_at", "finished_at"), new.timestamp),
        }
        Dispense.objects.update_or_create(pk=new.dispense_id, defaults=dose)
    else:
        doses_of(line).delete()
    ActivityKey.objects.filter(pk=line.pk).update(timestamp=new.timestamp)
    ActivityLog.objects.filter(pk=line.pk, timestamp=line.timestamp).update(
        device_id=new.device_id,
        dose_amount=new.dose_amount,
        local_date=new.local_date,
        metadata=new.metadata,
        timestamp=new.timestamp,
    )
