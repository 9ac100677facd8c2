"""The addresses of the embedded pair, as django-environ, redis and kombu read them."""

from pathlib import Path
from typing import Any, cast

import pytest
import redis
from environ import Env
from kombu import Connection

from tests.embedded.conftest import Servers
from zinzino import embedded
from zinzino.embedded.layout import Layout

ODD = 'Öd d\'ir "q" %41+#?&;x/VaR'


def database_host(data_dir: Path) -> str:
    parts = cast(Any, Env).db_url_config(embedded.urls(data_dir)[0])
    assert (parts["NAME"], parts["USER"], parts["PORT"]) == ("zinzino", "zinzino", "")
    return str(parts["HOST"])


def broker_socket(data_dir: Path) -> str:
    with Connection(embedded.broker_url(embedded.urls(data_dir)[1])) as connection:
        return str(cast(Any, connection.channel())._connparams()["path"])


@pytest.mark.parametrize("name", ["var", ODD])
def test_a_path_arrives_as_it_is(name: str) -> None:
    data_dir = Path("/srv") / name
    assert database_host(data_dir) == f"/srv/{name}/postgres/run"
    options = redis.ConnectionPool.from_url(embedded.urls(data_dir)[1]).connection_kwargs
    assert (options["path"], options["db"]) == (f"/srv/{name}/run/valkey.sock", 0)


@pytest.mark.parametrize("name", ["l" * 200, "a,b"], ids=["too long", "comma"])
def test_a_path_unfit_for_sockets_is_replaced_by_a_short_one(name: str) -> None:
    short, other = Layout(Path("/srv") / name), Layout(Path("/srv") / name / "other")
    assert database_host(short.data_dir).startswith("/tmp/zinzino-")  # noqa: S108
    assert len(str(short.postgres_socket)) < 90
    assert short.postgres_socket != other.postgres_socket
    assert short.valkey_socket != other.valkey_socket


def test_an_address_of_another_server_is_kept_for_celery() -> None:
    assert (
        embedded.broker_url("rediss://user:secret@redis.example:6380/3")
        == "rediss://user:secret@redis.example:6380/3"
    )
    assert embedded.broker_url("unix:///run/redis.sock?db=3") == "redis+socket:///run/redis.sock?virtual_host=3"


@pytest.mark.enable_socket
def test_the_servers_answer_under_an_odd_path(fresh: Servers) -> None:
    odd = Servers(fresh.layout.data_dir / ODD)
    try:
        odd.attached()
        assert odd.query("SELECT 1") == 1
        assert odd.valkey.ping()
    finally:
        odd.end()
    with pytest.raises(redis.ConnectionError):
        redis.Redis(unix_socket_path=str(fresh.layout.valkey_socket)).ping()
