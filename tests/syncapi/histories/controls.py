"""The designs that lose changes, on the same tables and with the same statements: only their stamps differ.

Their triggers stamp at once instead of at COMMIT, into a log of their own; their phones read that log by the
product's own delta statement.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from django.db import transaction

from examples.sync_client import Refused
from syncapi import capture, sql
from tests.clients import Phone
from tests.syncapi.histories.book import Book
from tests.syncapi.histories.phones import Fate
from tests.syncapi.histories.world import asked, run
from tests.syncapi.phone import SyncedPhone
from zinzino.clock import iso, stored_instant


@dataclass(frozen=True, slots=True)
class Design:
    name: str
    # What a change is stamped with, and up to where a reader has then read.
    stamp: str
    reached: str


NEWEST = "(SELECT coalesce(max(c.ts), '2000-01-01 00:00:00+00') FROM control.sync_change c WHERE c.user_id = u.id)"
NUMBERED = "'2000-01-01 00:00:00+00'::timestamptz + nextval('control.numbers') * interval '1 ms'"
DESIGNS = (
    Design("updated_at after last_sync", "clock_timestamp()", "clock_timestamp()"),
    Design("the newest updated_at seen", "clock_timestamp()", NEWEST),
    Design(
        "a global sequence",
        "'2000-01-01 00:00:00+00'::timestamptz + nextval('control.numbers') * interval '1 ms'",
        NEWEST,
    ),
)


@contextmanager
def installed(design: Design) -> Iterator[None]:
    run("DROP SCHEMA IF EXISTS control CASCADE")
    for statement in statements(design):
        run(statement)
    try:
        yield
    finally:
        run("DROP SCHEMA control CASCADE")


def statements(design: Design) -> Iterator[str]:
    yield "CREATE SCHEMA control"
    yield "CREATE SEQUENCE control.numbers"
    yield "CREATE TABLE control.sync_change (LIKE public.sync_change INCLUDING ALL)"
    yield "ALTER TABLE control.sync_change ALTER ts TYPE timestamptz, ALTER created_ts TYPE timestamptz"
    yield f"""CREATE FUNCTION control.sync_tick(owner uuid) RETURNS timestamptz LANGUAGE sql AS
              $$ SELECT {design.stamp} $$"""
    yield f"""CREATE VIEW control.sync_clock AS SELECT u.id AS user_id, {design.reached} AS ts,
              '0001-01-02 00:00:00+00'::timestamptz AS horizon FROM public.users u"""
    here = "LANGUAGE plpgsql SET search_path = control, public"
    body = capture.CAPTURE.replace("FUNCTION sync_capture", "FUNCTION control.sync_capture")
    yield body.replace("LANGUAGE plpgsql", here).replace("timestamptz(3)", "timestamptz")
    for each in capture.SYNCED:
        yield (
            each.triggers()
            .replace("CREATE CONSTRAINT TRIGGER ", "CREATE TRIGGER control_")
            .replace("DEFERRABLE INITIALLY DEFERRED ", "")
            .replace("sync_capture(", "control.sync_capture(")
        )


class ControlledPhone(SyncedPhone):
    """Reads the log of the other design; it has no offline changes."""

    Refused = Refused
    schema = "control"

    def __init__(self, api: Phone, book: Book) -> None:
        super().__init__(api)

    def edit(self, entity: str, op: str, id: str | None = None, **fields: Any) -> str:
        return ""

    def carry(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if path == "/sync/delta":
            return self.read(stored_instant(body["last_sync"]))
        [(reached,)] = asked(f"SELECT ts FROM {self.schema}.sync_clock WHERE user_id = %s", (self.api.user.pk,))
        status, answer = super().carry(method, path, body)
        if status == 200:
            answer["data"]["sync_timestamp"] = iso(reached)
        return status, answer

    def read(self, last_sync: datetime) -> tuple[int, Any]:
        nothing = {"sync_status": "success", "applied": "[]", "conflicts": "[]", "rejected": "[]"}
        with transaction.atomic():
            run(f"SET LOCAL search_path = {self.schema}, public")
            _, horizon, _, _, page = sql.delta(self.api.user.pk, since=last_sync, rows=500, **nothing)
        if last_sync < horizon:
            return 409, {"error": {"details": {"reason": "full_sync_required"}}}
        return 200, {"success": True, "data": orjson.loads(page)}

    def exchange(self, fate: Fate) -> bool:
        if self.last_sync is None:
            self.fetch_all()
            return True
        return self.next_page()


class OwnPhone(ControlledPhone):
    """Reads the product's own log in the same way: that the others fail is not for the way of reading."""

    schema = "public"
