"""What was acknowledged, against what is there. Pure, but for the lock."""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass
class Channel:
    """One way in, as its client has seen it; moments are of the monotonic clock."""

    name: str
    # What the server has said it has, and when it said so.
    acknowledged: list[tuple[float, str]] = field(default_factory=list)
    # What was sent, whatever became of it: more than this must not be there.
    tried: set[str] = field(default_factory=set)
    refused: list[tuple[float, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def attempt(self, key: str) -> None:
        with self.lock:
            self.tried.add(key)

    def acknowledge(self, *keys: str) -> None:
        with self.lock:
            self.acknowledged += [(time.monotonic(), key) for key in keys]

    def refuse(self, why: str) -> None:
        with self.lock:
            self.refused.append((time.monotonic(), why))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Keys by what is wrong with them; all well where all are empty."""

    lost: list[str]
    doubled: list[str]
    unknown: list[str]

    @property
    def is_whole(self) -> bool:
        return not (self.lost or self.doubled or self.unknown)


def compare(acknowledged: Iterable[str], tried: Iterable[str], there: Mapping[str, int]) -> Comparison:
    """`there` counts the rows of each key. What was sent but not answered may be there once, or not."""
    sent = set(tried)
    return Comparison(
        lost=sorted(set(acknowledged) - there.keys()),
        doubled=sorted(key for key, count in there.items() if count > 1),
        unknown=sorted(there.keys() - sent),
    )


def longest_silence(answered: Sequence[float], *, since: float, until: float) -> float:
    """The longest time (seconds) without an answer that began after `since` and before `until`."""
    inside = [at for at in sorted(answered) if since < at < until]
    return max((later - before for before, later in pairwise([since, *inside, until])), default=0.0)


def reasons(refused: Sequence[tuple[float, str]], *, since: float, until: float) -> str:
    """How often what was said instead of an answer."""
    counts = Counter(why for at, why in refused if since < at < until)
    return ", ".join(f"{count} × {why}" for why, count in counts.most_common(4))
