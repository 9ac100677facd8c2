"""What each kind of offline write may do, and by which service: the same ones that the REST routes call."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework import serializers

from accounts import services as accounts
from accounts.models import User
from accounts.serializers import ProfileUpdate
from devices import serializers as devices_s
from devices import services as devices
from devices.models import Device
from notifications import preferences
from notifications import serializers as notifications_s
from notifications import services as notifications
from notifications.models import Notification
from syncapi import sql
from syncapi.conflicts import History, Merge, merged
from syncapi.models import SyncMutation
from telemetry import activity_serializers as activities_s
from telemetry import manual
from zinzino.api.errors import ApiError, NotFound, NotOwner, SyncConflict
from zinzino.api.fields import Instant
from zinzino.api.forms import filled_in
from zinzino.api.parsers import MAX_NAMED, MAX_PATH_CHARS
from zinzino.clock import iso

NO_CLIENT_ID = UUID(int=0)
# Fields that an edit changes only if its author knew the last change of them. Of others the last writer wins.
GUARDED = {
    "profile": frozenset({"full_name", "phone", "notification_enabled"}),
    "device": frozenset({"device_name", "location", "is_active", "settings"}),
    "activity_log": frozenset({"device_id", "supplement", "dose_amount", "timestamp", "metadata"}),
}
# Fields that are kept in a column of another name.
KEPT_IN = {"supplement": "metadata"}
# What every kind of change has.
OUTLINE: dict[str, Any] = {
    "id": serializers.UUIDField(),
    "base_version": Instant(),
    "fields": serializers.DictField(),
}
MISSING = serializers.Field.default_error_messages["required"]
OFFLINE_DEVICE_FIELDS = frozenset({"device_name", "location"})


class Unsupported(ApiError):
    code = "UNSUPPORTED"
    message = gettext_lazy("This entity cannot be changed in this way offline.")


class EditConflict(SyncConflict):
    """The object has changed since the caller saw it; `details.conflict` has the form of sync."""

    reason = "conflict"


@dataclass(frozen=True, slots=True)
class Sent:
    """One change as it came."""

    mutation_id: UUID
    raw: Mapping[str, Any]


@dataclass(slots=True)
class Pusher:
    """Who pushes; and what came of their changes so far, where later ones of the same push depend on it."""

    user_id: UUID
    session_id: UUID
    client_id: UUID
    timezone: str
    # The base of changes that name none.
    last_sync: datetime | None
    now: datetime
    # The log hears of deletions only when all changes are made.
    deleted: set[tuple[str, UUID]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Change:
    entity: str
    id: UUID | None
    base: datetime
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Settled:
    """The entry of an answer, and in which of its lists it stands."""

    outcome: str
    entry: dict[str, Any]
    object_id: UUID
    # The stamp of what it wrote; None where it wrote nothing: the object's version is then another's work.
    written_at: datetime | None


@dataclass(frozen=True, slots=True)
class Conflict:
    type: str
    base: datetime
    # The values that lost, as they were sent, and the stamps of the changes that won.
    client: Mapping[str, Any]
    changed_at: Mapping[str, datetime | None]
    applied_fields: Collection[str] = ()

    def entry(self, version: datetime, record: dict[str, Any] | None) -> dict[str, Any]:
        return {
            "type": self.type,
            "resolution": "server_wins",
            "base_version": iso(self.base),
            "server_version": iso(version),
            "fields": {name: self._field(name, value, record) for name, value in self.client.items()},
            "applied_fields": sorted(self.applied_fields),
            "server_record": record,
        }

    def _field(self, name: str, value: Any, record: dict[str, Any] | None) -> dict[str, Any]:
        at = self.changed_at.get(name)
        return {"client": value, "server": record and shown(record, name), "server_changed_at": at and iso(at)}


def shown(record: Mapping[str, Any], name: str) -> Any:
    """The value of a field where a phone is shown it."""
    return record[KEPT_IN[name]].get(name) if name in KEPT_IN else record.get(name)


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change has done to an object of the log, before it has a stamp."""

    entity: str
    object: tuple[str, UUID]
    status: str = "applied"
    conflict: Conflict | None = None

    @property
    def has_written(self) -> bool:
        return bool(self.conflict.applied_fields) if self.conflict else self.status == "applied"

    def settled(self, version: datetime | None, record: str | None, stamp: datetime) -> Settled:
        """`stamp` is that of the transaction, for an object of which the log knows nothing."""
        version, object_id = version or stamp, self.object[1]
        entry = {"entity": self.entity, "id": str(object_id)}
        written_at = version if self.has_written else None
        if self.conflict is None:
            entry |= {"status": self.status, "version": iso(version)}
            return Settled("applied", entry, object_id, written_at)
        entry |= self.conflict.entry(version, json.loads(record) if record else None)
        return Settled("conflicts", entry, object_id, written_at)


