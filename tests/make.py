"""Rows for tests, made by the product's own services wherever there is one."""

import hashlib
import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from accounts import services as accounts
from accounts.models import User
from accounts.sessions import Client
from devices import services as devices
from devices.models import Device
from zinzino import clock

# What the `statements` fixture gives: `with statements(4): ...`.
Statements = Callable[[int], AbstractContextManager[None]]

PASSWORD = "SecurePassword123!"

_numbers = itertools.count(1)


def mac(number: int | None = None) -> str:
    number = number or next(_numbers)
    return "AA:BB:CC:" + ":".join(f"{number >> shift & 0xFF:02X}" for shift in (16, 8, 0))


def person(email: str | None = None, *, now: datetime | None = None, **fields: Any) -> accounts.SignIn:
    """A registered person with a session."""
    return accounts.register(
        email=email or f"person{next(_numbers)}@example.com",
        password=PASSWORD,
        full_name=fields.pop("full_name", "Ayşe Yılmaz"),
        client=Client(platform="ios", app_version="1.0.0"),
        now=now or clock.now(),
        **fields,
    )


@dataclass(frozen=True, slots=True)
class Dispenser:
    row: Device
    token: str

    @property
    def id(self) -> UUID:
        return self.row.pk


def dispenser(user: User, *, now: datetime | None = None, **described: Any) -> Dispenser:
    """A registered dispenser of a person, with its token."""
    number = next(_numbers)
    described = {
        "device_name": "Mutfak Dispenseri",
        "device_type": "fish_oil",
        "mac_address": mac(number),
        "serial_number": f"ZNZ-2024-{number:05d}",
        "location": "Mutfak",
        **described,
    }
    return Dispenser(*devices.register(user.id, user.timezone, now=now or clock.now(), **described))


def redis_away() -> redis.Redis:
    """A Redis that refuses every connection, at once."""
    return redis.Redis(host="127.0.0.1", port=9, retry=Retry(NoBackoff(), 0))


def uuid_of(number: int) -> UUID:
    """Always the same, and spread as random ones are."""
    return UUID(bytes=hashlib.md5(str(number).encode(), usedforsecurity=False).digest(), version=4)
