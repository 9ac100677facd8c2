"""What every process counts of itself, added up when Prometheus asks (api.md 10, ADR 0021).

Counters of a process are files that all processes of the data folder read. Labels come from us only: a route,
a reason, never an id.
"""

import os
from collections.abc import Iterator

import psutil
from django.conf import settings
from django.http import HttpRequest, HttpResponse

FOLDER = settings.METRICS_DIR
IS_SHARED = bool(settings.METRICS_TOKEN or settings.METRICS_PORT)
if IS_SHARED:
    FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The library looks for it when it is imported.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(FOLDER)

from prometheus_client import (  # noqa: E402
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    start_http_server,
)
from prometheus_client.multiprocess import MultiProcessCollector  # noqa: E402
from prometheus_client.registry import Collector  # noqa: E402

COUNTED = CollectorRegistry()
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
MOUNTS = ("v1/", "api/")

REQUESTS = Histogram(
    "zinzino_http_request_seconds",
    "How long requests took, by route below /v1 and /api, and by status.",
    ("method", "route", "status"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
    registry=COUNTED,
)
DECISIONS = Counter(
    "zinzino_decisions", "Decisions on a placed cup, by reason; `due` pours.", ("reason",), registry=COUNTED
)
SYNC_CHANGES = Counter(
    "zinzino_sync_changes",
    "Offline writes: applied, conflicts, or rejected with a code.",
    ("outcome", "code"),
    registry=COUNTED,
)
JOURNAL_EVENTS = Counter(
    "zinzino_journal_events",
    "Events of dispensers' journals: accepted, duplicate, rejected.",
    ("outcome",),
    registry=COUNTED,
)
BRIDGE_MESSAGES = Counter(
    "zinzino_bridge_messages",
    "What dispensers said on MQTT, by the last part of the topic.",
    ("kind",),
    registry=COUNTED,
)
BRIDGE_DEAD_LETTERS = Counter(
    "zinzino_bridge_dead_letters", "What dispensers said on MQTT and nobody could take.", registry=COUNTED
)
BRIDGE_DROPPED = Counter(
    "zinzino_bridge_dropped", "Heartbeats (QoS 0) for which there was no room.", registry=COUNTED
)
BRIDGE_LIMITED = Counter(
    "zinzino_bridge_limited",
    "Messages of dispensers that said too much, by limit: dispense, presence, iot.",
    ("limit",),
    registry=COUNTED,
)
BRIDGE_BATCH = Histogram(
    "zinzino_bridge_batch_seconds",
    "From the taking of a batch to its acknowledgement.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
    registry=COUNTED,
)
BRIDGE_LAG = Histogram(
    "zinzino_bridge_lag_seconds",
    "From a message's arrival to its acknowledgement, of the oldest in each batch.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60),
    registry=COUNTED,
)
BRIDGE_WAITING = Gauge(
    "zinzino_bridge_waiting", "Messages in the bridges' queues.", multiprocess_mode="livesum", registry=COUNTED
)
LIVE_SOCKETS = Gauge(
    "zinzino_live_sockets", "Open sockets of phones.", multiprocess_mode="livesum", registry=COUNTED
)
LIVE_POLLS = Gauge(
    "zinzino_live_polls",
    "Dispensers that wait for a command over HTTP.",
    multiprocess_mode="livesum",
    registry=COUNTED,
)
LIVE_ENDS = Counter(
    "zinzino_live_ends",
    "Sockets that ended, by who or what ended them: `client`, or our close code.",
    ("reason",),
    registry=COUNTED,
)
LIVE_PAGE = Histogram(
    "zinzino_live_page_seconds",
    "How long a page took that a socket was told, with its wait for a connection.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
    registry=COUNTED,
)
LIVE_HINTS = Counter("zinzino_live_hints", "Commits that the database told us of.", registry=COUNTED)
LIVE_SWEPT = Counter(
    "zinzino_live_swept",
    "People of whose commits we heard only by looking: many of them mean that hints get lost.",
    registry=COUNTED,
)
PUSHES = Counter(
    "zinzino_pushes", "What became of pushes, one count an attempt.", ("status", "reason"), registry=COUNTED
)
JOBS = Histogram(
    "zinzino_job_seconds",
    "How long jobs took, by name and by how they ended.",
    ("task", "outcome"),  # `job` is Prometheus's own
    buckets=(0.01, 0.05, 0.25, 1, 5, 15, 60, 120),
    registry=COUNTED,
)
REFRESH_REUSE = Counter(
    "zinzino_refresh_reuse", "Sessions that ended because a spent refresh token came back.", registry=COUNTED
)


def observe(request: HttpRequest, response: HttpResponse, *, seconds: float) -> None:
    method = request.method if request.method in METHODS else "other"
    REQUESTS.labels(method, route(request), response.status_code).observe(seconds)


def route(request: HttpRequest) -> str:
    """One name for both mounts; the back office is one, and so is all that nobody knows."""
    found = request.resolver_match.route if request.resolver_match else ""
    if found.startswith("admin"):
        return "admin"
    for mount in MOUNTS:
        found = found.removeprefix(mount)
    return found or "unknown"


def exposition(*more: Collector) -> bytes:
    """What all processes of this data folder have counted, and what `more` finds now."""
    registry = CollectorRegistry() if IS_SHARED else COUNTED
    if IS_SHARED:
        drop_the_dead()
        MultiProcessCollector(registry, path=str(FOLDER))  # type: ignore[no-untyped-call]
    return b"".join([generate_latest(registry), *map(generate_latest, registries(more))])


def registries(collectors: tuple[Collector, ...]) -> Iterator[CollectorRegistry]:
    for each in collectors:
        registry = CollectorRegistry()
        registry.register(each)
        yield registry


def drop_the_dead() -> None:
    """What a process was holding when it was killed: sockets, messages in a queue. What it counted stays."""
    for path in FOLDER.glob("gauge_live*_*.db"):
        pid = path.stem.rpartition("_")[2]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            path.unlink(missing_ok=True)


def listen() -> None:
    """For a process that serves no requests, where METRICS_PORT is set: its counters at a port of its own."""
    if not settings.METRICS_PORT:
        return
    if IS_SHARED:
        drop_the_dead()
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(FOLDER))  # type: ignore[no-untyped-call]
    start_http_server(settings.METRICS_PORT, addr=settings.METRICS_HOST, registry=registry)


def forget() -> None:
    """Begin at zero, as Prometheus expects of a start: files of ended processes would add up for ever."""
    for counters in FOLDER.glob("*.db"):
        counters.unlink(missing_ok=True)