# ------------------------------------------------------------------------------------------- one change


def lock(pusher: Pusher, changes: Iterable[Sent]) -> None:
    """The rows that others lock in an order of their own: the person; all dispensers; notifications, by id."""
    named = {str(each.raw.get("entity")) for each in changes}
    if "profile" in named:
        list(User.objects.select_for_update(no_key=True).filter(pk=pusher.user_id).values_list("pk"))
    if named & {"device", "activity_log"}:
        own = Device.objects.filter(user_id=pusher.user_id)
        list(own.select_for_update().order_by("pk").values_list("pk"))
    if "notification" in named:
        notifications.lock(pusher.user_id, ids_of(changes, "notification"))


def ids_of(changes: Iterable[Sent], entity: str) -> set[UUID]:
    found = set()
    for each in changes:
        with suppress(ValueError):
            if each.raw.get("entity") == entity:
                found.add(UUID(str(each.raw.get("id"))))
    return found


def carry_out(pusher: Pusher, sent: Sent) -> Effect:
    """Raises ApiError, ValidationError."""
    entity, op = str(sent.raw.get("entity")), str(sent.raw.get("op"))
    rule = RULES.get((entity, op))
    if rule is None:
        raise Unsupported
    outline = outlined(sent)
    base = outline.get("base_version") or pusher.last_sync
    if base is None:
        raise serializers.ValidationError({"base_version": [MISSING]})
    return rule(pusher, Change(entity, outline.get("id"), base, outline.get("fields", {})))


def outlined(sent: Sent) -> dict[str, Any]:
    found, faults = {}, {}
    for name, kind in OUTLINE.items():
        try:
            if sent.raw.get(name) is not None:
                found[name] = kind.run_validation(sent.raw[name])
        except serializers.ValidationError as error:
            faults[name] = error.detail
    if faults:
        raise serializers.ValidationError(faults)
    return found


def validated(form: type[serializers.Serializer[Any]], change: Change, allowed: Collection[str]) -> dict[str, Any]:
    """Raises ValidationError, also for a field that cannot be written offline: nothing is dropped in silence."""
    if unknown := [name for name in change.fields if name not in allowed]:
        said = _("This field cannot be changed offline.")
        raise serializers.ValidationError(
            {"fields": {name[:MAX_PATH_CHARS]: [said] for name in unknown[:MAX_NAMED]}}
        )
    try:
        return filled_in(form, change.fields)
    except serializers.ValidationError as error:
        raise serializers.ValidationError({"fields": error.detail}) from error


def history_of(pusher: Pusher, kind: str, object_id: UUID, base: datetime) -> History:
    """What the log knows of a locked row; in a statement of its own, so that it sees what we have waited for."""
    horizon, _, stamps = sql.history(pusher.user_id, kind, object_id)
    stamps |= {name: stamps[column] for name, column in KEPT_IN.items() if column in stamps}
    newer = [stamp for stamp in stamps.values() if stamp > base]
    own: Collection[datetime] = ()
    if newer and pusher.client_id != NO_CLIENT_ID:
        mine = SyncMutation.objects.filter(
            user_id=pusher.user_id, client_id=pusher.client_id, object_id=object_id, version__in=newer
        )
        own = [version for version in mine.values_list("version", flat=True) if version]
    return History(stamps, known_since(horizon), own)


def edited(
    pusher: Pusher,
    change: Change,
    *,
    object: tuple[str, UUID],
    current: Mapping[str, Any],
    fields: Mapping[str, Any],
    write: Callable[[dict[str, Any]], None],
) -> Effect:
    """Merge an edit into a locked row, field by field. `current` are the row's values."""
    history = history_of(pusher, *object, change.base)
    merge = merged(fields, current, guarded=GUARDED[object[0]], history=history, base=change.base)
    if merge.writes:
        write(merge.writes)
    status = "applied" if merge.writes else "noop"
    return Effect(change.entity, object, status, conflict_of(change, merge))


