"""Migrations beside a service that is in use."""

import json
from collections.abc import Iterator
from contextlib import closing
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings

from tests.clients import Phone
from zinzino import migrating

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def late(settings: Settings) -> Iterator[None]:
    """A migration that is not applied: it makes an index on the people."""
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "tests.operations.late"]
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX IF EXISTS late_index; DELETE FROM django_migrations WHERE app = 'late'")


def said(*words: str) -> tuple[dict[str, Any], list[str]]:
    out, err = StringIO(), StringIO()
    call_command("migrate_safely", *words, "--json", stdout=out, stderr=err)
    return json.loads(out.getvalue()), err.getvalue().splitlines()


def other() -> psycopg.Connection[Any]:
    """Somebody else at the same database."""
    return psycopg.connect(**connection.get_connection_params() | {"cursor_factory": psycopg.Cursor})


def state_of_the_index() -> list[bool]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('late_index')")
        return [valid for (valid,) in cursor.fetchall()]


@pytest.mark.usefixtures("late")
def test_what_is_pending_is_named_applied_and_then_no_more() -> None:
    assert said("--dry-run") == ({"pending": ["late.0001_index"], "dry_run": True}, [])
    assert state_of_the_index() == []
    assert said() == ({"pending": ["late.0001_index"], "dry_run": False, "locks_missed": 0}, [])
    assert state_of_the_index() == [True]
    assert said() == ({"pending": [], "dry_run": False, "locks_missed": 0}, [])


def test_nothing_stands_beside_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("migrate_safely", "--json")
    assert json.loads(capsys.readouterr().out)["pending"] == []


@pytest.mark.usefixtures("late")
def test_who_is_in_the_way_is_not_waited_for_long_and_the_next_try_succeeds(
    alice: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open transaction of a writer holds the making of an index up; it leaves half an index behind."""
    monkeypatch.setattr(migrating, "LOCK_TIMEOUT_MS", 50)
    with closing(other()) as writer:
        writer.execute("UPDATE users SET full_name = 'Ali' WHERE id = %s", (alice.user.pk,))
        left_behind: list[bool] = []

        def wait(_seconds: float) -> None:
            left_behind.extend(state_of_the_index())
            writer.commit()

        monkeypatch.setattr("zinzino.migrating.time.sleep", wait)
        facts, told = said()
    assert facts["locks_missed"] == 1
    assert left_behind == [False]
    assert told[0].startswith("try 1 of 20: canceling statement due to lock timeout")
    assert told[1] == "dropped the half-made index public.late_index"
    assert state_of_the_index() == [True]


@pytest.mark.usefixtures("late")
def test_it_gives_up_and_leaves_nothing_half_done(alice: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrating, "LOCK_TIMEOUT_MS", 20)
    monkeypatch.setattr("zinzino.migrating.time.sleep", lambda _seconds: None)
    with closing(other()) as writer:
        writer.execute("UPDATE users SET full_name = 'Ali' WHERE id = %s", (alice.user.pk,))
        with pytest.raises(CommandError, match="not to be had in 3 tries"):
            said("--tries", "3")
    assert said("--dry-run")[0]["pending"] == ["late.0001_index"]
    assert said()[1] == ["dropped the half-made index public.late_index"]
    assert state_of_the_index() == [True]


@pytest.mark.usefixtures("late")
def test_only_one_migrates_at_a_time() -> None:
    with closing(other()) as keeper:
        keeper.execute("SELECT pg_advisory_lock(%s, %s)", migrating.ADVISORY_LOCK)
        with pytest.raises(CommandError, match="Somebody else migrates"):
            said()
    assert state_of_the_index() == []


@pytest.mark.usefixtures("late")
def test_a_migration_that_is_wrong_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE INDEX late_index ON users (full_name)")
    with pytest.raises(Exception, match="already exists"):
        said()


def test_afterwards_a_connection_waits_as_before() -> None:
    said()
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)
