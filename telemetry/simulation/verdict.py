"""Whether what the units know is what the database knows."""

import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from typing import Any
from uuid import UUID

from django.db import connection

from telemetry.simulation.unit import Unit

KEPT = "SELECT key FROM event_keys WHERE device_id = ANY(%s::uuid[]) AND key LIKE 'event:%%'"
STATES = "SELECT count(*) FROM device_states WHERE device_id = ANY(%s::uuid[])"
REQUESTS = "SELECT count(*) FROM event_keys WHERE device_id = ANY(%s::uuid[]) AND key LIKE 'request:%%'"
LETTERS = "SELECT count(*) FROM dead_letters WHERE device_id = ANY(%s::uuid[])"
DOSES = """
SELECT d.id::text, d.user_id, d.family, d.authorized_at, d.counts,
       make_interval(mins => coalesce((x.plan ->> 'min_interval_min')::int, 240))
  FROM dispenses d JOIN devices x ON x.id = d.device_id WHERE d.device_id = ANY(%s::uuid[])
 ORDER BY d.authorized_at"""


def reached(units: Sequence[Unit]) -> dict[str, Any]:
    """The report; `broken` names the invariants that do not hold."""
    ids = [unit.made.id for unit in units]
    noted = {f"event:{name}" for unit in units for name in unit.diary.noted}
    kept = {key for (key,) in asked(KEPT, ids)}
    ((states,),), ((requests,),), ((letters,),) = (asked(each, ids) for each in (STATES, REQUESTS, LETTERS))
    told = sum(len(unit.diary.states) for unit in units)
    in_flash = {f"event:{name}" for unit in units for name in unit.flash.journal}
    found = {
        "lost_events": len(noted - kept - in_flash),
        "unsynced_events": len(in_flash),
        "rows_too_many": max(0, states - told - requests),
        "dead_letters": letters,
        **doses(units, asked(DOSES, ids)),
    }
    poured = sum(len(unit.diary.poured) for unit in units)
    allowed = sum(len(unit.diary.allowed) for unit in units)
    return {
        **found,
        "events": len(noted),
        "requests": sum(unit.diary.asked for unit in units),
        "unanswered_requests": sum(unit.diary.unanswered for unit in units),
        "poured": poured,
        "missed_pours": allowed - poured,
        "reboots": sum(unit.diary.reboots for unit in units),
        "decision_ms": quantiles(ms for unit in units for ms in unit.diary.decisions_ms),
        "ack_ms": quantiles(ms for unit in units for ms in unit.diary.acks_ms),
        "broken": [name for name, count in found.items() if count] if noted else ["nothing_happened"],
    }


def doses(units: Sequence[Unit], rows: Sequence[tuple[Any, ...]]) -> dict[str, int]:
    """Doses that came out twice or too soon one after the other, and those that the server does not count."""
    times = Counter(name for unit in units for name in unit.diary.poured)
    again = sum(count - 1 for count in times.values())
    by_family: dict[tuple[UUID, str], list[tuple[Any, Any]]] = {}
    forgotten = set(times)
    for name, user_id, family, at, counts, least in rows:
        if name in times:
            by_family.setdefault((user_id, family), []).append((at, least))
            if counts:
                forgotten.discard(name)
    soon = sum(
        later - before < least for each in by_family.values() for (before, _), (later, least) in pairwise(each)
    )
    return {"double_doses": again + soon, "uncounted_doses": len(forgotten)}


def quantiles(values: Iterable[float]) -> dict[str, float]:
    measured = list(values)
    if len(measured) < 2:
        return {}
    cuts = statistics.quantiles(measured, n=100)
    return {"p50": round(cuts[49], 1), "p95": round(cuts[94], 1), "p99": round(cuts[98], 1)}


def asked(statement: str, ids: Collection[UUID]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, (list(ids),))
        return list(cursor.fetchall())
