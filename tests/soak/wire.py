"""One request and what became of it."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import urllib3

CONNECTIONS = 96
TIMEOUT = urllib3.Timeout(connect=3.0, read=15.0)
OK = "ok"


@dataclass(slots=True)
class Ask:
    """What is sent. `ok` hears what a success says; `again` has it sent until somebody has answered."""

    kind: str
    method: str
    path: str
    token: str
    body: Any = None
    file: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    ok: Callable[[Any], None] = lambda _data: None
    again: bool = False
    since: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Sample:
    """What a client has seen; moments are of the monotonic clock. `first` is false for what was sent again."""

    kind: str
    due: float
    ended: float
    outcome: str
    first: bool = True

    @property
    def waited(self) -> float:
        return self.ended - self.due

    @property
    def is_ok(self) -> bool:
        return self.outcome == OK


@dataclass(frozen=True, slots=True)
class Answer:
    outcome: str
    data: Any = None
    retry_after: float = 1.0


class Wire:
    def __init__(self, port: int) -> None:
        self.pool = urllib3.HTTPConnectionPool(
            "127.0.0.1", port, maxsize=CONNECTIONS, retries=False, timeout=TIMEOUT
        )

    def __call__(self, ask: Ask) -> Answer:
        headers = {"Authorization": f"Bearer {ask.token}", **ask.headers}
        try:
            if ask.file:
                fields = {"file": ("photo.jpg", ask.file, "image/jpeg")}
                answer = self.pool.request(ask.method, f"/v1{ask.path}", fields=fields, headers=headers)
            else:
                body = None if ask.body is None else json.dumps(ask.body)
                headers["Content-Type"] = "application/json"
                answer = self.pool.request(ask.method, f"/v1{ask.path}", body=body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            return Answer(f"broken: {type(error).__name__}")
        return judged(answer.status, answer.headers, answer.data)


def judged(status: int, headers: Mapping[str, str], content: bytes) -> Answer:
    """`ok`; `refused 503` where the envelope says so and when to come again; `wrong …` for all that may not be."""
    try:
        body = json.loads(content)
    except ValueError:
        return Answer(f"wrong {status}: no JSON")
    if 200 <= status < 300:
        return (
            Answer(OK, body.get("data")) if body.get("success") is True else Answer(f"wrong {status}: no success")
        )
    error = body.get("error") or {}
    if status == 503 and error.get("code") == "SERVICE_UNAVAILABLE" and "Retry-After" in headers:
        return Answer("refused 503", retry_after=float(headers["Retry-After"]))
    return Answer(f"wrong {status}: {error.get('code')} {json.dumps(error.get('details'))[:200]}")
