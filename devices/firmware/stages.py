"""Whom a rollout reaches, and when it goes on or stops. Pure (iot.md 4)."""

import hashlib
from datetime import datetime, timedelta
from uuid import UUID

PLACES = 10_000
# Fewer finished units say nothing.
LEAST_SAMPLE = 20
HALT_AT_PERCENT = 5
ADVANCE_AT_PERCENT = 95
STAGE_LASTS = timedelta(hours=24)


def place_of(rollout_id: UUID, device_id: UUID) -> int:
    """Where a unit stands in a rollout, from 0 to 9999: always the same, and another in each rollout."""
    digest = hashlib.sha256(rollout_id.bytes + device_id.bytes).digest()
    return int.from_bytes(digest[:8]) % PLACES


def reaches(rollout_id: UUID, device_id: UUID, *, percent: int) -> bool:
    """Whether a unit is among the first `percent` of a rollout; who is in stays in as it grows."""
    return place_of(rollout_id, device_id) * 100 < percent * PLACES


def must_halt(*, succeeded: int, failed: int) -> bool:
    finished = succeeded + failed
    return finished >= LEAST_SAMPLE and failed * 100 >= HALT_AT_PERCENT * finished


def may_advance(*, succeeded: int, failed: int, since: datetime, now: datetime) -> bool:
    finished = succeeded + failed
    good = finished >= LEAST_SAMPLE and succeeded * 100 >= ADVANCE_AT_PERCENT * finished
    return good and now - since >= STAGE_LASTS


def problem_of(stages: list[int]) -> str | None:
    """What is wrong with a list of stages."""
    if not stages or not all(1 <= percent <= 100 for percent in stages):
        return "Stages are percents from 1 to 100."
    if sorted(set(stages)) != stages:
        return "Each stage must reach more units than the one before."
    return None
