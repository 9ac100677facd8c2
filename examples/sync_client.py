"""A phone's exact copy of its user's data, with offline edits: the reference client of docs/sync-protocol.md.

Standard library only: one SQLite file for copy and outbox, one callable for HTTP. The tests of the server use
it as their phones. Against a running server:

    python -m examples.sync_client http://127.0.0.1:3000/v1 demo@example.com zinzino-demo copy.sqlite
"""

import hashlib
import json
import random
import sqlite3
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]
# (method, path, body) -> (status, the JSON of the answer). Raises OSError where no answer came.
Send = Callable[[str, str, Json | None], tuple[int, Json]]

SCHEMA = """
CREATE TABLE IF NOT EXISTS copy (kind TEXT, id TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, id));
CREATE TABLE IF NOT EXISTS arriving (kind TEXT, id TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, id));
CREATE TABLE IF NOT EXISTS outbox (
  number INTEGER PRIMARY KEY AUTOINCREMENT, mutation_id TEXT UNIQUE, body TEXT NOT NULL,
  answered INTEGER DEFAULT 0);
CREATE TABLE IF NOT EXISTS problems (number INTEGER PRIMARY KEY AUTOINCREMENT, outcome TEXT, entry TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value TEXT);
"""
# Our kinds, the lists of a full answer, and those of a delta. There are no foreign keys between them.
LISTS = {
    "device": ("devices", ("updated_devices",)),
    "state": ("states", ("updated_states",)),
    "activity_log": ("activity_logs", ("new_activity_logs", "updated_activity_logs")),
    "notification": ("notifications", ("new_notifications", "updated_notifications")),
}
SINGLE = ("profile", "notification_settings")
MOST_CHANGES, MOST_BYTES = 100, 900_000


class Refused(Exception):
    """The server's error envelope; what to do about it stands in docs/errors.md."""

    def __init__(self, status: int, error: Json) -> None:
        super().__init__(f"{status} {error.get('code')}: {error.get('message')}")
        self.status, self.error = status, error

    @property
    def reason(self) -> str:
        return str(self.error.get("details", {}).get("reason", ""))

    @property
    def is_worth_another_try(self) -> bool:
        return self.status in (429, 503)

    def wait(self) -> None:
        """As long as the server asks for, and a random bit more: not all phones together."""
        time.sleep(self.error.get("details", {}).get("retry_after", 2) + random.random())  # noqa: S311


