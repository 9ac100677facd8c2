"""Who starts the embedded servers, what they survive, and when they end."""

import fcntl
import os
import shutil
import signal
import time

import psutil
import psycopg
import pytest

from tests.embedded.conftest import Servers, eventually, gone
from zinzino import embedded

pytestmark = pytest.mark.enable_socket


def data_is_there(servers: Servers) -> bool:
    return servers.query("SELECT value FROM kept") == 42 and servers.valkey.get("kept") == b"42"


def shareable(servers: Servers) -> bool:
    with servers.layout.users_lock.open("a") as probe:
        return embedded.try_lock(probe, fcntl.LOCK_SH)


def test_many_processes_at_once_share_one_guardian(fresh: Servers) -> None:
    users = [fresh.user() for _ in range(8)]
    assert [user.stdout and user.stdout.readline() for user in users] == ["attached\n"] * 8
    guards = [
        process
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [])[-2:] == ["zinzino.embedded", str(fresh.layout.data_dir)]
    ]
    assert [process.pid for process in guards] == [fresh.guardian.pid]


def test_only_the_wanted_server_starts_and_the_other_joins_later(fresh: Servers) -> None:
    fresh.attached("valkey")
    assert [child.name() for child in fresh.guardian.children()] == ["valkey-server"]
    guardian = fresh.guardian.pid
    fresh.attached("postgres")
    assert fresh.query("SELECT 1") == 1
    assert fresh.guardian.pid == guardian


def test_no_server_listens_on_a_port(shared: Servers) -> None:
    for name in ("postgres", "valkey-server"):
        process = shared.server(name)
        assert [c for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN] == []


def test_sockets_and_data_are_closed_to_other_accounts(shared: Servers) -> None:
    layout = shared.layout
    for path in (layout.run, layout.log, layout.postgres_home, layout.pgdata, layout.valkey_home):
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["postgres", "valkey-server"])
def test_a_killed_server_comes_back_with_its_data(shared: Servers, name: str) -> None:
    killed = shared.server(name)
    killed.kill()
    eventually(lambda: shared.server(name).pid != killed.pid and data_is_there(shared))


def test_a_busy_backend_of_a_killed_postgres_does_not_block_its_return(shared: Servers) -> None:
    busy = shared.connect()
    # A backend that computes does not notice that its postmaster is gone.
    busy.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 1000000000)")
    shared.server("postgres").kill()
    eventually(lambda: data_is_there(shared), within_s=5)
    busy.close()


def test_servers_end_with_a_killed_guardian_and_the_next_user_recovers(shared: Servers) -> None:
    processes = [shared.server("postgres"), shared.server("valkey-server")]
    shared.guardian.kill()
    eventually(lambda: all(gone(process) for process in processes))
    shared.attached()
    assert data_is_there(shared)


def test_everything_killed_at_once_recovers(shared: Servers) -> None:
    for process in [shared.guardian, shared.server("postgres"), shared.server("valkey-server")]:
        process.kill()
    eventually(lambda: not embedded.guarded(shared.layout))
    shared.attached()
    assert data_is_there(shared)


def test_servers_end_after_their_last_user_was_killed_and_keep_their_data(fresh: Servers) -> None:
    fresh.attached()
    with fresh.connect() as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS value")
    processes = [fresh.guardian, fresh.server("postgres"), fresh.server("valkey-server")]
    fresh.end_users()
    eventually(lambda: all(gone(process) for process in processes))
    fresh.attached()
    assert fresh.query("SELECT value FROM kept") == 42


def test_a_forked_child_is_a_user_too(fresh: Servers) -> None:
    """The workers of a server that preloads fork after they attached, and may outlive their master."""
    embedded.attach(fresh.layout.data_dir, postgres=False, valkey=True)
    child = os.fork()
    if child == 0:
        signal.pause()
    embedded.leave(fresh.layout.data_dir, within_s=5)
    time.sleep(2.0)  # longer than the guardian lingers
    assert fresh.valkey.ping()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    eventually(lambda: not embedded.guarded(fresh.layout))


def test_attaching_twice_is_quick_and_leaving_ends_the_servers(fresh: Servers) -> None:
    embedded.attach(fresh.layout.data_dir, postgres=False, valkey=True)
    started = time.monotonic()
    embedded.attach(fresh.layout.data_dir, postgres=False, valkey=True)
    assert time.monotonic() - started < 0.1
    embedded.leave(fresh.layout.data_dir, within_s=8)
    assert not embedded.guarded(fresh.layout)


def test_a_running_product_brings_its_guardian_back(fresh: Servers) -> None:
    embedded.attach(fresh.layout.data_dir, postgres=False, valkey=True)
    fresh.guardian.kill()
    eventually(lambda: not embedded.guarded(fresh.layout))
    embedded.ensure(fresh.layout.data_dir)
    eventually(lambda: fresh.valkey.ping())
    embedded.leave(fresh.layout.data_dir, within_s=8)


def test_whoever_attaches_while_the_servers_stop_gets_new_ones(fresh: Servers) -> None:
    fresh.attached("valkey")
    guardian = fresh.guardian
    fresh.end_users()
    # It ends by taking the lock alone; a probe that succeeds is let go of at once, or it were a user.
    eventually(lambda: not shareable(fresh))
    fresh.attached("valkey")
    assert fresh.valkey.ping()
    assert fresh.guardian.pid != guardian.pid


def test_traces_of_a_power_cut_do_not_stop_the_start(fresh: Servers) -> None:
    """After a reboot the old process numbers belong to other processes: here, to this one."""
    fresh.attached("postgres")
    fresh.end()
    home = fresh.layout.postgres_home
    (home / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n{home}/data\n1\n5432\n\n\n 1 1\nready\n")
    fresh.layout.postgres_socket.with_name(".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n")
    (home / "new-1").mkdir()
    fresh.attached("postgres")
    assert fresh.query("SELECT 1") == 1
    assert not (home / "new-1").exists()


def test_servers_end_when_their_data_folder_is_removed(fresh: Servers) -> None:
    fresh.attached("valkey")
    guardian, server = fresh.guardian, fresh.server("valkey-server")
    shutil.rmtree(fresh.layout.data_dir)
    eventually(lambda: gone(guardian) and gone(server))


def test_text_sorts_alike_on_every_system_and_pages_are_checked(shared: Servers) -> None:
    statement = (
        "SELECT datlocale || ' ' || current_setting('data_checksums') FROM pg_database WHERE datname='zinzino'"
    )
    assert shared.query(statement) == "C.UTF-8 on"


def test_two_hundred_sessions_fit(shared: Servers) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        shared.query("SELECT 1 FROM no_such_table")
    assert shared.query("SHOW max_connections") == "200"
