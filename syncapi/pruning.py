"""Everything that is kept only for a time: what goes, when, and by which service. Beat calls the same ones."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from django.conf import settings

from accounts import mails, one_time, sessions
from notifications import outbox, phones
from syncapi import exports, retention
from telemetry import partitions
from telemetry import retention as telemetry
from zinzino.api import idempotency


@dataclass(frozen=True, slots=True)
class Term:
    """`prune(now=, dry_run=)` answers how many go, or which."""

    goes: str
    prune: Callable[..., int | list[str]]


def days(term: timedelta) -> str:
    return f"{term.days} days"


def of_telemetry(table: str) -> Callable[..., int]:
    return partial(telemetry.prune_table, table)


TERMS: dict[str, Term] = {
    "links": Term("tokens of mailed links that are over", one_time.prune),
    "sessions": Term(f"sessions of the app that ended {days(sessions.KEPT_AFTER_END)} ago", sessions.prune),
    "staff_sessions": Term("sessions of the back office that are over", sessions.prune_of_staff),
    "mails": Term(f"mails that were sent or given up {days(mails.KEPT)} ago", mails.prune),
    "exports": Term("data exports whose week is over, with their files", exports.drop_expired),
    "outcomes": Term("answers kept for an Idempotency-Key, after 24 hours", idempotency.prune),
    "deliveries": Term(f"pushes that are over, after {settings.PUSH_LEDGER_DAYS} days", outbox.prune),
    "stale_phones": Term(f"phones unheard of for {days(phones.STALE_AFTER)}: they end", phones.end_stale),
    "phones": Term(f"phones that ended {days(phones.KEPT_AFTER_END)} ago, with their pushes", phones.prune),
    "decisions": Term(
        f"why a dispenser poured or not, after {days(telemetry.DECISIONS_KEPT)}", of_telemetry("decisions")
    ),
    "event_keys": Term(
        f"what known events are told by, after {settings.EVENT_KEYS_KEPT_DAYS} days", of_telemetry("event_keys")
    ),
    "dead_letters": Term(
        f"reports that nobody could take, after {days(telemetry.LETTERS_KEPT)}", of_telemetry("dead_letters")
    ),
    "journal_acks": Term(
        f"how far journals of former boots came, after {days(telemetry.ACKS_KEPT)}", of_telemetry("journal_acks")
    ),
    "tombstones": Term(
        f"what sync knows of deletions of {days(retention.TOMBSTONES_KEPT)} ago: who was away longer copies anew",
        retention.prune_tombstones,
    ),
    "mutations": Term(
        f"what came of offline writes, after {days(retention.MUTATIONS_KEPT)}", retention.prune_mutations
    ),
    "sync_phones": Term(f"copies that have not synced for {days(retention.PHONES_KEPT)}", retention.prune_phones),
    "partitions": Term(
        f"months of readings older than {settings.STATES_KEPT_MONTHS}, of samples and reports older than "
        f"{settings.JOURNALS_KEPT_MONTHS}",
        partitions.drop_expired,
    ),
}
