"""Who may use the MQTT broker: Mosquitto's password and ACL files, made from the device tokens (iot.md 3).

A unit's line appears when its token was first used over HTTP, and goes with the token: Mosquitto drops its
connection when it reads the files anew.
"""

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import connection

from devices.credentials import mqtt_hash
from zinzino.mosquitto import Mosquitto

# A trigger on device_credentials notifies it (migration 0007).
CHANNEL = "broker_users"
# What a unit may say; any topic below its own would let it leave messages there without end.
UP = ("hello", "evt", "req", "cmd", "fw", "hb", "presence")
BRIDGES_AT_MOST = 16


def bridge_name(index: int) -> str:
    """User name and client id in one: the broker takes no client id from a client, or whoever has a token could
    throw a bridge out by calling itself the same."""
    return f"znz-bridge-{settings.MQTT_CELL}-{index}"


def acl() -> str:
    """Written once for the whole fleet: a unit's name is its device id."""
    bridges = [f"user {bridge_name(index)}\ntopic readwrite znz/v1/#\n" for index in range(BRIDGES_AT_MOST)]
    up = [f"pattern write znz/v1/%u/up/{kind}" for kind in UP]
    return "\n".join([*bridges, *up, "pattern read znz/v1/%u/down/#", ""])


# The token in use of every dispenser. Those of people who are gone ended with their account.
USERS = """
SELECT DISTINCT ON (device_id) device_id::text, mqtt_hash FROM device_credentials
 WHERE ended_at IS NULL AND first_used_at IS NOT NULL AND mqtt_hash <> '' ORDER BY device_id, id DESC"""


@dataclass(frozen=True, slots=True)
class Files:
    """Where the broker reads who may use it."""

    folder: Path
    # The broker's own; it is told of changes where this file names a process.
    pid_file: Path | None = None

    @classmethod
    def of(cls, broker: Mosquitto) -> "Files":
        return cls(broker.auth, broker.pid_file)

    def sync(self) -> int | None:
        """Write what has changed and tell the broker; the number of units, None where all was as it is."""
        users = units()
        bridges = [(bridge_name(index), self.bridge_hash()) for index in range(BRIDGES_AT_MOST)]
        lines = "".join(f"{name}:{hashed}\n" for name, hashed in (*users, *bridges))
        changed = [write(self.folder / "acl", acl()), write(self.folder / "passwords", lines)]
        if not any(changed):
            return None
        self.tell()
        return len(users)

    def bridge_hash(self) -> str:
        """The same every time, or the bridge would be dropped at every change."""
        return mqtt_hash(settings.MQTT_PASSWORD, salt=b"zinzino-brdg")

    def tell(self) -> None:
        with suppress(FileNotFoundError, ProcessLookupError, ValueError):
            if self.pid_file:
                os.kill(int(self.pid_file.read_text()), signal.SIGHUP)


def units() -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(USERS)
        return [(name, hashed) for name, hashed in cursor.fetchall()]


def write(path: Path, text: str) -> bool:
    """Replace a file as a whole; whether it was another."""
    with suppress(FileNotFoundError):
        if path.read_text() == text:
            return False
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o640)
    fresh.write_text(text)
    fresh.replace(path)
    return True
