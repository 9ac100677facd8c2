"""The processes of the long sync run: dispensers, writers with slow transactions, and phones on a bad line.

Each is a program of its own: `python -m tests.faults.sync_load <role> <what it needs, as JSON>`.
"""

import http.client
import json
import random
import sqlite3
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from examples.sync_client import Json, Refused, Send, SyncClient, over_http

BROKEN = (OSError, http.client.HTTPException, ValueError)
NAMES = ("Mutfak", "Salon", "Ofis", "Balkon")


def dispenser(url: str, device_id: str, token: str, until: float, seed: int) -> Counter[str]:
    """Reports as fast as it is answered."""
    rng, counts, send = random.Random(seed), Counter[str](), over_http(url, token)  # noqa: S311
    while time.time() < until:
        event = {"cup_placed": rng.random() < 0.5, "request_id": str(uuid.uuid4())}
        level = {"battery_level": rng.choice((5, 15, 60)), "supplement_level": rng.randrange(100)}
        for method, path, body in (
            ("POST", f"/states/{device_id}", event),
            ("PATCH", f"/devices/{device_id}/status", level),
        ):
            try:
                status, _ = send(method, path, body)
                counts[f"answered {status}"] += 1
            except BROKEN:
                counts["not answered"] += 1
                time.sleep(0.05)
    return counts


def writer(database: str, user_id: str, device_id: str, until: float, seed: int) -> Counter[str]:
    """Transactions that stay open for a while, some rolled back, some with a savepoint that fails."""
    rng, counts = random.Random(seed), Counter[str]()  # noqa: S311
    mine: list[uuid.UUID] = []
    with psycopg.connect(database) as db:
        while time.time() < until:
            id, named = uuid.uuid4(), {"user_id": user_id, "device_id": device_id}
            with db.transaction(force_rollback=rng.random() < 0.1) as opened:
                with db.transaction(force_rollback=True):
                    db.execute(LINE, {**named, "id": uuid.uuid4(), "at": datetime.now(UTC)})
                db.execute(LINE, {**named, "id": id, "at": datetime.now(UTC)})
                if rng.random() < 0.5:
                    db.execute("UPDATE devices SET firmware_version = %s WHERE id = %s", (id.hex[:8], device_id))
                time.sleep(rng.random() * 0.05)
                gone = mine.pop(0) if mine and rng.random() < 0.4 and not opened.force_rollback else None
                if gone:
                    db.execute("DELETE FROM activity_logs WHERE id = %s", (gone,))
            counts["rolled back" if opened.force_rollback else "committed"] += 1
            if not opened.force_rollback:
                mine.append(id)
    return counts


LINE = """INSERT INTO activity_logs (id, user_id, device_id, action, local_date, metadata, timestamp)
          VALUES (%(id)s, %(user_id)s, %(device_id)s, 'note', %(at)s, '{}', %(at)s)"""


class FrailPhone(SyncClient):
    """Loses its power now and then before a page is kept."""

    def __init__(self, path: str, send: Send, rng: random.Random) -> None:
        self.rng, self.is_frail = rng, True
        super().__init__(path, send)

    def _remember(self, name: str, value: str | None) -> None:
        if name == "last_sync" and self.is_frail and self.rng.random() < 0.03:
            raise sqlite3.OperationalError("no power")
        super()._remember(name, value)


def phone(url: str, token: str, device_ids: list[str], path: str, until: float, seed: int) -> Counter[str]:
    """Edits and syncs; when all is quiet it catches up, and leaves its copy beside its database."""
    rng, counts = random.Random(seed), Counter[str]()  # noqa: S311
    client = FrailPhone(path, on_a_bad_line(url, token, rng, counts), rng)
    while time.time() < until:
        edit(client, device_ids, rng, counts)
        counts["syncs"] += attempt(client.sync, counts)
        time.sleep(rng.random() * 0.1)
    client.is_frail, client.send = False, over_http(url, token)
    for step in ("quiet", "flushed"):
        wait_for(Path(path).with_name(step), until + 240)
        while not attempt(client.sync, counts) or client.waiting():
            time.sleep(0.2)
        Path(f"{path}.{step}").touch()
    while not attempt(lambda: counts.update(verified=client.verified()), counts):
        time.sleep(0.2)
    kinds = ("device", "state", "activity_log", "notification", "profile", "notification_settings")
    Path(f"{path}.json").write_text(json.dumps({kind: client.rows(kind) for kind in kinds}))
    counts += Counter(outcome for outcome, _ in client.problems())
    return counts


def wait_for(signal: Path, deadline: float) -> None:
    while not signal.exists():
        if time.time() > deadline:
            raise TimeoutError
        time.sleep(0.05)


def edit(client: SyncClient, device_ids: list[str], rng: random.Random, counts: Counter[str]) -> None:
    if client.last_sync is None or rng.random() > 0.3:
        return
    counts["edits"] += 1
    notifications = sorted(client.rows("notification"))
    if notifications and rng.random() < 0.4:
        client.edit("notification", rng.choice(("update", "delete")), rng.choice(notifications), is_read=True)
    else:
        client.edit("device", "update", rng.choice(device_ids), device_name=rng.choice(NAMES))


def attempt(work: Callable[[], None], counts: Counter[str]) -> bool:
    try:
        work()
    except Refused as refusal:
        counts[f"refused {refusal.status}"] += 1
    except sqlite3.OperationalError:
        counts["crashes"] += 1
    except BROKEN:
        counts["broken exchanges"] += 1
    else:
        return True
    return False


def on_a_bad_line(url: str, token: str, rng: random.Random, counts: Counter[str]) -> Send:
    good = over_http(url, token)

    def send(method: str, path: str, body: Json | None) -> tuple[int, Json]:
        fate = rng.random()
        if fate < 0.05:
            hang_up(url, token, method, path, body)
            counts["connections dropped"] += 1
            raise OSError
        answer = good(method, path, body)
        if fate < 0.1:
            counts["answers lost"] += 1
            raise OSError
        return answer

    return send


def hang_up(url: str, token: str, method: str, path: str, body: Json | None) -> None:
    """The request is on its way when the connection ends."""
    host, _, mount = url.removeprefix("http://").partition("/")
    line = http.client.HTTPConnection(host, timeout=10)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    line.request(method, f"/{mount}{path}", json.dumps(body), headers)
    line.close()


ROLES: dict[str, Any] = {"dispenser": dispenser, "writer": writer, "phone": phone}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(ROLES[sys.argv[1]](**json.loads(sys.argv[2]))))
