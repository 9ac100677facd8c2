"""Values from the database are what psycopg reads; instants in UTC."""

from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg
import pytest
from django.db import DataError, connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zinzino.loaders import UtcLoader

pytestmark = pytest.mark.django_db


def read(expression: str, *parameters: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {expression}", parameters)
        return cursor.fetchone()[0]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.datetimes(timezones=st.just(UTC)))
def test_what_was_written_is_read(at: datetime) -> None:
    found = read("%s::timestamptz", at)
    assert (found, found.tzinfo) == (at, UTC)


def test_django_leaves_our_loader_in_place() -> None:
    read("now()")
    adapters = connection.connection.adapters
    assert adapters.get_loader(adapters.types["timestamptz"].oid, psycopg.pq.Format.TEXT) is UtcLoader


def test_json_is_read_as_python_values() -> None:
    found = read("""json_build_object('at', 1.5, 'n', 2::bigint, 'none', NULL, 'list', ARRAY['ğ', '"'])""")
    assert found == {"at": 1.5, "n": 2, "none": None, "list": ["ğ", '"']}
    adapters = connection.connection.adapters
    loader = adapters.get_loader(adapters.types["json"].oid, psycopg.pq.Format.TEXT)
    assert loader is not None
    assert loader._loads is orjson.loads
    assert read("""'{"a": 1}'::jsonb""") == '{"a": 1}'


def test_a_session_in_another_zone_reads_the_same_instant() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL timezone = 'Asia/Kolkata'")
        cursor.execute("SELECT '2026-03-01 12:00:00.25+00'::timestamptz, NULL::timestamptz")
        assert cursor.fetchone() == (datetime(2026, 3, 1, 12, 0, 0, 250_000, UTC), None)


@pytest.mark.parametrize("at", ["0044-03-15 BC", "12026-01-01", "infinity"])
def test_what_python_cannot_hold_is_an_error(at: str) -> None:
    with pytest.raises(DataError):
        read(f"'{at}'::timestamptz")
