"""Three people: alice owns what is asked about, bob shares nothing with her, charlie is inactive."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.db.backends.postgresql.operations import DatabaseOperations
from django.test.utils import CaptureQueriesContext

from tests import make
from tests.clients import Api, Phone, Unit
from zinzino.redis_client import client
from zinzino.servers import attach


def pytest_configure(config: pytest.Config) -> None:
    attach()


@pytest.fixture(scope="session", autouse=True)
def _flush_cascades() -> Iterator[None]:
    """Tables that only migrations know refer to Django's; a transactional test empties them too."""
    original = DatabaseOperations.sql_flush

    def cascading(self: Any, style: Any, tables: Any, **options: Any) -> Any:
        return original(self, style, tables, **options | {"allow_cascade": True})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "sql_flush", cascading)
        yield


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
