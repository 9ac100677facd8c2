"""The role of those who analyse: it reads figures, learns of nobody, changes nothing."""

import json
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg.errors import Error, InsufficientPrivilege, ReadOnlySqlTransaction

from analytics import reader
from devices.models import Device
from tests import everything
from tests.clients import Phone, Unit

pytestmark = pytest.mark.django_db(transaction=True)

# Of tables that nobody has named, why not.
WITHHELD = {
    "secrets": {
        "account_emailaddress",
        "account_emailconfirmation",
        "apple_grants",
        "device_credentials",
        "django_session",
        "mfa_authenticator",
        "one_time_tokens",
        "refresh_tokens",
        "remembered_outcomes",
        "socialaccount_socialaccount",
        "socialaccount_socialapp",
        "socialaccount_socialtoken",
        "support_codes",
    },
    "staff": {
        "audit_log",
        "auth_group",
        "auth_group_permissions",
        "auth_permission",
        "django_admin_log",
        "firmware_rollout_events",
        "users_groups",
        "users_user_permissions",
    },
    "personal": {"data_exports", "notification_settings"},
    "machinery": {
        "activity_keys",
        "django_content_type",
        "django_migrations",
        "event_keys",
        "journal_acks",
        "live_watch",
        "push_routes",
        "sync_change",
        "sync_clock",
    },
}
SUSPECT = re.compile(
    r"password|secret|token|hash|key|code_|_code|email|name|phone|address|text|html|subject|message|title|body"
    r"|metadata|data|extra|detail|payload|trace|settings|location|picture|serial|mac|result|params|plan|dispute|oauth"
)
HARMLESS = {
    ("sync_metadata", "sync_status"),
    ("dead_letters", "code"),
}


@pytest.fixture
def role() -> Iterator[str]:
    """A name that no other test run on this server uses: roles belong to no database."""
    name = f"analyst_of_{connection.settings_dict['NAME']}"
    drop(name)
    yield name
    drop(name)


def drop(name: str) -> None:
    if everything.asked("SELECT 1 FROM pg_roles WHERE rolname = %s", name):
        with connection.cursor() as cursor:
            cursor.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def said(*words: str) -> dict[str, Any]:
    out = StringIO()
    call_command("analytics_role", *words, "--json", stdout=out)
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


@contextmanager
def reading(role: str) -> Iterator[psycopg.Connection[Any]]:
    """As somebody who has logged in with the role: its rights and its settings."""
    # Nothing is prepared: of a prepared statement the server takes one command only, and refuses two for that.
    params = connection.get_connection_params() | {"cursor_factory": psycopg.Cursor, "prepare_threshold": None}
    with closing(psycopg.connect(**params, autocommit=True)) as reads:
        settings = reads.execute(
            "SELECT unnest(setconfig) FROM pg_db_role_setting WHERE setrole = %s::regrole", (role,)
        ).fetchall()
        for (setting,) in settings:
            name, _, value = setting.partition("=")
            reads.execute(f"SET {name} = '{value}'")
        reads.execute(f"SET SESSION AUTHORIZATION {role}")
        yield reads


def columns(role: str) -> set[tuple[str, str]]:
    """What the database itself says the role may read."""
    return set(
        everything.asked(
            "SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
            " AND a.attnum > 0 AND NOT a.attisdropped AND has_column_privilege(%s, c.oid, a.attnum, 'SELECT')",
            role,
        )
    )


def test_it_reads_all_that_is_named_and_nothing_of_anybody(role: str, alice: Phone, kitchen: Unit) -> None:
    said(role)
    kitchen.cup(True)
    kitchen.status(battery_level=5)
    device = Device.objects.get(pk=kitchen.id)
    everything.fill(alice.user, device)
    alice.put("/profile", {"full_name": "Alice Aydın", "phone": "+905321234567"})
    alice.user.refresh_from_db()
    said_of_her: list[str] = []
    with reading(role) as reads:
        for table, names in reader.COLUMNS.items():
            rows = reads.execute(f'SELECT {", ".join(names.split())} FROM "{table}"').fetchall()
            said_of_her += map(str, rows)
    whole = "\n".join(said_of_her)
    assert str(alice.user.pk) in whole
    assert str(device.pk) in whole
    private = [
        *(alice.user.email, alice.user.full_name, alice.user.phone, alice.user.password),
        *(device.device_name, device.serial_number, device.mac_address, device.location),
    ]
    assert [each for each in private if not each or each in whole] == []


