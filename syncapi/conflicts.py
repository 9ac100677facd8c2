"""Which fields of an edit take effect, and which lose against a change that its author had not seen. Pure.

All times are stamps of the user's own commit-ordered clock; no client's clock orders anything.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class History:
    """What the log knows of an object: when each field last changed, and before when nothing is known."""

    changed_at: Mapping[str, datetime]
    known_since: datetime
    # Stamps of earlier writes by the author, who needs no answer to know them.
    own: Collection[datetime] = ()


@dataclass(frozen=True, slots=True)
class Merge:
    writes: dict[str, Any] = field(default_factory=dict)
    # The fields that lost, with the stamp of the change that won; None where it is no longer known.
    lost: dict[str, datetime | None] = field(default_factory=dict)


def merged(
    proposed: Mapping[str, Any],
    current: Mapping[str, Any],
    *,
    guarded: Collection[str],
    history: History,
    base: datetime,
) -> Merge:
    """`base` is the stamp up to which the author knew the object. A value that is there already is no write.

    Of fields that are not guarded the last writer wins.
    """
    merge = Merge()
    for name, value in proposed.items():
        if value == current[name]:
            continue
        if name in guarded and not known(history, name, base):
            merge.lost[name] = history.changed_at.get(name)
        else:
            merge.writes[name] = value
    return merge


def known(history: History, name: str, base: datetime) -> bool:
    """Whether the author had seen the last change of the field."""
    if base < history.known_since:
        return False
    changed_at = history.changed_at.get(name)
    return changed_at is None or changed_at <= base or changed_at in history.own
