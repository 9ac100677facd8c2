import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from zinzino import clock
from zinzino.api import ratelimit, signing
from zinzino.redis_client import client as redis_client


@dataclass
class Caller:
    """An HTTP client with an address of its own, so that its counters start at zero."""

    address: str = field(default_factory=lambda: ".".join(map(str, (10, *secrets.token_bytes(3)))))
    headers: dict[str, str] = field(default_factory=dict)
    http: Client = field(default_factory=lambda: Client(raise_request_exception=False), repr=False)

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        content = body if isinstance(body, (str, bytes)) else json.dumps({} if body is None else body)
        return self.http.generic(
            method,
            path,
            content,
            content_type=headers.pop("content_type", "application/json"),
            headers=self.headers | headers,
            REMOTE_ADDR=self.address,
        )

    def get(self, path: str, **headers: str) -> Any:
        return self("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self("POST", path, body, **headers)


@pytest.fixture
def caller() -> Caller:
    return Caller()


def access_token(*, user_id: str | None = None, **claims: Any) -> str:
    now = clock.epoch_ms(clock.now()) // 1000
    known = {"token_type": "access", "user_id": user_id or str(uuid4()), "sid": str(uuid4()), "rid": str(uuid4())}
    return signing.encode({**known, "iat": now, "exp": now + 60, **claims}, key_name="")


@pytest.fixture
def redis_away(settings: Any) -> Iterator[None]:
    """A Redis that refuses connections."""
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    redis_client.cache_clear()
    ratelimit.outage = ratelimit.Outage()
    yield
    redis_client.cache_clear()
    ratelimit.outage = ratelimit.Outage()