def conflict_of(change: Change, merge: Merge) -> Conflict | None:
    if not merge.lost:
        return None
    client = {name: change.fields.get(name) for name in merge.lost}
    return Conflict("field_conflict", change.base, client, merge.lost, merge.writes.keys())


def conflict_with(change: Change, kind: str, object_id: UUID, type: str) -> Effect:
    """The whole change has lost."""
    return Effect(change.entity, (kind, object_id), conflict=Conflict(type, change.base, change.fields, {}))


def gone(pusher: Pusher, kind: str, object_id: UUID) -> bool:
    """Whether the person had it, and it is deleted."""
    return (kind, object_id) in pusher.deleted or sql.history(pusher.user_id, kind, object_id).is_gone


def required(change: Change) -> UUID:
    if change.id is None:
        raise serializers.ValidationError({"id": [MISSING]})
    return change.id


# ------------------------------------------------------------------------------------------- online


@transaction.atomic
def put_device(device_id: UUID, user_id: UUID, fields: dict[str, Any], *, base: datetime, now: datetime) -> None:
    """Write all of the fields, or none where one has changed since `base`. Raises EditConflict."""
    row = devices.locked(device_id, of=user_id)
    # Settings are merged into those that are there.
    whole = {"settings": row.settings | fields["settings"]} if "settings" in fields else {}
    refuse_stale("device", row, user_id, fields | whole, base)
    devices.update(device_id, user_id, fields, now=now)


@transaction.atomic
def put_profile(user_id: UUID, fields: dict[str, Any], *, base: datetime, now: datetime) -> None:
    """Write all of the fields, or none where one has changed since `base`. Raises EditConflict."""
    row = User.objects.select_for_update(no_key=True).get(pk=user_id)
    refuse_stale("profile", row, user_id, fields, base)
    accounts.update_profile(user_id, fields, now=now)


def refuse_stale(kind: str, row: Any, user_id: UUID, fields: dict[str, Any], base: datetime) -> None:
    logged = sql.history(user_id, kind, row.pk)
    history = History(logged.stamps, known_since(logged.horizon))
    current = {name: getattr(row, name) for name in fields}
    merge = merged(fields, current, guarded=GUARDED[kind], history=history, base=base)
    if not merge.lost:
        return
    client = {name: fields[name] for name in merge.lost}
    conflict = Conflict("field_conflict", base, client, merge.lost)
    version, record = sql.versions(user_id, [(kind, row.pk)])[0]
    entry = conflict.entry(version or base, json.loads(record or "null"))
    raise EditConflict(conflict={"entity": kind, "id": str(row.pk), **entry})


def known_since(horizon: datetime) -> datetime:
    """Of changes before this the log cannot say which fields they touched."""
    return max(horizon, settings.SYNC_EPOCH)


# ------------------------------------------------------------------------------------------- the rules


def edit_profile(pusher: Pusher, change: Change) -> Effect:
    own_only(pusher, change)
    fields = validated(ProfileUpdate, change, ProfileUpdate().fields.keys())
    row = User.objects.get(pk=pusher.user_id)

    def write(writes: dict[str, Any]) -> None:
        accounts.update_profile(pusher.user_id, writes, now=pusher.now)
        # What they write next into their log is dated there.
        pusher.timezone = writes.get("timezone", pusher.timezone)

    current = {name: getattr(row, name) for name in fields}
    return edited(pusher, change, object=("profile", row.pk), current=current, fields=fields, write=write)


def own_only(pusher: Pusher, change: Change) -> None:
    """Of these a person has one: its id is theirs, and may be left out."""
    if change.id not in (None, pusher.user_id):
        raise NotFound


def edit_device(pusher: Pusher, change: Change) -> Effect:
    device_id = required(change)
    fields = validated(devices_s.Update, change, OFFLINE_DEVICE_FIELDS)
    try:
        row = devices.locked(device_id, of=pusher.user_id)
    except (NotFound, NotOwner):
        if not gone(pusher, "device", device_id):
            raise
        return conflict_with(change, "device", device_id, "deleted_on_server")

    def write(writes: dict[str, Any]) -> None:
        devices.update(device_id, pusher.user_id, writes, now=pusher.now)

    current = {name: getattr(row, name) for name in fields}
    return edited(pusher, change, object=("device", row.pk), current=current, fields=fields, write=write)


