"""`prune`: one command for everything that is kept only for a time."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.contrib.sessions.models import Session as StaffSession
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from django.db import connection, models
from pytest_django import Settings

from accounts import tasks as accounts
from accounts.models import DataExport, Mail, OneTimeToken, Session
from devices.models import Device
from notifications import tasks as notifications
from notifications.models import PushDelivery, PushToken
from syncapi import exports
from syncapi import tasks as sync
from syncapi.models import SyncChange, SyncMetadata, SyncMutation
from syncapi.pruning import TERMS
from telemetry import partitions
from telemetry import tasks as telemetry
from telemetry.models import DeadLetter, Decision, EventKey, JournalAck
from tests import everything
from tests import files as own_files
from tests.clients import Phone, Unit
from zinzino import clock
from zinzino import tasks as product
from zinzino.ids import uuid7
from zinzino.models import RememberedOutcome

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
# Of each kind: its rows, the column that tells their age, how long they are kept, what they are besides.
AGED: dict[str, tuple[type[models.Model], str, timedelta, dict[str, Any]]] = {
    "links": (OneTimeToken, "expires_at", 0 * DAY, {}),
    "staff_sessions": (StaffSession, "expire_date", 0 * DAY, {}),
    "mails": (Mail, "created_at", 90 * DAY, {"status": "sent"}),
    "exports": (DataExport, "expires_at", 0 * DAY, {"status": "ready"}),
    "outcomes": (RememberedOutcome, "created_at", 1 * DAY, {}),
    "stale_phones": (PushToken, "registered_at", 270 * DAY, {}),
    "phones": (PushToken, "ended_at", 30 * DAY, {"end_reason": "removed"}),
    "event_keys": (EventKey, "created_at", 400 * DAY, {}),
    "dead_letters": (DeadLetter, "received_at", 90 * DAY, {}),
    "journal_acks": (JournalAck, "updated_at", 90 * DAY, {}),
    "mutations": (SyncMutation, "created_at", 90 * DAY, {}),
    "sync_phones": (SyncMetadata, "created_at", 400 * DAY, {}),
    "tombstones": (SyncChange, "ts", 180 * DAY, {"op": "D", "kind": "notification"}),
    "deliveries": (PushDelivery, "id", 30 * DAY, {"status": "sent"}),
    "decisions": (Decision, "id", 90 * DAY, {}),
    "sessions": (Session, "ended_at", 30 * DAY, {}),
}
# A month of readings, far back.
LONG_AGO = datetime.fromisoformat("2020-01-01T00:00:00+00:00")


@pytest.fixture
def young(alice: Phone, kitchen: Unit, settings: Settings, tmp_path: Path) -> list[models.Model]:
    """Of each kind there is one row that has had its time, and one, given back, that has not."""
    own_files.use(settings, tmp_path)
    device = Device.objects.get(pk=kitchen.id)
    for name in ("1.zip", "2.zip"):
        exports.store().save(name, ContentFile(b"?"))
    partitions.make("device_states", LONG_AGO)
    return list(rows_of(alice, device, now=clock.now()))


def rows_of(alice: Phone, device: Device, *, now: datetime) -> Iterator[models.Model]:
    for model, column, kept, more in AGED.values():
        for number, at in enumerate((now - kept - HOUR, now - kept + HOUR), 1):
            given = {**dict(everything.values(model, alice.user, device)), **more}
            given |= {"boot": number} if model is JournalAck else {}
            given |= {"file": f"{number}.zip"} if model is DataExport else {}
            given[column] = uuid7(at) if column == "id" else at
            row = model(**given)
            row.save(force_insert=True)
            if isinstance(row, Session):
                row.refresh_tokens.create(token_hash=row.pk.hex, created_at=now, expires_at=now + DAY)
            if number == 2:
                yield row


def said(*words: str) -> dict[str, Any]:
    out = StringIO()
    call_command("prune", *words, "--json", stdout=out)
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


def counted(*words: str) -> dict[str, int]:
    """Of which kinds something went, and how much."""
    answer = {name: gone for name, gone in said(*words).items() if name in TERMS}
    return {name: len(gone) if isinstance(gone, list) else gone for name, gone in answer.items() if gone}


def rows() -> dict[str, int]:
    tables = [table for (table,) in everything.asked(everything.TABLES)]
    return {table: everything.asked(f"SELECT count(*) FROM {table}")[0][0] for table in tables}


def survive(kept: list[models.Model]) -> bool:
    return all(type(row)._base_manager.filter(pk=row.pk).exists() for row in kept)


def test_of_everything_what_has_had_its_time_goes_and_a_preview_changes_nothing(
    young: list[models.Model], tmp_path: Path
) -> None:
    before = rows()
    assert said("--dry-run")["dry_run"] is True
    assert counted("--dry-run") == dict.fromkeys(TERMS, 1)
    assert (rows(), len(own_files.there(tmp_path))) == (before, 2)
    assert counted() == dict.fromkeys(TERMS, 1)
    assert survive(young)
    assert (counted(), len(own_files.there(tmp_path))) == ({}, 1)


@pytest.mark.usefixtures("young")
def test_names_choose() -> None:
    assert counted("sessions", "deliveries", "sessions") == {"sessions": 1, "deliveries": 1}
    assert set(counted("--dry-run")) == set(TERMS) - {"sessions", "deliveries"}


def test_the_jobs_forget_the_same_by_themselves(young: list[models.Model]) -> None:
    accounts.prune(), notifications.prune_pushes(), product.prune(), telemetry.prune()
    telemetry.drop_expired_states(), sync.prune_sync(), sync.drop_exports()
    assert counted("--dry-run") == {}
    assert survive(young)


def test_an_unknown_name_is_refused_with_those_that_are_known(db: None) -> None:
    with pytest.raises(CommandError, match=r"'passwords' is none of links, sessions, .*partitions"):
        said("sessions", "passwords")


@pytest.mark.usefixtures("young")
def test_people_read_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("prune", "sessions", "partitions", "--dry-run")
    assert capsys.readouterr().out.splitlines() == ["sessions: 1", "partitions: device_states_2020_01"]
    with pytest.raises(SystemExit):
        call_command("prune", "--help")
    helped = capsys.readouterr().out
    assert all(f"\n  {name:15} {term.goes}" in helped for name, term in TERMS.items())


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("young")
def test_what_somebody_locks_is_told_and_the_rest_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "LOCK_TIMEOUT", "50ms")
    params = connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}
    err = StringIO()
    with closing(psycopg.connect(**params)) as reader:
        reader.execute("SELECT count(*) FROM device_states_2020_01")
        with pytest.raises(CommandError, match="Not done: partitions") as end:
            call_command("prune", "partitions", "sessions", stdout=StringIO(), stderr=err)
    assert (end.value.returncode, err.getvalue().splitlines()) == (
        1,
        ["partitions: canceling statement due to lock timeout"],
    )
    assert counted("partitions", "sessions") == {"partitions": 1}


def test_every_kind_is_under_test() -> None:
    assert set(AGED) | {"partitions"} == set(TERMS)
