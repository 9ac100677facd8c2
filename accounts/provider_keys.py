"""The signing keys of Google and Apple, kept by each process and used on while a provider is down."""

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import requests
import structlog

from zinzino.api.errors import ServiceUnavailable

log = structlog.get_logger(__name__)

# How long a copy counts as fresh: what the provider says, within these bounds.
SHORTEST, USUAL, LONGEST = timedelta(minutes=1), timedelta(hours=1), timedelta(hours=6)
STALE_FOR = timedelta(hours=24)
# While a provider is down, one sign-in in this time waits to find out.
BREAK = timedelta(seconds=10)
# A key id that the copy does not hold is asked for once in this time, all of them together a few times.
ASK_EVERY = timedelta(minutes=1)
MOST_ASKED = 5
CONNECT_S, READ_S = 2.0, 3.0
MAX_BYTES = 256 * 1024


class KeysUnreachable(ServiceUnavailable):
    """The provider does not answer, and nothing usable is left of its last answer."""


class UnusableDocument(requests.RequestException):
    """What the address answered is no set of keys."""


@dataclass(frozen=True, slots=True)
class Copy:
    text: bytes
    key_ids: frozenset[str]
    fetched_at: datetime
    fresh_until: datetime


class KeyDocument:
    """One provider's document, safe for any number of threads: one asks, the others wait for its answer."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.copy: Copy | None = None
        self._lock = threading.Lock()
        self._failed_at: datetime | None = None
        self._asked: dict[str, datetime] = {}

    def holds(self, key_id: str, *, now: datetime) -> bool:
        """Whether the provider has this key. Raises KeysUnreachable where that cannot be known."""
        copy = self.copy
        if copy is None or now >= copy.fresh_until or (key_id not in copy.key_ids and self._may_ask(key_id, now)):
            copy = self._renewed(copy, now)
        if copy is None or now >= copy.fetched_at + STALE_FOR:
            raise KeysUnreachable
        if key_id not in copy.key_ids and self._failed_at:
            raise KeysUnreachable
        return key_id in copy.key_ids

    def _may_ask(self, key_id: str, now: datetime) -> bool:
        """Strangers invent key ids: what they can make us fetch is bounded."""
        with self._lock:
            self._asked = {known: at for known, at in self._asked.items() if now - at < ASK_EVERY}
            allowed = key_id not in self._asked and len(self._asked) < MOST_ASKED
            if allowed:
                self._asked[key_id] = now
            return allowed

    def _renewed(self, seen: Copy | None, now: datetime) -> Copy | None:
        with self._lock:
            pause = self._failed_at and now - self._failed_at < BREAK
            # Another thread may have fetched it while this one waited for the lock.
            if self.copy is seen and not pause:
                self._fetch(now)
            return self.copy

    def _fetch(self, now: datetime) -> None:
        try:
            self.copy = fetched(self.url, now)
            self._failed_at = None
        except requests.RequestException as error:
            self._failed_at = now
            log.warning("the keys of a provider were not fetched", url=self.url, error=type(error).__name__)


@cache
def document(url: str) -> KeyDocument:
    return KeyDocument(url)


def fetched(url: str, now: datetime) -> Copy:
    """Ask the provider. Raises requests.RequestException."""
    with requests.Session() as session:
        response = session.get(url, timeout=(CONNECT_S, READ_S), allow_redirects=False, stream=True)
        if response.status_code != 200:
            raise UnusableDocument(response.status_code)
        text = bytearray()
        for chunk in response.iter_content(16_384):
            text += chunk
            if len(text) > MAX_BYTES:
                raise UnusableDocument(len(text))
    return Copy(bytes(text), key_ids(bytes(text)), now, now + lifetime(response.headers))


def key_ids(text: bytes) -> frozenset[str]:
    """The ids in a JWKS (Apple) or in a map of ids to certificates (Google)."""
    try:
        document = json.loads(text)
        keys = document.get("keys", document)
        found = frozenset(key["kid"] for key in keys) if isinstance(keys, list) else frozenset(keys)
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError) as error:
        raise UnusableDocument from error
    if not found:
        raise UnusableDocument
    return found


def lifetime(headers: Mapping[str, str]) -> timedelta:
    said = re.search(r"\bmax-age=(\d{1,9})\b", headers.get("Cache-Control", ""))
    return min(max(timedelta(seconds=int(said[1])), SHORTEST), LONGEST) if said else USUAL


class KeptKeys(requests.Session):
    """The session that allauth fetches keys with: it answers from our copy and reaches no network at all."""

    def get(self, url: str | bytes, **_kwargs: object) -> requests.Response:  # type: ignore[override]
        copy = document(str(url)).copy
        if copy is None:
            raise UnusableDocument(url)
        response = requests.Response()
        response.status_code, response._content = 200, copy.text
        return response
