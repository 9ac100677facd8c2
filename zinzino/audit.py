"""What staff did and whom they looked at, for ever: one row an act, which nobody can change (ADR 0027).

Ids only: a name or an address in here would outlive the person it belongs to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from zinzino import clock
from zinzino.api.context import current_request_id
from zinzino.models import AuditEntry

REASON_AT_MOST = 500


@dataclass(frozen=True, slots=True)
class Actor:
    """A member of staff, and where they sit."""

    id: UUID | None
    name: str
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Thing:
    """What the act was about: `customer`, `device`, or the name of a model."""

    type: str
    id: str = ""


def record(
    actor: Actor,
    action: str,
    about: Thing,
    *,
    reason: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """Write an act down, in the transaction of the act itself where it changes anything."""
    return AuditEntry.objects.create(
        at=clock.now(),
        actor_id=actor.id,
        actor=actor.name,
        address=actor.address,
        action=action,
        object_type=about.type,
        object_id=about.id,
        reason=reason[:REASON_AT_MOST],
        before=None if before is None else dict(before),
        after=None if after is None else dict(after),
        request_id=current_request_id(),
    )