def test_no_column_that_sounds_like_a_secret_or_a_person_is_readable(role: str) -> None:
    said(role)
    readable = columns(role)
    assert ("dose_rollups", "taken") in readable
    # A partition is read through its table only.
    assert not any(re.search(r"_\d{4}_\d\d$|_default$", table) for table, _ in readable)
    assert {each for each in readable if SUSPECT.search(each[1])} - HARMLESS == set()
    assert readable == {(table, name) for table, names in reader.COLUMNS.items() for name in names.split()}


def test_of_every_table_it_is_decided_whether_it_is_readable() -> None:
    tables = {table for (table,) in everything.asked(everything.TABLES)}
    withheld = set().union(*WITHHELD.values())
    assert set(reader.COLUMNS) | withheld == tables
    assert set(reader.COLUMNS) & withheld == set()


@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        ("SELECT password FROM users", InsufficientPrivilege),
        ("SELECT * FROM users", InsufficientPrivilege),
        ("SELECT u FROM users u", InsufficientPrivilege),
        ("SELECT id FROM users WHERE email LIKE 'a%'", InsufficientPrivilege),
        ("SELECT id FROM users ORDER BY full_name", InsufficientPrivilege),
        ("SELECT token_hash FROM refresh_tokens", InsufficientPrivilege),
        ("TABLE one_time_tokens", InsufficientPrivilege),
        ("COPY users TO STDOUT", InsufficientPrivilege),
        ("UPDATE users SET is_staff = true", ReadOnlySqlTransaction),
        ("SET transaction_read_only = off; UPDATE users SET is_staff = true", InsufficientPrivilege),
        ("SET default_transaction_read_only = off; DELETE FROM dispenses", Error),
        ("CREATE TABLE mine ()", Error),
        ("SET ROLE zinzino", InsufficientPrivilege),
        ("SELECT pg_read_file('/etc/passwd')", InsufficientPrivilege),
        ("SELECT rolpassword FROM pg_authid", InsufficientPrivilege),
    ],
)
def test_it_can_do_no_more(role: str, alice: Phone, statement: str, refusal: type[Error]) -> None:
    said(role)
    with reading(role) as reads, pytest.raises(refusal):
        reads.execute(statement)
    alice.user.refresh_from_db()
    assert alice.user.is_staff is False


def test_long_statements_end_by_themselves(role: str) -> None:
    said(role)
    with reading(role) as reads:
        assert reads.execute("SHOW statement_timeout").fetchone() == ("1min",)
        assert reads.execute("SHOW default_transaction_read_only").fetchone() == ("on",)


def test_a_preview_says_the_statements_and_makes_nothing(role: str, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("analytics_role", role, "--dry-run")
    told = capsys.readouterr().out
    assert f'CREATE ROLE "{role}" LOGIN NOINHERIT;' in told
    assert "GRANT SELECT" in told
    assert everything.asked("SELECT FROM pg_roles WHERE rolname = %s", role) == []
    with connection.cursor() as cursor:
        cursor.execute(told)
    assert ("users", "id") in columns(role)


def test_repeated_it_takes_away_what_is_no_longer_named(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(role) == {"role": role, "tables": len(reader.COLUMNS), "dry_run": False}
    with connection.cursor() as cursor:
        cursor.execute(f"GRANT SELECT ON mails TO {role}; GRANT UPDATE ON users TO {role}")
    monkeypatch.setattr(reader, "COLUMNS", {"users": "id language"})
    said(role)
    assert columns(role) == {("users", "id"), ("users", "language")}
    assert everything.asked("SELECT has_any_column_privilege(%s, 'users', 'UPDATE')", role) == [(False,)]


def test_a_role_of_somebody_else_is_not_touched(role: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {role}; GRANT SELECT ON mails TO {role}")
    for name in (role, connection.settings_dict["USER"]):
        with pytest.raises(CommandError, match="was not made by this command"):
            said(name)
    assert ("mails", "to") in columns(role)


def test_a_name_is_a_name(role: str) -> None:
    hostile = 'x"; DROP TABLE users; --'
    assert f'CREATE ROLE "{hostile.replace(chr(34), chr(34) * 2)}"' in said(hostile, "--dry-run")["statements"][0]


def test_who_may_create_no_roles_is_told_what_to_do(role: str) -> None:
    said(role)
    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION AUTHORIZATION {role}")
        try:
            with pytest.raises(CommandError, match="You may not create roles"):
                said(f"{role}_2")
        finally:
            cursor.execute("RESET SESSION AUTHORIZATION")
