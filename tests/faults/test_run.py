"""`make run`: whatever is killed comes back, nothing runs twice, and at the end nothing is left."""

import http.client
import signal
import time

import pytest
from django.conf import settings

from tests.embedded.conftest import eventually, gone
from tests.faults.product import Product
from zinzino import embedded

pytestmark = [pytest.mark.enable_socket, pytest.mark.slow]


def test_it_says_where_to_look_and_ends_without_a_trace_on_ctrl_c(running: Product) -> None:
    for word in (
        "/v1",
        "/docs",
        "/redoc",
        "/admin",
        "staff@example.com",
        "demo@example.com",
        "zinzino-demo",
        "znd_",
    ):
        assert word in running.printed
    started = time.monotonic()
    assert running.end(signal.SIGINT) == 0
    assert time.monotonic() - started < 12
    assert running.processes() == []


def test_at_the_second_start_nothing_is_done_once_more(stopped: Product) -> None:
    """How many seconds it takes `benchmarks.start` says."""
    stopped.start()
    assert "No migrations to apply" in stopped.printed
    assert "demo data: nothing to do" in stopped.printed


def test_a_second_product_on_the_same_data_is_refused(running: Product) -> None:
    second = running.spawn()
    printed, _ = second.communicate(timeout=20)
    assert second.returncode == 1
    assert "It already runs" in printed
    assert running.answers()


def test_a_taken_port_is_named(running: Product, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = Product(tmp_path_factory.mktemp("q") / "var")
    other.port = running.port
    second = other.spawn()
    printed, _ = second.communicate(timeout=30)
    assert second.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{running.port}: Address already in use" in printed
    eventually(lambda: not other.processes())


def test_with_servers_of_your_own_none_is_started(tmp_path_factory: pytest.TempPathFactory) -> None:
    database, valkey = embedded.urls(settings.DATA_DIR)  # to the product, foreign servers like any other
    data_dir = tmp_path_factory.mktemp("o") / "var"
    product = Product(data_dir, DATABASE_URL=database, REDIS_URL=valkey)
    product.start()
    try:
        assert not (data_dir / "postgres").exists()
        assert not product.layout.guardian_lock.exists()
        # One of its web processes has answered; the other may still be starting.
        eventually(product.answers)
    finally:
        assert product.end(signal.SIGINT) == 0


@pytest.mark.parametrize("word", ["granian", "live", "worker", "beat"])
def test_a_killed_master_takes_its_children_along_and_comes_back(running: Product, word: str) -> None:
    eventually(lambda: len(running.masters(word)) == 1)
    [master] = running.masters(word)
    generation = [master, *master.children(recursive=True)]
    master.kill()
    eventually(lambda: all(gone(process) for process in generation))
    eventually(lambda: len(running.masters(word)) == 1, within_s=20)
    eventually(running.answers, within_s=20)


def test_a_killed_web_worker_is_replaced_and_the_other_answers(running: Product) -> None:
    [master] = running.masters("granian")
    eventually(lambda: len(master.children()) == 2)
    master.children()[0].kill()
    eventually(lambda: len(master.children()) == 2 and running.answers())


def test_a_killed_supervisor_is_replaced_and_nothing_runs_twice(running: Product) -> None:
    before = running.supervisor()
    before.kill()
    eventually(lambda: gone(before) and running.supervisor().pid != before.pid, within_s=20)
    eventually(running.answers, within_s=20)
    eventually(lambda: [len(running.masters(word)) for word in ("granian", "worker", "beat")] == [1, 1, 1])


@pytest.mark.parametrize("name", ["postgres", "valkey-server", "guardian"])
def test_a_killed_server_comes_back(running: Product, name: str) -> None:
    killed = running.servers()[name]
    killed.kill()
    eventually(lambda: running.servers()[name].pid != killed.pid and running.answers(), within_s=20)


def test_all_ends_with_a_killed_parent_and_the_next_start_recovers(running: Product) -> None:
    assert running.process
    running.process.kill()
    running.process.wait()
    eventually(lambda: not running.processes(), within_s=15)
    running.start()
    assert running.answers()


def test_a_start_right_after_a_kill_of_parent_and_supervisor_recovers(running: Product) -> None:
    assert running.process
    supervisor = running.supervisor()
    running.process.kill()
    supervisor.kill()
    running.process.wait()
    running.start()
    words = ("granian", "worker", "beat")
    eventually(lambda: [len(running.masters(word)) for word in words] == [1, 1, 1])


def test_a_request_under_way_does_not_hold_up_the_end(running: Product) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", running.port)
    connection.connect()  # and sends nothing
    started = time.monotonic()
    assert running.end(signal.SIGTERM) == 0
    assert time.monotonic() - started < 12
    connection.close()
    assert running.processes() == []
