"""The breaker: one for each provider and platform, shared by all workers.

It opens when a provider refuses us, which concerns every push of its route, or does not answer several
times in a row. What is due meanwhile waits, and is not the worse for it.
"""

from datetime import datetime, timedelta

import structlog

from notifications import sql
from notifications.models import PushRoute

log = structlog.get_logger(__name__)

# First pause and longest, doubled with each further failure.
REFUSED = timedelta(minutes=5), timedelta(hours=1)
UNREACHABLE = timedelta(minutes=1), timedelta(minutes=15)
MAX_DOUBLINGS = 10


def trip(name: str, detail: str, *, refused: bool, now: datetime) -> datetime:
    """Leave the route alone for a while; until when."""
    first, longest = REFUSED if refused else UNREACHABLE
    failures = sql.count_route_failure(name, now=now)
    until = now + min(longest, first * (1 << min(failures - 1, MAX_DOUBLINGS)))
    PushRoute.objects.filter(name=name).update(open_until=until, detail=detail)
    # Someone must look: our key is wrong, or the provider is away.
    log.error("pushes are held back", route=name, refused=refused, detail=detail, until=until.isoformat())
    return until


def recovered(name: str) -> None:
    if PushRoute.objects.filter(name=name, failures__gt=0).update(failures=0):
        log.info("pushes pass again", route=name)
