"""What must come of every offline change, by a reckoning of the test's own, and what has come of it."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from devices.models import Device
from notifications.models import NotificationSettings
from telemetry.models import ActivityLog
from tests.syncapi.histories.world import asked
from zinzino.clock import iso

GUARDED = {"device_name", "location", "full_name"}
FIELDS = {"device": ("device_name", "location"), "profile": ("full_name", "theme_preference")}


@dataclass(frozen=True, slots=True)
class Write:
    """The last write of a field: its stamp, and the installation that made it, if one did."""

    version: str
    client_id: str = ""


@dataclass(slots=True)
class Book:
    """`values` and `writes` are by (entity, id, field)."""

    values: dict[tuple[str, str, str], Any] = field(default_factory=dict)
    writes: dict[tuple[str, str, str], Write] = field(default_factory=dict)
    # By device: who has it, or nobody.
    owners: dict[str, str | None] = field(default_factory=dict)
    # The entries of the log that are there.
    notes: set[str] = field(default_factory=set)
    # An answer was found wrong: nothing that follows says anything.
    is_closed: bool = False
    entries: dict[str, Any] = field(default_factory=dict)
    counted: Counter[str] = field(default_factory=Counter)

    # ---------------------------------------------------------------------------- what others write

    def note(self, entity: str, id: str, user_id: str, **values: Any) -> None:
        """Somebody has written fields online."""
        for name, value in values.items():
            if self.values.get((entity, id, name)) != value:
                self.values[entity, id, name] = value
                self.writes[entity, id, name] = Write(stamp_of(user_id, entity, id))

    def moved(self, device_id: str, owner: str | None) -> None:
        self.owners[device_id] = owner
        if owner:
            # Of what was away nobody knows what has changed.
            for name in FIELDS["device"]:
                self.writes["device", device_id, name] = Write(stamp_of(owner, "device", device_id))

    # ---------------------------------------------------------------------------- what is judged

    def judge_refusal(self, user_id: str, last_sync: str, *, refused: bool) -> None:
        """Who is behind the horizon is refused always, and nobody else ever."""
        [(horizon, now)] = asked(
            "SELECT iso_ms(horizon), iso_ms(ts) FROM sync_clock WHERE user_id = %s", (user_id,)
        )
        behind = last_sync < max(horizon, epoch()) or last_sync > now
        assert refused == behind, f"{last_sync} against {horizon} and {epoch()}: {refused}"

    def judge_entries(self, phone: Any, changes: list[Any], page: Any) -> None:
        lists = {name: {each["mutation_id"]: each for each in page[name]} for name in OUTCOMES}
        assert sum(len(page[name]) for name in OUTCOMES) == len(changes), "a change without an answer"
        for change in changes:
            [(name, entry)] = [
                (name, each[change["mutation_id"]])
                for name, each in lists.items()
                if change["mutation_id"] in each
            ]
            self.judge_entry(phone, change, name, entry)
        self.judge_values()

    def judge_entry(self, phone: Any, change: Any, outcome: str, entry: Any) -> None:
        first = self.entries.get(change["mutation_id"])
        if first is not None:
            again = {**first, "status": "duplicate"} if outcome == "applied" else first
            assert entry == again, "a repeat was answered otherwise"
            return
        self.entries[change["mutation_id"]] = entry
        self.counted[f"{change['entity']} {outcome}"] += 1
        rule = {"device": self.judge_edit, "profile": self.judge_edit}.get(change["entity"])
        if change["op"] == "delete":
            self.judge_deletion(phone, change, outcome)
        elif rule:
            rule(phone, change, outcome, entry)
        elif change["entity"] == "activity_log":
            self.judge_note(phone, change, outcome, entry)
        elif change["entity"] == "notification_settings":
            self.values["settings", phone.user_id, "low_battery_enabled"] = change["fields"]["low_battery_enabled"]

    def judge_edit(self, phone: Any, change: Any, outcome: str, entry: Any) -> None:
        entity, id = change["entity"], change["id"]
        if entity == "device" and self.owners[id] != phone.user_id:
            assert (outcome, entry["type"]) == ("conflicts", "deleted_on_server")
            return
        wanted = {
            name: value for name, value in change["fields"].items() if self.values[entity, id, name] != value
        }
        lost = {name for name in wanted if name in GUARDED and not self.had_seen(phone, change, name)}
        assert (set(entry["fields"]) if outcome == "conflicts" else set()) == lost, "a conflict is not where it is"
        kept = {name: value for name, value in wanted.items() if name not in lost}
        if outcome == "conflicts":
            assert entry["applied_fields"] == sorted(kept)
        else:
            assert entry["status"] == ("applied" if kept else "noop")
        for name, value in kept.items():
            self.values[entity, id, name] = value
            version = entry["server_version"] if outcome == "conflicts" else entry["version"]
            self.writes[entity, id, name] = Write(version, phone.client_id)

    def judge_note(self, phone: Any, change: Any, outcome: str, entry: Any) -> None:
        text, key = change["fields"]["metadata"]["text"], ("activity_log", change["id"], "metadata")
        if change["op"] == "create":
            assert (outcome, entry["status"]) == ("applied", "applied")
            # No write that somebody could have missed: who edits an entry knows it.
            self.notes.add(change["id"])
            self.values[key] = text
        elif change["id"] not in self.notes:
            assert outcome == "rejected" or entry["type"] == "deleted_on_server"
        elif self.values[key] == text:
            assert entry["status"] == "noop"
        elif self.had_seen(phone, change, "metadata"):
            assert entry["status"] == "applied"
            self.values[key], self.writes[key] = text, Write(entry["version"], phone.client_id)
        else:
            assert list(entry["fields"]) == ["metadata"]

    def had_seen(self, phone: Any, change: Any, name: str) -> bool:
        [(horizon,)] = asked("SELECT iso_ms(horizon) FROM sync_clock WHERE user_id = %s", (phone.user_id,))
        if change["base_version"] < max(horizon, epoch()):
            return False
        last = self.writes.get((change["entity"], change["id"], name))
        return last is None or last.version <= change["base_version"] or last.client_id == phone.client_id

    def judge_deletion(self, phone: Any, change: Any, outcome: str) -> None:
        assert outcome == "applied", "a deletion was refused"
        self.notes.discard(change["id"])
        if change["entity"] == "device" and self.owners[change["id"]] == phone.user_id:
            self.owners[change["id"]] = None

    def judge_values(self) -> None:
        """Every write has had its effect, once and no other."""
        for row in Device.objects.filter(pk__in=self.owners):
            assert str(row.user_id) == self.owners[str(row.pk)]
            for name in FIELDS["device"]:
                assert getattr(row, name) == self.values["device", str(row.pk), name], name
        for (entity, id, name), value in self.values.items():
            if entity == "activity_log":
                written = ActivityLog.objects.filter(pk=id).values_list("metadata__text", flat=True)
                assert list(written) == ([value] if id in self.notes else []), "an entry is not what it was made"
            elif entity == "settings":
                stored = NotificationSettings.objects.filter(user_id=id).values_list(name, flat=True)
                assert list(stored) in ([], [value])


OUTCOMES = ("applied", "conflicts", "rejected")


def stamp_of(user_id: str, kind: str, id: str) -> str:
    sql = "SELECT iso_ms(ts) FROM sync_change WHERE user_id = %s AND kind = %s AND object_id = %s"
    return str(asked(sql, (user_id, kind, id))[0][0])


def epoch() -> str:
    return iso(settings.SYNC_EPOCH)
