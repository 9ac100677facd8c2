"""Three people: alice owns what is asked about, bob shares nothing with her, charlie is inactive."""

import fcntl
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.apps import apps
from django.conf import settings
from django.core.management.commands import flush
from django.db import connection
from django.db.backends.postgresql.operations import DatabaseOperations
from django.test.utils import CaptureQueriesContext

from devices.models import SupplementProfile
from tests import make
from tests.clients import Api, Phone, Unit
from tests.sharing import Scheduling, share
from zinzino import lasting
from zinzino.redis_client import client
from zinzino.servers import attach

# How long an example takes says something of the machine's other work, not of the code.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # one run, not each of its pytest-xdist workers
        _take_turns()
    attach()
    DatabaseOperations.sql_flush = deleted  # type: ignore[method-assign, assignment]
    flush.emit_post_migrate_signal = lambda *_, **__: None  # type: ignore[attr-defined]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, or it would be waited for at the end."""
    slow = {share(item.nodeid) for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: share(item.nodeid) not in slow)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    lasting.begin()
    try:
        return (yield)
    finally:
        lasting.settle()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    config.option.loadscopereorder = False
    return Scheduling(config, log)


TRUNCATED = DatabaseOperations.sql_flush
# The signal makes these anew after each flush, which takes longer than most tests; no test changes them.
KEPT = {"django_content_type", "auth_permission"}
# The audit log refuses both.
ALLOWED = ["ALTER TABLE audit_log DISABLE TRIGGER USER", "GRANT DELETE, TRUNCATE ON audit_log TO CURRENT_USER"]
REFUSED = [
    "REVOKE DELETE, TRUNCATE ON audit_log FROM CURRENT_USER",
    "ALTER TABLE audit_log ENABLE ALWAYS TRIGGER audit_log_stays",
]


def deleted(
    self: DatabaseOperations, style: Any, tables: Sequence[str], *, reset_sequences: bool = False, **more: Any
) -> list[str]:
    """After a test that really commits: TRUNCATE makes new files for each of our tables, which takes 0.3 s;
    DELETE of so few rows 0.01 s. It must set off no trigger, which only a superuser can ask for.
    """
    tables = [table for table in tables if table not in KEPT]
    with self.connection.cursor() as cursor:
        cursor.execute("SHOW is_superuser")
        may = cursor.fetchone() == ("on",)
        cursor.execute("SELECT EXISTS (SELECT FROM audit_log)")
        has_log = cursor.fetchone() == (True,)
    if reset_sequences or not may:
        return ALLOWED + TRUNCATED(self, style, tables, reset_sequences=reset_sequences, **more) + REFUSED
    rows = [f"DELETE FROM {self.quote_name(table)}" for table in tables if has_log or table != "audit_log"]
    role = "SET LOCAL session_replication_role ="
    statements = [f"{role} replica", *rows, f"{role} origin"] if rows else []
    return ALLOWED + statements + REFUSED if has_log else statements


def _take_turns() -> None:
    """Two runs on one data folder would share its databases: the second waits for the first."""
    path = Path(settings.DATA_DIR) / "tests.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT)  # held open, and so locked, until this process ends
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.stderr.write(f"Another test run uses {path.parent}; waiting for its end ...\n")
        fcntl.flock(lock, fcntl.LOCK_EX)


@pytest.fixture(autouse=True)
def _empty_valkey() -> None:
    client().flushdb()


@pytest.fixture
def anyone() -> Api:
    return Api()


@pytest.fixture
def alice(db: None) -> Phone:
    return Phone(make.person("alice@example.com", full_name="Alice Aydın"))


@pytest.fixture
def bob(db: None) -> Phone:
    return Phone(make.person("bob@example.com", full_name="Bob Bulut"))


@pytest.fixture
def charlie(db: None) -> Phone:
    phone = Phone(make.person("charlie@example.com", full_name="Charlie Can"))
    type(phone.user).objects.filter(pk=phone.user.pk).update(is_active=False)
    return phone


@pytest.fixture
def kitchen(alice: Phone) -> Unit:
    """Alice's fish oil dispenser."""
    return alice.dispenser()


@pytest.fixture
def profiles(db: None) -> None:
    """The supplement profiles as the migration makes them; a test that really commits ends with a flush."""
    SupplementProfile.objects.all().delete()
    import_module("devices.migrations.0003_supplement_profiles").fill(apps, None)


@pytest.fixture
def statements() -> make.Statements:
    """`with statements(4):` asserts how many statements run; BEGIN, COMMIT and savepoints are apart."""
    return _statements


@contextmanager
def _statements(count: int) -> Iterator[None]:
    with CaptureQueriesContext(connection) as captured:
        yield
    bounds = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT", "ROLLBACK", "SET CONSTRAINTS")
    ran = [each["sql"] for each in captured.captured_queries if not each["sql"].startswith(bounds)]
    assert len(ran) == count, "\n\n".join([f"{len(ran)} statements instead of {count}:", *ran])
