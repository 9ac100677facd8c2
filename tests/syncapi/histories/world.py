"""What the phones of a history live beside: writers with open transactions, and the truth of the tables."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
from django.db import connection

from accounts.sql import PROFILE_JSON
from devices.sql import DEVICE_JSON, STATE_JSON
from notifications.sql import NOTIFICATION_JSON, SETTINGS_JSON
from telemetry.sql import ACTIVITY_JSON
from zinzino import clock
from zinzino.ids import uuid7


def _listed(key: str, row: str, source: str) -> str:
    return f"coalesce((SELECT json_object_agg({key}, {row}) FROM {source} WHERE user_id = %(user_id)s), '{{}}')"


# The tables themselves, without clock or log.
TRUTH = f"""
SELECT json_build_object(
  'devices', {_listed("d.id", DEVICE_JSON, "devices d")},
  'states', {_listed("d.id", STATE_JSON, "devices d")},
  'activity_logs', {_listed("id", ACTIVITY_JSON, "activity_logs")},
  'notifications', {_listed("id", NOTIFICATION_JSON, "notifications")},
  'one', json_build_object(
     'profile', (SELECT {PROFILE_JSON} FROM users u WHERE u.id = %(user_id)s),
     'notification_settings', (SELECT {SETTINGS_JSON} FROM notification_settings n
                                WHERE n.user_id = %(user_id)s)))::text"""


def truth(user_id: UUID) -> dict[str, Any]:
    """What a right copy holds at this moment."""
    found: dict[str, Any] = json.loads(asked(TRUTH, {"user_id": user_id})[0][0])
    return found


def asked(statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def run(statement: str, parameters: Any = None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


PUT = {
    "notification": """
        INSERT INTO notifications (id, user_id, type, title, message, is_read, metadata, dedupe_key, created_at)
        VALUES (%(id)s, %(user_id)s, 'reminder', %(text)s, '', false, '{}', %(id)s::text, %(at)s)
        ON CONFLICT (id) DO UPDATE SET title = excluded.title""",
    "activity_log": """
        INSERT INTO activity_logs (id, user_id, action, local_date, metadata, timestamp)
        VALUES (%(id)s, %(user_id)s, 'note', %(at)s, jsonb_build_object('text', %(text)s::text), %(at)s)
        ON CONFLICT (id, timestamp) DO UPDATE SET metadata = excluded.metadata""",
    "device": "UPDATE devices SET firmware_version = %(text)s WHERE id = %(device_id)s",
}
DROP = {
    "notification": "DELETE FROM notifications WHERE id = %(id)s",
    "activity_log": "DELETE FROM activity_logs WHERE id = %(id)s",
    "device": "UPDATE devices SET firmware_version = NULL WHERE id = %(device_id)s",
}


# Kept from history to history: a new server process has to plan every trigger anew.
IDLE: list[psycopg.Connection] = []


class Writer:
    """A process that holds its transaction open while others go on. Its rows are touched by nobody else."""

    def __init__(self, user_id: UUID, device_id: UUID) -> None:
        self.db = IDLE.pop() if IDLE else psycopg.connect(**connection.get_connection_params())
        self.at: datetime = clock.now()
        self.named = {"user_id": user_id, "device_id": device_id}
        self.ids = [uuid7(self.at) for _ in range(3)]
        # What its open transaction has locked.
        self.dirty: set[str] = set()

    def write(self, kind: str, number: int, *, put: bool, undone: bool) -> None:
        """`undone`: the same in a savepoint that is rolled back."""
        statement = (PUT if put else DROP)[kind]
        values = {"id": self.ids[number], "at": self.at, "text": uuid4().hex[:8], **self.named}
        if undone:
            with self.db.transaction(force_rollback=True):
                self.db.execute(statement, values)
        else:
            self.db.execute(statement, values)
        self.dirty.add(kind)

    def write_nothing(self) -> None:
        self.db.execute("UPDATE notifications SET title = title WHERE id = ANY(%s)", (self.ids,))

    def end(self, *, commit: bool = True) -> None:
        (self.db.commit if commit else self.db.rollback)()
        self.dirty.clear()

    def leave(self) -> None:
        self.db.rollback()
        IDLE.append(self.db)


def close_idle() -> None:
    while IDLE:
        IDLE.pop().close()
