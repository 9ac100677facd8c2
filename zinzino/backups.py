"""Backups of the database, and their restoring: pg_dump and pg_restore with care around them."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

from django.conf import settings
from django.db import connection, connections
from psycopg.conninfo import make_conninfo
from redis.exceptions import RedisError

from zinzino import clock
from zinzino.embedded.layout import EmbeddedError
from zinzino.embedded.postgres import binaries
from zinzino.redis_client import client

# What of a connection's options pg_dump and pg_restore must know, too.
PASSED_ON = ("sslmode", "sslrootcert", "sslcert", "sslkey", "connect_timeout", "target_session_attrs")
CHUNK_BYTES = 1 << 20
# When the last one of each went well: for Prometheus, so that it may be lost with Valkey.
ACTS = ("backup_db", "restore_check")


class BackupFailed(Exception):
    """The message says what and why."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A dump, and beside it a page about it: `zinzino-20260131T020000Z.dump` and `….json`."""

    dump: Path

    @property
    def page(self) -> Path:
        return self.dump.with_suffix(".json")

    def facts(self) -> dict[str, Any]:
        """Raises BackupFailed where the page is missing or the dump is not what it describes."""
        try:
            facts: dict[str, Any] = json.loads(self.page.read_bytes())
            if facts["sha256"] == digest(self.dump):
                return facts
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BackupFailed(f"{self.page} does not describe a dump: {error}.") from error
        raise BackupFailed(f"{self.dump} is not what was written: its sha256 is another.")


def made(folder: Path) -> list[Backup]:
    """The whole backups of a folder, newest first; one without its page was cut off."""
    found = (Backup(dump) for dump in folder.glob("zinzino-*.dump"))
    return sorted((each for each in found if each.page.exists()), key=lambda each: each.dump.name, reverse=True)


def back_up(folder: Path, *, now: datetime) -> Backup:
    """One consistent snapshot of the whole database, as one file that only this account can read.

    Raises BackupFailed; nothing of a failed one stays behind.
    """
    backup = Backup(folder / f"zinzino-{now:%Y%m%dT%H%M%SZ}.dump")
    draft = backup.dump.with_suffix(".part")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft.touch(mode=0o600, exist_ok=False)
        facts = {"taken_at": clock.iso(now), "version": settings.VERSION, **facts_of_database()}
        run("pg_dump", "--format=custom", "--no-owner", f"--file={draft}")
        flushed(draft)
        backup.page.write_text(
            json.dumps(facts | {"bytes": draft.stat().st_size, "sha256": digest(draft)}, indent=2) + "\n"
        )
        draft.rename(backup.dump)
    except OSError as error:
        raise BackupFailed(f"{folder} cannot be written: {error.strerror or error}.") from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    return backup


def facts_of_database() -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT app, max(name) FROM django_migrations GROUP BY app ORDER BY app")
        migrations = dict(cursor.fetchall())
        cursor.execute("SHOW server_version")
        return {"server_version": cursor.fetchone()[0], "migrations": migrations}


def prune(folder: Path, *, keep: int, dry_run: bool = False) -> list[Backup]:
    """Delete all but the newest `keep` backups; which."""
    old = made(folder)[keep:]
    for backup in old if not dry_run else ():
        # The page last: what has none is no backup.
        backup.dump.unlink()
        backup.page.unlink()
    return old


def remember(act: str, *, now: datetime) -> None:
    """That one of the ACTS went well. A Valkey that is away is no reason for it to fail."""
    with suppress(RedisError):
        client().set(f"done:{act}:at_ms", clock.epoch_ms(now))


def ages_s(*, now: datetime) -> dict[str, float]:
    """Since the last good one of each act; without those that nobody knows of."""
    try:
        found = cast("list[bytes | None]", client().mget([f"done:{act}:at_ms" for act in ACTS]))
    except RedisError:
        return {}
    return {act: clock.epoch_ms(now) / 1000 - int(at) / 1000 for act, at in zip(ACTS, found, strict=True) if at}


def restore(backup: Backup, *, jobs: int) -> None:
    """Into the database of the settings, which must be empty. Raises BackupFailed."""
    backup.facts()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
        )
        if cursor.fetchone()[0]:
            name = connection.settings_dict["NAME"]
            raise BackupFailed(f"The database {name} has tables. Make an empty one, and name it in DATABASE_URL.")
    connection.close()
    run("pg_restore", "--exit-on-error", "--no-owner", f"--jobs={jobs}", before=str(backup.dump))


@contextmanager
def scratch_database() -> Iterator[str]:
    """An empty database beside that of the settings, which for this while is the one that is used."""
    name = f"zinzino_check_{uuid4().hex[:12]}"
    params = connections.settings["default"]
    own = params["NAME"]
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    try:
        use_database(params, name)
        yield name
    finally:
        use_database(params, own)
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def use_database(params: dict[str, Any], name: str) -> None:
    connection.close()
    params["NAME"] = name


def run(tool: str, *options: str, before: str = "") -> None:
    """One of PostgreSQL's own programs at the database of the settings; its password is in no argument list."""
    params = connection.get_connection_params()
    passed = {name: params[name] for name in PASSED_ON if name in params}
    where = {name: params[name] for name in ("host", "port", "user", "dbname") if params.get(name)}
    command = [
        program(tool),
        *options,
        f"--dbname={make_conninfo(**where, **passed)}",
        *([before] if before else []),
    ]
    password = {"PGPASSWORD": params["password"]} if params.get("password") else {}
    done = subprocess.run(command, env={**os.environ, **password}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BackupFailed(f"{tool}: {done.stderr.strip() or done.returncode}")


def program(tool: str) -> str:
    """The embedded server's, which understands servers up to its own version; else the machine's."""
    with suppress(EmbeddedError):
        own = binaries() / tool
        if own.exists():
            return str(own)
    found = shutil.which(tool)
    if not found:
        raise BackupFailed(f"There is no {tool}: install PostgreSQL's client programs.")
    return found


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flushed(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
