"""How far a replica is behind its primary, asked of two real ones."""

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from analytics.gauges import REPLICA_LAG, WRITTEN
from tests.embedded.conftest import eventually
from zinzino.embedded.layout import Layout
from zinzino.embedded.postgres import DATABASE, Postgres, binaries

pytestmark = pytest.mark.enable_socket


def made(factory: pytest.TempPathFactory) -> Postgres:
    layout = Layout(factory.mktemp("r") / "var")
    layout.make()
    return Postgres(layout)


@pytest.fixture
def primary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    server = made(tmp_path_factory)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def replica(primary: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    server = made(tmp_path_factory)
    server.who = primary.who
    server.layout.postgres_home.mkdir(mode=0o700)
    copy = {"-D": server.home, "-h": primary.layout.postgres_sockets, "-U": "zinzino", "-c": "fast"}
    options = [str(part) for option in copy.items() for part in option]
    server.run_tool([str(binaries() / "pg_basebackup"), *options, "--write-recovery-conf", "--no-sync"])
    server.start()
    yield server
    server.stop()


def ask(server: Postgres, statement: str, *parameters: object) -> Any:
    """Its first value."""
    sockets = str(server.layout.postgres_sockets)
    with psycopg.connect(host=sockets, user="zinzino", dbname=DATABASE, autocommit=True) as connection:
        cursor = connection.execute(statement, parameters)
        row = cursor.fetchone() if cursor.description else None
    return row and row[0]


def test_of_a_quiet_primary_no_replica_is_behind(primary: Postgres, replica: Postgres) -> None:
    def lag_s() -> float:
        return float(ask(replica, REPLICA_LAG, ask(primary, WRITTEN)))

    ask(primary, "CREATE TABLE told AS SELECT 7 AS value")
    eventually(lambda: ask(replica, "SELECT value FROM told") == 7)
    time.sleep(1.5)
    eventually(lambda: lag_s() == 0)
    assert ask(primary, REPLICA_LAG, "0/0") == 0
    ask(replica, "SELECT pg_wal_replay_pause()")
    ask(primary, "INSERT INTO told VALUES (8)")
    assert lag_s() > 1.5
