"""What is said to a phone, and what its provider makes of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Protocol
from uuid import UUID

from notifications.models import PushToken


@dataclass(frozen=True, slots=True)
class Push:
    """One message to one phone. `id` is the same at every attempt, so that the phone shows it once."""

    id: UUID
    token: str
    platform: str
    kind: str
    title: str
    body: str
    expires_at: datetime
    data: Mapping[str, str] = field(default_factory=dict)
    # Wakes the app without showing anything.
    silent: bool = False


class Verdict(Enum):
    SENT = auto()
    # A time-out, an overload, a failure of theirs: try again.
    RETRY = auto()
    # The phone is not there any more: never send to this token again.
    GONE = auto()
    # They do not take what we wrote: a bug of ours, which says nothing about the phone.
    REJECTED = auto()
    # They do not believe that it is us: no push of this route can pass.
    REFUSED = auto()


@dataclass(frozen=True, slots=True)
class Outcome:
    verdict: Verdict
    # The provider's own word for it.
    detail: str = ""
    retry_after_s: float | None = None
    end_reason: PushToken.EndReason = PushToken.EndReason.UNREGISTERED
    # Since when the provider knows the phone as gone.
    gone_at: datetime | None = None
    # Whether it was the provider that did not answer, as opposed to one message that has to wait.
    is_outage: bool = False


SENT = Outcome(Verdict.SENT)
# It is stored: half a surrogate or a NUL would hold up all that is written down with it.
UNSAFE = re.compile(r"[^\x20-\x7e]")


def readable(said: object) -> str:
    """A provider's word, whatever it is, so that it can be kept in `detail`."""
    return UNSAFE.sub("?", str(said))[:200]


def outage(detail: str, *, retry_after_s: float | None = None) -> Outcome:
    return Outcome(Verdict.RETRY, detail, retry_after_s, is_outage=True)


class Gateway(Protocol):
    """A provider. `send` never raises and never sleeps; several threads may call it at once."""

    def send(self, push: Push, *, now: datetime) -> Outcome: ...
