"""HTTP as a phone or a dispenser has to speak it: repeated safely until the server has answered."""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

MOUNT = "/v1"
# What a caller repeats: the answer is not about the request, but about the state of the server.
PASSING = {httpx.codes.TOO_MANY_REQUESTS, httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE}
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 5.0
TIMEOUT = httpx.Timeout(20, connect=5)
ERROR_FIELDS = {"code", "message", "details", "timestamp", "request_id"}
LIMIT_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


class Unanswered(Exception):
    """The server gave no final answer for as long as we are patient."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The final answer to one call."""

    status: int
    body: Mapping[str, Any]
    # How often it was repeated: an earlier try may have taken effect without our knowing.
    retries: int = 0
    # From sending the last try to its answer.
    elapsed_s: float = 0.0

    @property
    def data(self) -> Any:
        return self.body.get("data")

    def field(self, path: str) -> Any:
        """A value by its path, `plan__dose__amount`; None where there is none. Errors count as data."""
        found: Any = self.body.get("data", self.body.get("error"))
        for name in path.split("__"):
            found = found.get(name) if isinstance(found, Mapping) else None
        return found

    def rows(self, path: str = "") -> list[dict[str, Any]]:
        found = self.field(path) if path else self.data
        return found if isinstance(found, list) else []

    def __str__(self) -> str:
        code, message = self.field("code"), self.field("message")
        return f"{self.status} {code}: {message}" if self.status >= httpx.codes.BAD_REQUEST else str(self.status)


def unheard(_text: str) -> None:
    """Nobody watches the waiting."""


@dataclass
class Wire:
    """A connection to one server that counts what it does and what it has to survive."""

    url: str
    dice: random.Random
    # How long one call is repeated before we give up.
    patience_s: float = 90.0
    transport: httpx.BaseTransport | None = None
    sleep: Callable[[float], None] = time.sleep
    on_wait: Callable[[str], None] = unheard
    calls: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    # Answers that break the contract whatever was asked.
    flaws: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        # No proxy of the environment: what is shown is this server, as it answers.
        self.http = httpx.Client(base_url=self.url, timeout=TIMEOUT, transport=self.transport, trust_env=False)

    def send(self, method: str, path: str, body: Any = None, *, token: str = "", key: str = "") -> Answer:
        """The final answer. The same request goes out again after a lost connection, 429, 502 and 503.

        Raises Unanswered.
        """
        self.calls += 1
        credentials = {"Authorization": f"Bearer {token}"} if token else {}
        headers = credentials | ({"Idempotency-Key": key} if key else {}) | {"Accept-Language": "en"}
        request = self.http.build_request(method, MOUNT + path, json=body, headers=headers)
        started, retries = time.monotonic(), 0
        while True:
            sent = time.monotonic()
            response, fault = self.once(request)
            if response is not None and not fault:
                return self.answer(response, retries, time.monotonic() - sent)
            wait = self.wait_s(response, retries)
            if time.monotonic() + wait - started > self.patience_s:
                raise Unanswered(f"{method} {path}: {fault} for {time.monotonic() - started:.0f} s")
            self.on_wait(f"{fault}, again in {wait:.1f} s")
            self.sleep(wait)
            retries += 1

    def once(self, request: httpx.Request) -> tuple[httpx.Response | None, str]:
        """One try: the response, and what was wrong with it if it must be repeated."""
        try:
            response = self.http.send(request)
        except httpx.TransportError as error:
            self.faults[type(error).__name__] += 1
            return None, type(error).__name__
        fault = fault_of(response)
        if fault:
            self.faults[fault] += 1
        return response, fault

    def wait_s(self, response: httpx.Response | None, retries: int) -> float:
        """What the server asks for, else ever longer; never the same for two callers."""
        asked = response.headers.get("Retry-After", "") if response is not None else ""
        if asked.isdigit():
            return int(asked) + self.dice.uniform(0, 0.5)
        longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(retries, 10))
        return self.dice.uniform(longest / 2, longest)

    def answer(self, response: httpx.Response, retries: int, elapsed_s: float) -> Answer:
        body = envelope(response)
        if flaw := flaw_of(response, body):
            request = response.request
            self.flaws.append(f"{request.method} {request.url.path}, {response.status_code}: {flaw}")
        return Answer(response.status_code, body, retries, elapsed_s)

    def close(self) -> None:
        self.http.close()


def fault_of(response: httpx.Response) -> str:
    if response.status_code not in PASSING:
        return ""
    # A proxy's page for a server that is away is as good, but worth telling apart.
    return str(response.status_code) + ("" if "error" in envelope(response) else " without envelope")


def envelope(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def flaw_of(response: httpx.Response, body: Mapping[str, Any]) -> str:
    """What is wrong with the envelope of a final answer; keys that we do not know are fine."""
    if missing := [name for name in ("X-Request-ID", *LIMIT_HEADERS) if name not in response.headers]:
        return f"without {', '.join(missing)}"
    if body.get("success") is not response.is_success:
        return f"success is {body.get('success')!r}"
    if response.is_success:
        return "" if {"data", "message"} & set(body) else "neither data nor message"
    error = body.get("error")
    if not isinstance(error, Mapping) or not set(error) >= ERROR_FIELDS:
        return "the error is incomplete"
    return "" if error["request_id"] == response.headers["X-Request-ID"] else "two request ids"
