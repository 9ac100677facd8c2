"""A person's phone: offline first, it shows its own copy and keeps that equal to the server's by deltas."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from zinzino.demo.wire import Answer, Wire

# Where the rows of each kind stand in a delta, and what names a row.
IN_DELTA = {
    "devices": ("updated_devices",),
    "states": ("updated_states",),
    "activity_logs": ("new_activity_logs", "updated_activity_logs"),
    "notifications": ("new_notifications", "updated_notifications"),
}
SINGLES = ("profile", "notification_settings")
NAMED_BY = {"states": "device_id"}
# More than any day has; a server that says `has_more` for ever must not hang us.
MOST_PAGES = 100

Row = dict[str, Any]


@dataclass
class Copy:
    """What the phone knows, kind by kind."""

    rows: dict[str, dict[str, Row]] = field(default_factory=lambda: {kind: {} for kind in IN_DELTA})
    singles: dict[str, Row | None] = field(default_factory=dict)

    def put(self, kind: str, rows: list[Row]) -> None:
        for row in rows:
            self.rows[kind][row[NAMED_BY.get(kind, "id")]] = row

    def apply_full(self, data: Row) -> None:
        for kind in IN_DELTA:
            self.put(kind, data[kind])
        self.singles |= {name: data[name] for name in SINGLES if data[name] is not None}

    def apply_delta(self, data: Row) -> None:
        for kind, names in IN_DELTA.items():
            for name in names:
                self.put(kind, data[name])
        for kind, ids in data["deleted_items"].items():
            for row_id in ids:
                self.rows[kind].pop(row_id, None)
                # A removed dispenser takes its cup along.
                if kind == "devices":
                    self.rows["states"].pop(row_id, None)
        self.singles |= {name: data[f"updated_{name}"] for name in SINGLES if data[f"updated_{name}"]}

    def of(self, kind: str, **like: Any) -> list[Row]:
        return [row for row in self.rows[kind].values() if all(row.get(name) == like[name] for name in like)]

    def differences(self, other: "Copy") -> list[str]:
        """The objects that are not byte for byte the same in both."""
        mine, theirs = dict(self.objects()), dict(other.objects())
        return sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))

    def objects(self) -> Iterator[tuple[str, str]]:
        for kind, rows in self.rows.items():
            for row_id, row in rows.items():
                yield f"{kind} {row_id}", json.dumps(row)
        for name, single in self.singles.items():
            yield name, json.dumps(single)


@dataclass
class Delta:
    """What one synchronisation brought, all pages together."""

    answer: Answer
    pages: list[Row]

    def rows(self, name: str) -> list[Row]:
        return [row for page in self.pages for row in page[name]]

    def deleted(self, kind: str) -> list[str]:
        return [row_id for page in self.pages for row_id in page["deleted_items"][kind]]

    @property
    def is_empty(self) -> bool:
        named = (name for names in IN_DELTA.values() for name in names)
        singles = (page[f"updated_{name}"] for page in self.pages for name in SINGLES)
        deleted = (self.deleted(kind) for kind in ("devices", "activity_logs", "notifications"))
        return not any(map(self.rows, named)) and not any(singles) and not any(deleted)


@dataclass
class Phone:
    wire: Wire
    token: str = ""
    refresh_token: str = ""
    client_id: str = field(default_factory=lambda: str(uuid4()))
    copy: Copy = field(default_factory=Copy)
    synced_to: str = ""
    # Notifications that were read while there was no network.
    outbox: list[str] = field(default_factory=list)

    def take_tokens(self, answer: Answer) -> None:
        self.token, self.refresh_token = answer.field("token") or "", answer.field("refresh_token") or ""

    def get(self, path: str) -> Answer:
        return self.wire.send("GET", path, token=self.token)

    def put(self, path: str, body: Any = None) -> Answer:
        return self.wire.send("PUT", path, body, token=self.token)

    def post(self, path: str, body: Any = None, key: str = "") -> Answer:
        return self.wire.send("POST", path, body, token=self.token, key=key)

    def delete(self, path: str) -> Answer:
        return self.wire.send("DELETE", path, token=self.token)

    def refresh(self, token: str) -> Answer:
        return self.wire.send("POST", "/auth/refresh", {"refresh_token": token})

    def sync_full(self) -> Answer:
        """Start over: a new copy, and the point in time that it stands for."""
        self.copy, cursor = Copy(), None
        for _ in range(MOST_PAGES):
            answer = self.post("/sync/full", {"client_id": self.client_id, "cursor": cursor})
            if answer.status != 200:
                break
            self.copy.apply_full(answer.data)
            self.synced_to, cursor = answer.data["sync_timestamp"], answer.data["cursor"]
            if not answer.data["has_more"]:
                break
        return answer

    def sync(self) -> Delta:
        """Bring the copy up to date."""
        pages: list[Row] = []
        for _ in range(MOST_PAGES):
            answer = self.post("/sync/delta", {"client_id": self.client_id, "last_sync": self.synced_to})
            if answer.status != 200:
                break
            self.copy.apply_delta(answer.data)
            pages.append(answer.data)
            self.synced_to = answer.data["sync_timestamp"]
            if not answer.data["has_more"]:
                break
        return Delta(answer, pages)

    def read_offline(self, notification: Row) -> None:
        """The person reads it now; the server hears of it when there is a network again."""
        notification["is_read"] = True
        self.outbox.append(notification["id"])

    def send_outbox(self) -> list[Answer]:
        answers = [self.put(f"/notifications/{each}/read") for each in self.outbox]
        self.outbox.clear()
        return answers
