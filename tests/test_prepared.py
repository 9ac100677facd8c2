"""Hot statements are planned once a connection; a dead connection is noticed without being asked."""

from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from devices.models import Device
from tests.clients import Phone, Unit
from zinzino.prepared import fetched, prepared, typed

PLANNED = "SELECT sum(generic_plans + custom_plans)::int FROM pg_prepared_statements WHERE statement LIKE %s"


def planned(text: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(PLANNED, (f"%{text}%",))
        return cursor.fetchone()[0] or 0


@pytest.mark.django_db
def test_a_delta_and_a_cup_run_from_plans_that_the_connection_keeps(alice: Phone, kitchen: Unit) -> None:
    since = alice.post("/sync/full").data["sync_timestamp"]
    hot = {"updated_devices": 0, "INSERT INTO device_states": 0, "FROM refresh_tokens r": 0}
    before = {text: planned(text) for text in hot}
    for placed in (True, False):
        kitchen.cup(placed)
        alice.post("/sync/delta", {"last_sync": since})
    assert {text: planned(text) - before[text] for text in hot} == {
        "updated_devices": 2,
        "INSERT INTO device_states": 2,
        "FROM refresh_tokens r": 2,
    }


@pytest.mark.django_db
def test_what_ran_prepared_is_seen_by_those_who_count_statements() -> None:
    with CaptureQueriesContext(connection) as captured, prepared() as cursor:
        cursor.execute("SELECT %s::uuid", (uuid4(),))
    assert [each["sql"] for each in captured] == ["SELECT %s::uuid"]


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_the_server_has_ended_is_opened_anew() -> None:
    connection.ensure_connection()
    assert connection.is_usable()
    ended = connection.connection.info.backend_pid
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", (ended,))
    other.close()
    assert not connection.is_usable()
    connection.health_check_done = False  # type: ignore[attr-defined]  # as at the start of a request
    with prepared() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        assert cursor.fetchone()[0] != ended


@pytest.mark.django_db(transaction=True)
def test_a_word_of_the_server_that_ends_nothing_ends_nothing() -> None:
    with connection.cursor() as cursor:
        cursor.execute("LISTEN benchmark")
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("NOTIFY benchmark")
    other.close()
    assert connection.is_usable()
    with connection.cursor() as cursor:
        cursor.execute("UNLISTEN benchmark")


def test_a_parameter_that_may_be_null_says_its_type() -> None:
    said = typed("SELECT %(id)s, %(id)s::uuid, %(at)s", {"uuid": "id", "timestamptz": "at"})
    assert said == "SELECT %(id)s::uuid, %(id)s::uuid, %(at)s::timestamptz"
    with pytest.raises(KeyError):
        typed("SELECT %(unknown)s", {})


@pytest.mark.django_db
def test_a_row_that_was_fetched_is_what_the_orm_reads(kitchen: Unit) -> None:
    kitchen.cup(True)
    (found,) = fetched(Device, "WHERE id = %s", (kitchen.id,))
    read = Device.objects.get(pk=kitchen.id)
    assert vars(found).keys() == vars(read).keys()
    named = [field.attname for field in Device._meta.concrete_fields]
    assert [getattr(found, name) for name in named] == [getattr(read, name) for name in named]
    assert found.last_decision is not None
    found.save()


@pytest.mark.django_db
def test_parameters_stand_where_they_are_named_and_a_percent_sign_stays_one() -> None:
    with prepared() as cursor:
        cursor.execute("SELECT %(b)s::int, %(a)s::int, %(b)s::int, 10 %% 4", {"a": 1, "b": 2, "unused": 3})
        assert cursor.fetchone() == (2, 1, 2, 2)
        cursor.execute("SELECT %s::int, %s::int", (1, 2))
        assert cursor.fetchone() == (1, 2)
        cursor.execute("SELECT 10 % 4")
        assert cursor.fetchone() == (2,)
