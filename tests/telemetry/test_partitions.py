import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import time_machine
from django.core.management import call_command
from django.db import OperationalError, connection
from pytest_django import Settings

from syncapi.models import SyncChange
from telemetry import partitions
from telemetry.models import ActivityLog, DeviceState
from telemetry.tasks import drop_expired_states
from tests import make
from tests.clients import Phone, Unit
from zinzino import clock
from zinzino.ids import uuid7

# Far from the months that the tests' own clock fills.
NOW = datetime(2031, 12, 15, tzinfo=UTC)


def table_of(table: str, row_id: UUID) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT tableoid::regclass::text FROM {table} WHERE id = %s", (row_id,))
        return str(cursor.fetchone()[0])


def reading(at: datetime) -> UUID:
    row = DeviceState(id=uuid7(at), device_id=uuid4(), cup_placed=True, timestamp=at, received_at=at)
    row.save(force_insert=True)
    return row.id


def line(user_id: UUID, at: datetime) -> UUID:
    row = ActivityLog(id=uuid7(at), user_id=user_id, action="note", local_date=at.date(), timestamp=at)
    row.save(force_insert=True)
    return row.id


@pytest.fixture
def cleared() -> Any:
    """The months that a test without a transaction has made go again."""
    before = {table: partitions.existing(table) for table in partitions.TABLES}
    yield
    for table in partitions.TABLES:
        for made in partitions.existing(table) - before[table]:
            partitions.execute(f"DROP TABLE {made}")


def test_every_month_around_now_has_its_partition_and_making_them_again_does_nothing(db: None) -> None:
    made = partitions.ensure(now=NOW)
    assert "device_states_2031_11" in made
    assert "activity_logs_2032_03" in made
    assert len(made) == 20
    assert partitions.ensure(now=NOW) == []
    assert table_of("device_states", reading(NOW)) == "device_states_2031_12"


@pytest.mark.parametrize(
    ("at", "partition"),
    [
        (datetime(2031, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC), "2031_12"),
        (datetime(2032, 1, 1, tzinfo=UTC), "2032_01"),
        (datetime(2028, 2, 29, tzinfo=UTC), "default"),
    ],
)
def test_a_line_at_the_edge_of_a_month_is_found_by_its_id(alice: Phone, at: datetime, partition: str) -> None:
    partitions.ensure(now=NOW)
    row_id = line(alice.user.pk, at)
    assert table_of("activity_logs", row_id) == f"activity_logs_{partition}"
    assert alice.get(f"/activities/{row_id}").data["timestamp"] == clock.iso(at)
    assert table_of("device_states", reading(at)) == f"device_states_{partition}"


def test_a_partition_has_the_indexes_of_its_table(db: None) -> None:
    partitions.ensure(now=NOW)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_indexes WHERE tablename = 'activity_logs_2031_12'")
        assert cursor.fetchone() == (3,)


def test_an_event_of_a_month_without_partition_is_kept(alice: Phone) -> None:
    assert (
        table_of("activity_logs", line(alice.user.pk, datetime(2021, 5, 5, tzinfo=UTC))) == "activity_logs_default"
    )


@pytest.mark.django_db(transaction=True)
def test_what_waits_in_the_default_partition_moves_into_its_month_unnoticed_by_phones(cleared: None) -> None:
    alice = make.person().user
    stray, other = line(alice.pk, NOW), line(alice.pk, NOW - timedelta(days=400))
    before = list(SyncChange.objects.values_list("object_id", "ts", "op").order_by("object_id"))

    assert "activity_logs_2031_12" in partitions.ensure(now=NOW)

    assert table_of("activity_logs", stray) == "activity_logs_2031_12"
    assert table_of("activity_logs", other) == "activity_logs_default"
    assert list(SyncChange.objects.values_list("object_id", "ts", "op").order_by("object_id")) == before
    # The moved line, and what comes into the default partition, are watched as before.
    ActivityLog.objects.filter(pk=stray).delete()
    late = line(alice.pk, NOW - timedelta(days=500))
    assert SyncChange.objects.get(object_id=stray).op == "D"
    assert SyncChange.objects.get(object_id=late).op == "U"


def test_readings_go_after_their_time_and_the_log_stays(alice: Phone, settings: Settings) -> None:
    settings.STATES_KEPT_MONTHS = 2
    for back in range(5):
        partitions.ensure(now=partitions.month(NOW, -back))
    kept, gone = reading(datetime(2031, 10, 1, tzinfo=UTC)), reading(datetime(2031, 9, 30, tzinfo=UTC))
    late = reading(datetime(2025, 1, 1, tzinfo=UTC))
    logged = line(alice.user.pk, datetime(2031, 9, 1, tzinfo=UTC))

    preview = partitions.drop_expired(now=NOW, dry_run=True)
    assert {"device_states_2031_09", "device_states_2031_08"} <= set(preview)
    assert "device_states_2031_10" not in preview
    assert DeviceState.objects.filter(pk=gone).exists()

    assert partitions.drop_expired(now=NOW) == preview
    assert set(DeviceState.objects.values_list("pk", flat=True)) == {kept}
    assert late != kept
    assert ActivityLog.objects.filter(pk=logged).exists()
    assert partitions.drop_expired(now=NOW) == []


def test_late_readings_of_a_dropped_month_are_still_taken(kitchen: Unit, settings: Settings) -> None:
    settings.STATES_KEPT_MONTHS = 2
    partitions.drop_expired(now=clock.now())
    old = clock.now() - timedelta(days=200)
    assert kitchen.cup(True, timestamp=clock.iso(old)).data["reason"] == "event_too_old"
    assert DeviceState.objects.get().timestamp == old


def test_the_command_previews_and_does_the_same(db: None, settings: Settings) -> None:
    settings.STATES_KEPT_MONTHS = 2

    def ran(*arguments: str) -> Any:
        out = StringIO()
        with time_machine.travel(NOW, tick=False):
            call_command("partitions", *arguments, stdout=out)
        return out.getvalue()

    preview = json.loads(ran("--dry-run", "--json"))
    assert "missing activity_logs_2032_01" in ran("--dry-run")
    assert preview["dry_run"] is True
    done = json.loads(ran("--json"))
    assert (done["partitions"], done["dropped"]) == (preview["partitions"], preview["dropped"])
    assert len(done["partitions"]) == 20
    # The months around today are old by then.
    assert done["dropped"]
    assert ran() == "nothing to do\n"


def test_beat_drops_them_too(db: None, settings: Settings) -> None:
    assert settings.CELERY_BEAT_SCHEDULE["drop-expired-states"]["task"] == drop_expired_states.name
    partitions.ensure(now=datetime(2024, 3, 1, tzinfo=UTC))
    assert "device_states_2024_03" in drop_expired_states()


@pytest.mark.django_db(transaction=True)
def test_nobody_waits_long_behind_a_partition_that_cannot_be_made(cleared: None, monkeypatch: Any) -> None:
    monkeypatch.setattr(partitions, "LOCK_TIMEOUT", "50ms")
    with psycopg.connect(**connection.get_connection_params()) as reader:
        reader.execute("SELECT count(*) FROM device_states")
        with pytest.raises(OperationalError, match="lock timeout"):
            partitions.ensure(now=NOW)
    assert len(partitions.ensure(now=NOW)) == 20
