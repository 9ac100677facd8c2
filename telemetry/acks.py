"""How far a dispenser's journal is safe with us (iot.md 2, cumulative acknowledgement). Pure.

What was taken of one boot is a list of bounds `[first, last, first, last, …]`, ascending, without touching
neighbours: as short as its gaps are few.
"""

from bisect import bisect_right
from collections.abc import Iterable

# A dispenser that leaves out every second number would make it grow for ever. What is forgotten beyond is
# only acknowledged later: the dispenser sends it again.
GAPS_REMEMBERED = 200


def with_taken(bounds: list[int], numbers: Iterable[int]) -> list[int]:
    """The bounds after more numbers were taken."""
    spans = [[bounds[i], bounds[i + 1]] for i in range(0, len(bounds), 2)]
    spans += [[number, number] for number in set(numbers)]
    merged: list[list[int]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], last)
        else:
            merged.append([first, last])
    return [bound for span in merged[: GAPS_REMEMBERED + 1] for bound in span]


def since(first: int, bounds: list[int]) -> list[int]:
    """Without what lies before `first`: the dispenser has it no more."""
    return [bound for i in range(0, len(bounds), 2) if bounds[i + 1] >= first - 1 for bound in bounds[i : i + 2]]


def acknowledged(bounds: list[int], *, first: int) -> int:
    """The greatest number up to which all from `first` on were taken; `first - 1` where it is missing."""
    position = bisect_right(bounds[::2], first) - 1
    if position >= 0 and bounds[2 * position] <= first <= bounds[2 * position + 1]:
        return bounds[2 * position + 1]
    return first - 1


def advanced(
    known: tuple[int, list[int]] | None, numbers: list[int], *, first: int | None
) -> tuple[int, list[int]]:
    """How far a boot is acknowledged after `numbers`, and what was taken of it; `first` as its envelope says."""
    acked, taken = known or (0, [])
    first = acked + 1 if first is None else max(1, first)
    taken = since(first, with_taken(taken, numbers))
    return acknowledged(taken, first=first), taken
