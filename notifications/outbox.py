"""Sending what is due, on any number of workers: each delivery ends sent, expired, failed or suppressed.

A worker claims rows by moving their next attempt behind its lease, and commits before it sends. If it dies,
the next one sends them again under the same ids, so that the phones show them once.
"""

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction

from notifications import routes, sql, texts
from notifications.models import PushContent, PushDelivery, PushToken
from notifications.policy import CHANGES, TEST
from notifications.push.gateways import gateway
from notifications.push.messages import Outcome, Push, Verdict
from notifications.sql import Claimed
from zinzino import metrics
from zinzino.ids import least_uuid7

log = structlog.get_logger(__name__)

BATCH = 100
# No single request takes as long as what lies between the two, and a batch ends before its lease does.
LEASE = timedelta(minutes=2)
BATCH_S = 60.0
DRAIN_S = 40.0
FIRST_RETRY = timedelta(seconds=30)
JITTER = 0.2
MAX_ATTEMPTS = 6
# In a row, before we leave a provider alone for a while.
OUTAGES = 5
CHUNK_ROWS = 5_000

Status = PushDelivery.Status
Reason = PushDelivery.Reason
WAITING = (Status.QUEUED, Status.SENDING)


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one claimed delivery."""

    claimed: Claimed
    status: PushDelivery.Status
    reason: str = ""
    detail: str = ""
    # None: never again.
    next_attempt_at: datetime | None = None
    # Whether the attempt counts: it does not where it was not this delivery's fault.
    counts: bool = True


def drain(*, now: Callable[[], datetime], for_s: float = DRAIN_S) -> int:
    """Send until nothing is due, or for about that long; how many were sent."""
    until, sent = time.monotonic() + for_s, 0
    while time.monotonic() < until:
        batch = claim(now=now())
        if not batch:
            break
        sent += send_batch(batch, now=now)
    return sent


@transaction.atomic(durable=True)
def claim(*, now: datetime) -> list[Claimed]:
    return sql.claim_deliveries(now=now, lease_until=now + LEASE, limit=BATCH)


def due_since(*, now: datetime) -> datetime | None:
    """The moment since which the oldest delivery has waited; by push_deliveries_due."""
    due = PushDelivery.objects.filter(status__in=WAITING, next_attempt_at__lte=now)
    return due.order_by("next_attempt_at").values_list("next_attempt_at", flat=True).first()


def send_batch(batch: Sequence[Claimed], *, now: Callable[[], datetime]) -> int:
    moment = now()
    needless = {each.id: done for each in batch if (done := before_sending(each, now=moment))}
    settle(list(needless.values()), now=moment)
    return Sending([each for each in batch if each.id not in needless], now).run()


def before_sending(each: Claimed, *, now: datetime) -> Settled | None:
    """What makes sending needless, seen at the last moment; None where it is to be sent."""
    if each.expires_at <= now:
        return Settled(each, Status.EXPIRED, each.reason or Reason.TOO_LATE)
    if why := why_not(each):
        return Settled(each, Status.SUPPRESSED, why)
    if each.open_until and each.open_until > now:
        return postponed(each, each.open_until)
    if gateway(each.provider) is None:
        return Settled(each, Status.FAILED, Reason.NOT_CONFIGURED)
    return None


def why_not(each: Claimed) -> Reason | None:
    if each.phone_ended:
        return Reason.PHONE_ENDED
    if each.kind == TEST:
        return None
    if not each.push_enabled:
        return Reason.PUSH_DISABLED
    if each.kind == CHANGES:
        return None
    if each.title is None:
        return Reason.DELETED
    return Reason.ALREADY_READ if each.is_read else None


def postponed(each: Claimed, until: datetime, detail: str = "") -> Settled:
    """Wait until the provider may be there again, at most until it is too late."""
    at = min(until, each.expires_at)
    return Settled(each, Status.QUEUED, Reason.PROVIDER_DOWN, detail, next_attempt_at=at, counts=False)


class Sending:
    """One batch on its way: sent by the threads of the pool, written down by this one as answers come."""

    def __init__(self, batch: Sequence[Claimed], now: Callable[[], datetime]) -> None:
        self.batch = batch
        self.now = now
        # What the threads see: failures in a row, and routes on which there is no sense in trying any more.
        self.outages: dict[str, int] = defaultdict(int)
        self.hopeless: set[str] = set()
        self.lock = threading.Lock()
        # What the breaker says of those.
        self.closed: dict[str, datetime] = {}
        self.under_way: dict[Future[Outcome | None], Claimed] = {}
        self.sent = 0

    def run(self) -> int:
        # After an outage one push tries whether it is over, before the others follow.
        probes = {each.route: each for each in self.batch if each.route_failures}
        self.start(probes.values())
        self.collect()
        probed = {each.id for each in probes.values()}
        self.start(each for each in self.batch if each.id not in probed)
        self.collect()
        return self.sent

    def start(self, waiting: Iterable[Claimed]) -> None:
        self.under_way |= {pool().submit(self.send, each): each for each in waiting}

    def send(self, each: Claimed) -> Outcome | None:
        """In a thread of the pool. None where it was not tried."""
        if each.route in self.hopeless:
            return None
        try:
            outcome = send_one(each, now=self.now())
        except Exception as error:  # a bug of ours with one push, which must not hold up the others
            log.exception("a push could not be made")
            return Outcome(Verdict.REJECTED, type(error).__name__)
        self.watch(each, outcome)
        return outcome

    def watch(self, each: Claimed, outcome: Outcome) -> None:
        """A refusal, or several failures in a row, are everybody's; while it is in doubt whether an outage is
        over, one is enough."""
        with self.lock:
            self.outages[each.route] = self.outages[each.route] + 1 if outcome.is_outage else 0
            too_many = self.outages[each.route] >= (1 if each.route_failures else OUTAGES)
            if too_many or outcome.verdict is Verdict.REFUSED:
                self.hopeless.add(each.route)

    def collect(self) -> None:
        until = time.monotonic() + BATCH_S
        while self.under_way:
            left = until - time.monotonic()
            done, _ = wait(self.under_way, timeout=left if left > 0 else None, return_when=FIRST_COMPLETED)
            # Refusals first: what was not tried waits as long as they say.
            outcomes = sorted(((each.result(), self.under_way.pop(each)) for each in done), key=_was_not_tried)
            settled = [self.judged(each, outcome) for outcome, each in outcomes]
            settle([*settled, *self.given_back(late=time.monotonic() >= until)], now=self.now())

    def judged(self, each: Claimed, outcome: Outcome | None) -> Settled:
        now = self.now()
        if outcome is None:
            return postponed(each, self.closed.get(each.route, now))
        refused = outcome.verdict is Verdict.REFUSED
        if each.route in self.hopeless and each.route not in self.closed and (refused or outcome.is_outage):
            self.closed[each.route] = routes.trip(each.route, outcome.detail, refused=refused, now=now)
        elif each.route_failures and not (refused or outcome.is_outage):
            routes.recovered(each.route)
        self.sent += outcome.verdict is Verdict.SENT
        return settled_by(each, outcome, until=self.closed.get(each.route), now=now)

    def given_back(self, *, late: bool) -> list[Settled]:
        """What has not begun and better does not: its provider is closed, or our lease ends soon."""
        given = []
        for future, each in list(self.under_way.items()):
            until = self.closed.get(each.route) or (self.now() if late else None)
            if until and future.cancel():
                del self.under_way[future]
                given.append(postponed(each, until))
        return given


def _was_not_tried(result: tuple[Outcome | None, Claimed]) -> bool:
    return result[0] is None


def send_one(each: Claimed, *, now: datetime) -> Outcome:
    sender = gateway(each.provider)
    if sender is None:
        return Outcome(Verdict.REFUSED, "not configured any more")
    return sender.send(push_of(each), now=now)


def push_of(each: Claimed) -> Push:
    title, body = each.title or "", each.message or ""
    if each.kind == TEST:
        title, body = texts.rendered(TEST, each.language)
    elif each.push_content == PushContent.PRIVATE:
        title, body = texts.rendered(PushContent.PRIVATE, each.language)
    data = {
        "delivery_id": str(each.id),
        "type": each.kind,
        "link": each.link,
        "notification_id": each.notification_id,
    }
    return Push(
        id=each.id,
        token=each.token,
        platform=each.platform,
        kind=each.kind,
        title=title,
        body=body,
        expires_at=each.expires_at,
        data={name: str(value) for name, value in data.items() if value},
        silent=each.kind == CHANGES,
    )


def settled_by(each: Claimed, outcome: Outcome, *, until: datetime | None, now: datetime) -> Settled:
    detail = outcome.detail
    match outcome.verdict:
        case Verdict.SENT:
            return Settled(each, Status.SENT, each.reason if each.reason == Reason.QUIET_HOURS else "")
        case Verdict.GONE:
            end_phone(each, outcome, now=now)
            return Settled(each, Status.FAILED, Reason.PHONE_GONE, detail)
        case Verdict.REJECTED:
            log.error("a provider does not take our push", kind=each.kind, route=each.route, detail=detail)
            return Settled(each, Status.FAILED, Reason.REJECTED, detail)
        case Verdict.REFUSED:
            return postponed(each, until or now + FIRST_RETRY, detail)
    if each.attempts >= MAX_ATTEMPTS:
        return Settled(each, Status.FAILED, Reason.GAVE_UP, detail)
    again = max(now + timedelta(seconds=outcome.retry_after_s or 0), now + pause(each.attempts))
    return Settled(each, Status.QUEUED, Reason.RETRYING, detail, next_attempt_at=min(again, each.expires_at))


def pause(attempts: int) -> timedelta:
    """Half a minute, each time twice as long, and not for all at the same moment."""
    return FIRST_RETRY * (1 << (attempts - 1)) * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  (not a secret)


def end_phone(each: Claimed, outcome: Outcome, *, now: datetime) -> None:
    """Never send to this phone again, unless it was registered anew since the provider knows it as gone."""
    phone = PushToken.objects.filter(pk=each.phone_id, ended_at=None)
    if outcome.gone_at:
        phone = phone.filter(registered_at__lte=outcome.gone_at)
    phone.update(ended_at=now, end_reason=outcome.end_reason)


def settle(settled: Sequence[Settled], *, now: datetime) -> None:
    """Write down what became of deliveries, unless another worker has taken them since."""
    rows: list[dict[str, Any]] = [
        {
            "id": each.claimed.id,
            "claim": each.claimed.attempts,
            "status": each.status,
            "reason": each.reason,
            "detail": each.detail,
            "attempts": each.claimed.attempts - (0 if each.counts else 1),
            "next_attempt_at": each.next_attempt_at,
            "sent_at": now if each.status == Status.SENT else None,
        }
        for each in settled
    ]
    sql.settle_deliveries(rows)
    for each in settled:
        metrics.PUSHES.labels(each.status, each.reason).inc()


@cache
def pool() -> ThreadPoolExecutor:
    """Made in the worker's own process, with the first batch: threads do not survive a fork."""
    return ThreadPoolExecutor(settings.PUSH_CONNECTIONS, thread_name_prefix="push")


def prune(*, now: datetime, dry_run: bool = False) -> int:
    """Delete what is older than the ledger reaches back, in chunks so that no lock lasts; how many."""
    before = least_uuid7(now - timedelta(days=settings.PUSH_LEDGER_DAYS))
    if dry_run:
        return PushDelivery.objects.filter(pk__lt=before).exclude(status__in=WAITING).count()
    total = 0
    while rows := sql.delete_deliveries(before=before, limit=CHUNK_ROWS):
        total += rows
    return total
