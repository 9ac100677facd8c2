"""Taking what dispensers have kept in their journals: many events of many dispensers at once, each of them
once, whatever is repeated, split or out of order (iot.md 2).

Nothing is decided here. Locks, in this order: the rows of the dispensers by ascending id; at the end the sync
clocks of their people by ascending id.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from django.db import DataError, IntegrityError, transaction

from devices.credentials import DeviceCaller
from devices.models import Device
from notifications import services as notifications
from notifications.models import AlertKind
from telemetry import acks, family, ingest, journal_sql, presence
from telemetry.envelopes import Batch, Rejected
from telemetry.events import JournalEvent, Sent
from telemetry.presence import shown_at, silent_at
from telemetry.sql import LockedDevice
from telemetry.tally import Happened, Levels, Tally, tallied
from zinzino import metrics
from zinzino.api.errors import ApiError, NotOwner, Unauthorized
from zinzino.ids import uuid7


class Upload(msgspec.Struct, frozen=True):
    """One envelope of one dispenser."""

    device_id: UUID
    batch: Batch


@dataclass(slots=True)
class Receipt:
    """What became of one envelope; `acked` is (boot, number) up to which the dispenser may forget."""

    accepted: int = 0
    duplicates: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    acked: tuple[int, int] | None = None


def take(uploads: Sequence[Upload], *, now: datetime) -> list[Receipt | None]:
    """Take all that is new, in one transaction; a receipt for each upload, None where the dispenser is gone.

    An event that the database refuses becomes a dead letter; those around it are taken.
    """
    try:
        with transaction.atomic():
            return take_together(uploads, now=now)
    except (DataError, IntegrityError) as error:
        if len(uploads) > 1:
            middle = len(uploads) // 2
            return take(uploads[:middle], now=now) + take(uploads[middle:], now=now)
        return [take_in_halves(uploads[0], error, now=now)]


def take_in_halves(upload: Upload, error: Exception, *, now: datetime) -> Receipt | None:
    """Find the event that the database refuses. Raises `error` where it is none of the events."""
    batch, middle = upload.batch, len(upload.batch.events) // 2
    if not batch.events:
        raise error
    if middle == 0:
        bad = refusal(batch.events[0], "UNSTORABLE", "The database refuses it.")
        parts = [Batch([], [*batch.rejected, bad], batch.sent, batch.first)]
    else:
        parts = [
            Batch(batch.events[:middle], batch.rejected, batch.sent, batch.first),
            Batch(batch.events[middle:], [], batch.sent, batch.first),
        ]
    return merged([take([Upload(upload.device_id, part)], now=now)[0] for part in parts])


def merged(receipts: Sequence[Receipt | None]) -> Receipt | None:
    total = Receipt()
    for each in receipts:
        if each is None:
            return None
        total.accepted += each.accepted
        total.duplicates += each.duplicates
        total.rejected += each.rejected
        total.acked = max(filter(None, (total.acked, each.acked)), default=None)
    return total


def take_unsynced(
    caller: DeviceCaller, events: Sequence[JournalEvent], sent: Sent, *, now: datetime
) -> LockedDevice:
    """What a dispenser says before it asks for a dose; answers it as it then is. Raises NotOwner, Unauthorized.

    What is left in it of a former owner is put aside, or it would never pour for the new one.
    """
    (receipt,) = take_together([Upload(caller.id, Batch(list(events), [], sent))], now=now)
    if receipt is None:
        raise Unauthorized
    if any(bad.code != ingest.OfFormerRegistration.code for bad in receipt.rejected):
        raise NotOwner
    return family.lock(caller)


def take_together(uploads: Sequence[Upload], *, now: datetime) -> list[Receipt | None]:
    dosing = {each.device_id for each in uploads if any(event.kind == "dose" for event in each.batch.events)}
    devices = journal_sql.lock({each.device_id for each in uploads}, dosing=dosing)
    known = [each for each in uploads if each.device_id in devices]
    new = new_events(known, now=now)
    fresh = {id(event) for events in new.values() for event, _ in events.values()}
    receipts = {id(each): receipt_of(each, fresh) for each in known}
    tallies = [tallied(devices[device_id], list(new[device_id].values()), now=now) for device_id in in_order(new)]
    store(tallies, now=now)
    refused = take_doses(tallies, now=now)
    for each in known:
        reject(receipts[id(each)], each, refused)
    keep_rejected(known, receipts, now=now)
    acknowledge(known, receipts, now=now)
    owners = {devices[each.device_id].user_id for each in known}
    journal_sql.report(owners, [change for tally in tallies for change in tally.synced])
    transaction.on_commit(partial(count, list(receipts.values())))
    return [receipts.get(id(each)) for each in uploads]


def count(receipts: Sequence[Receipt]) -> None:
    metrics.JOURNAL_EVENTS.labels("accepted").inc(sum(each.accepted for each in receipts))
    metrics.JOURNAL_EVENTS.labels("duplicate").inc(sum(each.duplicates for each in receipts))
    metrics.JOURNAL_EVENTS.labels("rejected").inc(sum(len(each.rejected) for each in receipts))


New = dict[UUID, dict[UUID, tuple[JournalEvent, Sent]]]


def new_events(uploads: Sequence[Upload], *, now: datetime) -> New:
    """The events that nobody has heard of, by dispenser and id, each as it was first sent."""
    by_device: New = {}
    for upload in uploads:
        events, sent = by_device.setdefault(upload.device_id, {}), upload.batch.sent
        for event in upload.batch.events:
            if event.id not in events:
                events[event.id] = event, sent
    keys = [(device_id, event_id) for device_id in in_order(by_device) for event_id in by_device[device_id]]
    for device_id, event_id in journal_sql.take_keys(keys, now=now):
        del by_device[device_id][event_id]
    return by_device


def in_order(ids: Iterable[UUID]) -> list[UUID]:
    """As PostgreSQL orders them; to let ids compare themselves takes ten times as long."""
    return sorted(ids, key=attrgetter("int"))


def receipt_of(upload: Upload, new: set[int]) -> Receipt:
    """`new`: by identity, because the same event may stand in several envelopes."""
    accepted = sum(id(event) in new for event in upload.batch.events)
    return Receipt(accepted, len(upload.batch.events) - accepted, list(upload.batch.rejected))


def store(tallies: Sequence[Tally], *, now: datetime) -> None:
    for statement, name in (
        (journal_sql.STORE_STATES, "states"),
        (journal_sql.STORE_SAMPLES, "samples"),
        (journal_sql.STORE_REPORTS, "reports"),
    ):
        journal_sql.store(statement, [row for tally in tallies for row in getattr(tally, name)], now=now)
    journal_sql.store_refills([refill_row(tally, each) for tally in tallies for each in tally.refills])
    observe_levels(tallies, now=now)
    if tallies:
        journal_sql.apply([applied(tally, now) for tally in tallies], now=now, silent_at=silent_at(now))


def applied(tally: Tally, now: datetime) -> journal_sql.Applied:
    cup = tally.cup
    return journal_sql.Applied(
        tally.device.id,
        cup.placed,
        cup.sensor_reading,
        cup.changed_at,
        cup.newest_event_at,
        cup.removed_at,
        len(tally.states),
        *tally.newest_levels,
        shown_at(tally.device.last_seen, now),
        tally.events,
    )


def refill_row(tally: Tally, happened: Happened) -> tuple[Any, ...]:
    device, at = tally.device, happened.at
    metadata = {name: value for name, value in happened.event.data.items() if value is not None}
    local_date = at.astimezone(ZoneInfo(device.timezone)).date()
    return uuid7(at), device.user_id, device.id, local_date, journal_sql.json_of(metadata), at


def observe_levels(tallies: Sequence[Tally], *, now: datetime) -> None:
    """Tell of low levels. Of most dispensers there is nothing to tell, and nothing is asked."""
    reporting = {tally.device.id: tally for tally in tallies if tally.levels}
    watched = notifications.watched(reporting, now=now) if reporting else set()
    telling = [
        device_id
        for device_id, tally in reporting.items()
        if device_id in watched
        or notifications.matters([(each.battery, each.supplement) for each in tally.levels], before=tally.device)
    ]
    for device in Device.objects.filter(pk__in=telling).order_by("user_id", "pk"):
        is_watched = device.pk in watched
        for levels in reporting[device.pk].levels:
            # As if each had come alone.
            if is_watched or notifications.matters([(levels.battery, levels.supplement)], before=device):
                observe(device, levels, now=now)
                is_watched = bool(notifications.watched([device.pk], now=now))
            keep(device, levels)


def observe(device: Device, levels: Levels, *, now: datetime) -> None:
    said = {AlertKind.BATTERY: levels.battery, AlertKind.SUPPLEMENT: levels.supplement}
    known = {kind: level for kind, level in said.items() if level is not None}
    for kind in notifications.observe_levels(device, known, now=now, sampled_at=levels.at):
        presence.log_low_level(device, kind, now=now)


def keep(device: Device, levels: Levels) -> None:
    """What the next sample is compared with."""
    if device.levels_at is None or levels.at >= device.levels_at:
        device.battery_level = device.battery_level if levels.battery is None else levels.battery
        device.supplement_level = device.supplement_level if levels.supplement is None else levels.supplement
        device.levels_at = levels.at


def take_doses(tallies: Sequence[Tally], *, now: datetime) -> dict[int, Rejected]:
    """One after the other, the oldest first: each counts for those after it. Answers what is refused, by event."""
    refused = {}
    # By people: their days of intake are locked in this order, whichever of their dispensers report.
    dosing = [tally for tally in tallies if tally.doses]
    for tally in sorted(dosing, key=lambda each: (each.device.user_id, each.device.id)):
        for each in tally.doses:
            try:
                ingest.dose(tally.device, each.event.data, each.at, each.quality, now)
            except ApiError as error:
                refused[id(each.event)] = refusal(each.event, error.code, str(error.detail))
    return refused


def refusal(event: JournalEvent, code: str, message: str) -> Rejected:
    raw = {"id": event.id, "boot": event.boot, "seq": event.seq, "k": event.kind, "d": event.data}
    return Rejected(raw, code, message, event.id, event.boot, event.seq)


def reject(receipt: Receipt, upload: Upload, refused: dict[int, Rejected]) -> None:
    found = [refused[id(event)] for event in upload.batch.events if id(event) in refused]
    receipt.rejected += found
    receipt.accepted -= len(found)


def keep_rejected(uploads: Sequence[Upload], receipts: dict[int, Receipt], *, now: datetime) -> None:
    rows = [
        dead_letter(upload.device_id, bad, now=now) for upload in uploads for bad in receipts[id(upload)].rejected
    ]
    journal_sql.keep_dead_letters(rows, now=now)


def put_aside(device_id: UUID, said: Mapping[str, Any], why: ApiError, *, now: datetime) -> None:
    """Keep a word that stands in no journal and that nobody can take, once however often it is repeated."""
    bad = Rejected(dict(said), why.code, str(why.detail))
    journal_sql.keep_dead_letters([dead_letter(device_id, bad, now=now)], now=now)


def dead_letter(device_id: UUID, bad: Rejected, *, now: datetime) -> tuple[Any, ...]:
    payload = payload_of(bad.raw)
    fingerprint = hashlib.sha256(payload.encode()).hexdigest()
    return uuid7(now), device_id, bad.id, bad.code, bad.message, payload, fingerprint


def payload_of(raw: Any) -> str:
    """JSON, or base64 where what came was no text."""
    if isinstance(raw, bytes):
        return "base64:" + base64.b64encode(raw).decode()
    return json.dumps(raw, default=str, ensure_ascii=True)


def acknowledge(uploads: Sequence[Upload], receipts: dict[int, Receipt], *, now: datetime) -> None:
    numbered = [(upload, upload.batch.numbers, receipts[id(upload)]) for upload in uploads]
    places = {(upload.device_id, boot) for upload, numbers, _ in numbered for boot in numbers}
    empty = {(each.device_id, each.batch.sent.boot) for each, numbers, _ in numbered if not numbers}
    known = journal_sql.read_acks(places | {(device_id, boot) for device_id, boot in empty if boot is not None})
    changed: dict[tuple[UUID, int], tuple[int, list[int]]] = {}
    for upload, numbers, receipt in numbered:
        for boot, taken in sorted(numbers.items()):
            place = (upload.device_id, boot)
            changed[place] = known[place] = acks.advanced(known.get(place), taken, first=upload.batch.first)
        boot_said = min(numbers, default=upload.batch.sent.boot)
        if boot_said is not None:
            receipt.acked = boot_said, known.get((upload.device_id, boot_said), (0, []))[0]
    journal_sql.write_acks(changed, now=now)