def delete_device(pusher: Pusher, change: Change) -> Effect:
    return deleted(pusher, change, "device", lambda each: devices.remove(each, pusher.user_id, now=pusher.now))


def deleted(pusher: Pusher, change: Change, kind: str, remove: Callable[[UUID], None]) -> Effect:
    """A deletion wins over everything, and what is not there is deleted already."""
    object_id = required(change)
    try:
        remove(object_id)
    except NotFound:
        return Effect(change.entity, (kind, object_id), "noop")
    except NotOwner:
        if not gone(pusher, kind, object_id):
            raise
        return Effect(change.entity, (kind, object_id), "noop")
    pusher.deleted.add((kind, object_id))
    return Effect(change.entity, (kind, object_id))


class ReadOnly(serializers.Serializer[Any]):
    is_read = serializers.ChoiceField([True], error_messages={"invalid_choice": gettext_lazy("Must be true.")})


def read_notification(pusher: Pusher, change: Change) -> Effect:
    """Read stays read: it never conflicts, and the first reading keeps its time."""
    row_id = required(change)
    validated(ReadOnly, change, {"is_read"})
    was_read = Notification.objects.filter(pk=row_id, user_id=pusher.user_id, is_read=True).exists()
    try:
        notifications.mark_read(row_id, pusher.user_id, now=pusher.now)
    except NotFound:
        if not gone(pusher, "notification", row_id):
            raise
        was_read = True
    return Effect(change.entity, ("notification", row_id), "noop" if was_read else "applied")


def delete_notification(pusher: Pusher, change: Change) -> Effect:
    return deleted(pusher, change, "notification", lambda each: notifications.delete(each, pusher.user_id))


def edit_settings(pusher: Pusher, change: Change) -> Effect:
    """Field by field the last writer wins."""
    own_only(pusher, change)
    fields = validated(notifications_s.ChangeSettings, change, notifications_s.ChangeSettings().fields.keys())
    preferences.change(pusher.user_id, pusher.session_id, fields, now=pusher.now)
    return Effect(change.entity, ("notification_settings", pusher.user_id))


def create_entry(pusher: Pusher, change: Change) -> Effect:
    """Under the id that the phone has made; what is there already is not made again."""
    entry_id = required(change)
    named = Change(change.entity, entry_id, change.base, {**change.fields, "id": str(entry_id)})
    fields = validated(activities_s.NewEntry, named, activities_s.NewEntry().fields.keys() - {"client_id"})
    try:
        entry = manual.create(pusher.user_id, timezone=pusher.timezone, now=pusher.now, **fields)
    except manual.EntryExists as error:
        if error.details.get("owner") != "yours":
            raise NotOwner from error
        return conflict_with(change, "activity_log", entry_id, "already_exists")
    except manual.EntryDeleted:
        return conflict_with(change, "activity_log", entry_id, "deleted_on_server")
    return Effect(change.entity, ("activity_log", entry_id), "applied" if entry.created else "duplicate")


def edit_entry(pusher: Pusher, change: Change) -> Effect:
    entry_id = required(change)
    fields = validated(activities_s.EditedEntry, change, activities_s.EditedEntry().fields.keys())
    try:
        current = asdict(manual.entry_of(manual.own_entry(entry_id, pusher.user_id)))
    except NotFound:
        if not gone(pusher, "activity_log", entry_id):
            raise
        return conflict_with(change, "activity_log", entry_id, "deleted_on_server")

    def write(writes: dict[str, Any]) -> None:
        manual.edit(entry_id, pusher.user_id, timezone=pusher.timezone, now=pusher.now, **writes)

    return edited(pusher, change, object=("activity_log", entry_id), current=current, fields=fields, write=write)


def delete_entry(pusher: Pusher, change: Change) -> Effect:
    def remove(entry_id: UUID) -> None:
        manual.delete(entry_id, pusher.user_id, timezone=pusher.timezone)

    return deleted(pusher, change, "activity_log", remove)


Rule = Callable[[Pusher, Change], Effect]
RULES: dict[tuple[str, str], Rule] = {
    ("profile", "update"): edit_profile,
    ("device", "update"): edit_device,
    ("device", "delete"): delete_device,
    ("notification", "update"): read_notification,
    ("notification", "delete"): delete_notification,
    ("notification_settings", "update"): edit_settings,
    ("activity_log", "create"): create_entry,
    ("activity_log", "update"): edit_entry,
    ("activity_log", "delete"): delete_entry,
}
