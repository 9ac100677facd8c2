"""Three people: alice owns what is asked about, bob shares nothing with her, charlie is inactive."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import hypothesis
import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from devices.models import SupplementProfile
from tests import make
from tests.clients import Api, Phone, Unit
from zinzino.redis_client import client
from zinzino.servers import attach

# How long an example takes says something of the machine's other work, not of the code.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # one run, not each of its pytest-xdist workers
        _take_turns()
    attach()


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
