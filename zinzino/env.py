"""Typed readers for the environment: a wrong value stops the start and says which and why."""

import base64
import json
import os
import re
import secrets
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from django.core.exceptions import ImproperlyConfigured
from environ import FileAwareEnv

PLACEHOLDERS = ("change-me", "changeme", "secret", "insecure", "password", "example")


class Env(FileAwareEnv):
    """django-environ with ranges and choices; `NAME_FILE` reads a value from a file (Docker secrets)."""

    def get_value(self, var: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().get_value(var, *args, **kwargs)
        except OSError as error:
            raise refused(f"{var}_FILE", "names a file that cannot be read") from error

    def database(self, name: str, default: str, **options: str | int | None) -> dict[str, Any]:
        """A database address such as `postgres://user:password@host:5432/name`, as Django wants it.

        It may name several hosts (`@one:5432,two:5432/name`), and options of libpq behind a question mark, which
        go before ours.
        """
        address: str = self.str(name, default="") or default
        if not address.startswith(("postgres://", "postgresql://")):
            raise refused(name, "is not an address of PostgreSQL")
        parsed: dict[str, Any] = self.db_url_config(address)  # type: ignore[no-untyped-call]
        return {
            **parsed,
            "ENGINE": "zinzino.postgresql",
            "OPTIONS": options | parsed.get("OPTIONS", {}),
        }

    def valkey(self, name: str, default: str) -> str:
        """The address of a Valkey or Redis."""
        address: str = self.str(name, default="") or default
        if not re.match(r"(rediss?://[^\s/]+|unix://\S)", address):
            raise refused(name, "is not an address such as redis://127.0.0.1:6379/0")
        return address

    def mail_server(self, name: str) -> dict[str, Any]:
        """Django's EMAIL_* settings from an address such as `smtp+tls://user:password@host:587`, or none."""
        address: str = self.str(name, default="")
        if not address:
            return {}
        if not re.match(r"smtp(\+tls|\+ssl)?://[^\s/]+", address):
            raise refused(name, "is not an address such as smtp+tls://user:password@host:587")
        parsed: dict[str, Any] = self.email_url_config(address)  # type: ignore[no-untyped-call]
        return {key: value for key, value in parsed.items() if value and key != "EMAIL_BACKEND"}

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        try:
            value = self.int(name, default=default)
        except (ImproperlyConfigured, ValueError) as error:
            raise refused(name, "is not a whole number") from error
        if not least <= value <= most:
            raise refused(name, f"is {value}, outside {least} to {most}")
        return value

    def kept_number(self, path: Path, default: int) -> int:
        """The number that this data folder has kept, or the default."""
        said = path.read_text().strip() if path.exists() else ""
        return int(said) if said.isdecimal() else default

    def flag(self, name: str, *, default: bool) -> bool:
        value = self.str(name, default=str(default)).lower()
        if value not in {"true", "false", "1", "0", "yes", "no", "on", "off"}:
            raise refused(name, f"is {value!r}, not true or false")
        return value in {"true", "1", "yes", "on"}

    def choice(self, name: str, default: str, among: tuple[str, ...]) -> str:
        value: str = self.str(name, default=default)
        if value not in among:
            raise refused(name, f"is {value!r}, not one of {', '.join(among)}")
        return value

    def per_minute(self, name: str, default: str) -> int:
        """A rate written `100/min`: requests a minute."""
        value: str = self.str(name, default=default)
        match = re.fullmatch(r"([1-9]\d{0,8})/min", value)
        if not match:
            raise refused(name, f"is {value!r}, not a rate such as 100/min")
        return int(match[1])

    def zone(self, name: str, default: str) -> str:
        value: str = self.str(name, default=default)
        if value not in available_timezones():
            raise refused(name, f"is {value!r}, not an IANA time zone")
        return value

    def version(self, name: str) -> str:
        """A version such as 1.4.0, or nothing."""
        value: str = self.str(name, default="")
        if value and not re.fullmatch(r"\d{1,5}(\.\d{1,5}){0,3}", value):
            raise refused(name, f"is {value!r}, not a version such as 1.4.0")
        return value

    def instant(self, name: str, default: str) -> datetime:
        value: str = self.str(name, default=default)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError as error:
            raise refused(name, f"is {value!r}, not an ISO 8601 instant") from error
        if moment.tzinfo is None:
            raise refused(name, f"is {value!r}, without a time zone")
        return moment

    def web_url(self, name: str, default: str) -> str:
        value: str = self.str(name, default=default).rstrip("/")
        if not re.fullmatch(r"(https?|wss?)://[^\s/]+(/[^\s]*)?", value):
            raise refused(name, f"is {value!r}, not an absolute address")
        return value

    def key(self, name: str, *, production: bool, data_dir: Path) -> str:
        """A signing key. Production must bring a strong one; elsewhere one is made once and kept."""
        value: str = self.str(name, default="")
        if not value:
            if production:
                raise refused(name, "is missing; production does not start without it")
            return kept_secret(data_dir / "secrets" / name.lower())
        if production and weak(value):
            raise refused(name, "is too weak: at least 32 random characters are needed")
        return value

    def service_account(self, name: str) -> str:
        """The JSON of a Google service account's key, or nothing."""
        value: str = self.str(name, default="")
        try:
            account = json.loads(value or "{}")
            complete = not value or account.keys() >= {"project_id", "private_key", "client_email", "token_uri"}
        except (ValueError, AttributeError):
            complete = False
        if not complete:
            raise refused(name, "is not the JSON key of a service account")
        return value

    def pem(self, name: str) -> str:
        """A private key in PEM, or nothing; a variable of one line may write its line ends as `\\n`."""
        value: str = self.str(name, default="").replace("\\n", "\n").strip()
        if value and not re.fullmatch(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n.+\n-----END [A-Z ]*KEY-----", value, re.S
        ):
            raise refused(name, "is not a private key in PEM")
        return value

    def public_keys(self, name: str) -> dict[str, str]:
        """Ed25519 public keys by their names: `2026-a:BASE64,2026-b:BASE64`."""
        keys: dict[str, str] = {}
        for each in self.list(name, default=[]):
            key_id, _, key = each.strip().partition(":")
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,49}", key_id) or not is_32_bytes(key):
                raise refused(name, f"holds {each!r}, not a name, a colon and an Ed25519 public key in base64")
            keys[key_id] = key
        return keys

    def old_keys(self, name: str, *, production: bool, data_dir: Path) -> list[str]:
        """Former keys, comma-separated; else those that this data folder has kept, one a line."""
        kept = data_dir / "secrets" / name.lower()
        given = [each.strip() for each in self.list(name, default=[])]
        if production and any(map(weak, given)):
            raise refused(name, "holds a key that is too weak: whoever guesses it makes tokens of ours")
        return given or (kept.read_text().split() if kept.exists() else [])


def is_32_bytes(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 32
    except ValueError:
        return False


def weak(key: str) -> bool:
    return len(key) < 32 or len(set(key)) < 10 or key.lower().startswith(PLACEHOLDERS)


def refused(name: str, why: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"The setting {name} {why}.")


def kept_secret(path: Path) -> str:
    """The secret in `path`, made at the first call; safe when several processes start at once."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise refused("DATA_DIR", f"cannot be used: {path.parent}: {error.strerror}") from error
    try:
        # Written aside and linked: a second process sees the whole secret or none.
        draft = path.with_suffix(f".{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48))
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)
    return path.read_text()