class SyncClient:
    def __init__(self, path: str, send: Send) -> None:
        # One thread at a time may use a client, whichever it is.
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.db.executescript(SCHEMA)
        self.send = send
        self.client_id = self._state("client_id") or str(uuid.uuid4())
        self._remember("client_id", self.client_id)

    # ------------------------------------------------------------------------------- what the app calls

    def sync(self) -> None:
        """Send what waits and catch up. Raises Refused, OSError; calling again goes on where it stopped."""
        if not self.last_sync:
            self.fetch_all()
        try:
            while self.next_page():
                pass
        except Refused as refusal:
            if refusal.reason != "full_sync_required":
                raise
            # The outbox stays: what was edited on the lost base comes back as a conflict, not as an overwrite.
            self.fetch_all()
            self.sync()

    def edit(self, entity: str, op: str, id: str | None = None, **fields: Any) -> str:
        """Queue a change; it shows at once in `shown`. Answers its mutation id."""
        change = {
            "mutation_id": str(uuid.uuid4()),
            "entity": entity,
            "op": op,
            "id": id,
            # What this person was looking at; another's later change of the same field will be a conflict.
            "base_version": self.last_sync,
            "client_timestamp": datetime.now(UTC).isoformat(),
            "fields": fields,
        }
        self.db.execute(
            "INSERT INTO outbox (mutation_id, body) VALUES (?, ?)", (change["mutation_id"], json.dumps(change))
        )
        return str(change["mutation_id"])

    def rows(self, kind: str) -> dict[str, Json]:
        """The copy as the server gave it."""
        found = self.db.execute("SELECT id, body FROM copy WHERE kind = ?", (kind,))
        return {id: json.loads(body) for id, body in found}

    def shown(self, kind: str) -> dict[str, Json]:
        """The copy with this phone's own edits on top, until they have come back from the server."""
        rows = self.rows(kind)
        for change in self._outbox("SELECT body FROM outbox ORDER BY number"):
            if change["entity"] != kind:
                continue
            id = change["id"] or (kind if kind in SINGLE else "")
            if change["op"] == "delete":
                rows.pop(id, None)
            elif change["op"] == "create" or id in rows:
                rows[id] = {"id": id} | rows.get(id, {}) | change["fields"]
        return rows

    def problems(self) -> list[tuple[str, Json]]:
        """Conflicts and rejections that nobody has looked at yet."""
        found = self.db.execute("SELECT outcome, entry FROM problems ORDER BY number")
        return [(outcome, json.loads(entry)) for outcome, entry in found]

    def verified(self) -> bool:
        """Whether the copy comes to what the server says; only worth asking after a `sync`."""
        path = f"/sync/status?last_sync={self.last_sync}&client_id={self.client_id}"
        status = self._call("GET", path, None)
        if status["pending_changes"]:
            return True  # Something has changed since: nothing can be said.
        since = status["window_start"]
        mine = {
            "devices": self.rows("device"),
            "activity_logs": {id for id, row in self.rows("activity_log").items() if row["timestamp"] >= since},
            "notifications": {id for id, row in self.rows("notification").items() if row["created_at"] >= since},
        }
        return all(checksum(ids) == status["checksums"][name] for name, ids in mine.items())

    # ------------------------------------------------------------------------------- the protocol

    @property
    def last_sync(self) -> str | None:
        return self._state("last_sync")

    def fetch_all(self) -> None:
        """A whole new copy, which replaces the old one when its last page is there; a walk that was
        interrupted goes on."""
        while not self.next_full_page():
            pass

    def next_full_page(self) -> bool:
        """Whether it was the last one."""
        cursor = self._state("cursor")
        page = self._call("POST", "/sync/full", {"client_id": self.client_id, "cursor": cursor})
        with AtOnce(self.db):
            if cursor is None:
                self.db.execute("DELETE FROM arriving")
            for kind, (name, _) in LISTS.items():
                self._store("arriving", kind, page[name])
            for kind in SINGLE:
                self._store("arriving", kind, [page[kind]] if page[kind] else [])
            self._remember("cursor", page["cursor"])
            if not page["has_more"]:
                self.db.execute("DELETE FROM copy")
                self.db.execute("INSERT INTO copy SELECT * FROM arriving")
                self._remember("last_sync", page["sync_timestamp"])
        return not page["has_more"]

    def next_page(self) -> bool:
        """One delta, with as much of the outbox as fits; whether there is more to do."""
        body = {"client_id": self.client_id, "last_sync": self.last_sync, "changes": self.waiting()}
        page = self._call("POST", "/sync/delta", body)
        self.apply(page)
        return bool(page["has_more"] or self.waiting())

    def apply(self, page: Json) -> None:
        """All of a page or nothing: rows, answers and the new `last_sync` in one transaction."""
        with AtOnce(self.db):
            for kind, (name, lists) in LISTS.items():
                self._store("copy", kind, [row for each in lists for row in page[each]])
                self._drop(kind, page["deleted_items"].get(name, ()))
            self._drop("state", page["deleted_items"]["devices"])
            for kind in SINGLE:
                self._store("copy", kind, [page[f"updated_{kind}"]] if page[f"updated_{kind}"] else [])
            self._answered(page)
            self._remember("last_sync", page["sync_timestamp"])

    def waiting(self) -> list[Json]:
        """The oldest unanswered changes, as many as one request may carry."""
        chosen: list[Json] = []
        size = 0
        for change in self._outbox(
            "SELECT body FROM outbox WHERE NOT answered ORDER BY number LIMIT ?", MOST_CHANGES
        ):
            size += len(json.dumps(change))
            if chosen and size > MOST_BYTES:
                break
            chosen.append(change)
        return chosen

    def _answered(self, page: Json) -> None:
        for entry in page["applied"]:
            self.db.execute("UPDATE outbox SET answered = 1 WHERE mutation_id = ?", (entry["mutation_id"],))
        for outcome in ("conflicts", "rejected"):
            for entry in page[outcome]:
                self.db.execute("DELETE FROM outbox WHERE mutation_id = ?", (entry["mutation_id"],))
                self.db.execute(
                    "INSERT INTO problems (outcome, entry) VALUES (?, ?)", (outcome, json.dumps(entry))
                )
        if not page["has_more"]:
            # By now everything that was applied has come back as a row.
            self.db.execute("DELETE FROM outbox WHERE answered")

    # ------------------------------------------------------------------------------- plumbing

    def _call(self, method: str, path: str, body: Json | None) -> Json:
        status, answer = self.send(method, path, body)
        if not answer.get("success"):
            raise Refused(status, answer.get("error", {}))
        data: Json = answer["data"]
        return data

    def _store(self, table: str, kind: str, rows: Iterable[Json]) -> None:
        values = [
            (kind, kind if kind in SINGLE else row.get("id") or row["device_id"], json.dumps(row)) for row in rows
        ]
        self.db.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", values)

    def _drop(self, kind: str, ids: Iterable[str]) -> None:
        self.db.executemany("DELETE FROM copy WHERE kind = ? AND id = ?", [(kind, id) for id in ids])

    def _outbox(self, query: str, *values: Any) -> list[Json]:
        return [json.loads(body) for (body,) in self.db.execute(query, values)]

    def _state(self, name: str) -> str | None:
        found = self.db.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return found[0] if found else None

    def _remember(self, name: str, value: str | None) -> None:
        self.db.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, value))


class AtOnce:
    """A transaction of SQLite: after a crash either all of it is there or nothing."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    def __enter__(self) -> None:
        self.db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        self.db.execute("ROLLBACK" if kind else "COMMIT")


def checksum(ids: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()


def over_http(base_url: str, token: str = "") -> Send:
    def send(method: str, path: str, body: Json | None) -> tuple[int, Json]:
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(base_url + path, data, headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.load(refusal)

    return send


def main(base_url: str, email: str, password: str, path: str) -> None:
    _, answer = over_http(base_url)("POST", "/auth/login", {"email": email, "password": password})
    client = SyncClient(path, over_http(base_url, answer["data"]["token"]))
    while True:
        try:
            client.sync()
            break
        except Refused as refusal:
            if not refusal.is_worth_another_try:
                raise
            refusal.wait()
    counts = {kind: len(client.rows(kind)) for kind in (*LISTS, *SINGLE)}
    sys.stdout.write(json.dumps({"last_sync": client.last_sync, "verified": client.verified(), **counts}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:5])
