"""Several machines: how programs find the primary, and the pure parts of the trial in `deploy/cluster`."""

import http.server
import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml
from django.db import connection

from deploy.cluster import configs, ledger
from deploy.cluster.__main__ import NAMES
from deploy.cluster.configs import Cluster
from deploy.cluster.ledger import Channel, compare, longest_silence
from deploy.cluster.machines import answers, until
from tests.test_settings import PRODUCTION, manage
from zinzino import backups
from zinzino.env import Env

SHOW = "import json; from django.conf import settings; print(json.dumps(settings.DATABASES, default=str))"


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Any:
    addresses = {
        "DATABASE_URL": "postgres://zinzino:p@one.internal:5432,two.internal:5433/zinzino",
        "ANALYTICS_DATABASE_URL": "postgres://zinzino:p@replica.internal/zinzino?sslmode=require",
    }
    done = manage(PRODUCTION | addresses, tmp_path_factory.mktemp("d"), "shell", "--no-imports", "-c", SHOW)
    return json.loads(done.stdout)


# --------------------------------------------------------------------------------- the product's settings


def test_of_several_hosts_the_one_that_takes_writes_is_used(databases: Any) -> None:
    found = databases["default"]
    assert (found["HOST"], found["PORT"]) == ("one.internal,two.internal", "5432,5433")
    assert found["OPTIONS"]["target_session_attrs"] == "read-write"


def test_a_lost_machine_is_noticed_within_half_a_minute(databases: Any) -> None:
    options = databases["default"]["OPTIONS"]
    silent_s = options["keepalives_idle"] + options["keepalives_interval"] * options["keepalives_count"]
    assert max(silent_s, options["tcp_user_timeout"] / 1000, options["connect_timeout"]) <= 30


def test_the_replica_is_read_with_the_same_limits_and_may_be_a_standby(databases: Any) -> None:
    expected = {**databases["default"]["OPTIONS"], "sslmode": "require"}
    del expected["target_session_attrs"]
    assert databases["analytics"]["OPTIONS"] == expected
    assert "statement_timeout" in expected["options"]


def test_what_the_address_says_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://z@one/z?target_session_attrs=any&connect_timeout=2")
    env = Env()  # type: ignore[no-untyped-call]
    options = env.database("DATABASE_URL", "", connect_timeout=5, target_session_attrs="read-write")["OPTIONS"]
    assert (options["target_session_attrs"], int(options["connect_timeout"])) == ("any", 2)


@pytest.mark.django_db
def test_a_server_that_takes_no_writes_gets_no_session() -> None:
    """A program that is on a standby would answer every write with an error, for as long as the session lives."""
    params = connection.get_connection_params()
    params["options"] += " -c default_transaction_read_only=on"
    with pytest.raises(psycopg.OperationalError, match="read-only"):
        psycopg.connect(**params)
    psycopg.connect(**params | {"target_session_attrs": "any"}).close()


@pytest.mark.django_db
def test_backups_look_for_the_same_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """pg_restore at the first of several hosts could meet the standby."""
    ran: list[list[str]] = []

    def run(command: list[str], **_options: Any) -> subprocess.CompletedProcess[str]:
        ran.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    backups.run("pg_dump")
    assert "target_session_attrs=read-write" in ran[0][-1]


# --------------------------------------------------------------------------------------- the trial's ledger


def test_what_was_acknowledged_and_is_not_there_is_lost() -> None:
    found = compare(["a", "b"], ["a", "b", "c"], {"a": 1})
    assert (found.lost, found.is_whole) == (["b"], False)


def test_what_is_there_twice_or_was_never_sent_is_named() -> None:
    found = compare(["a"], ["a"], {"a": 2, "x": 1})
    assert (found.lost, found.doubled, found.unknown, found.is_whole) == ([], ["a"], ["x"], False)


@pytest.mark.parametrize("there", [{"a": 1}, {"a": 1, "unanswered": 1}])
def test_what_was_sent_and_not_answered_may_be_there_or_not(there: dict[str, int]) -> None:
    assert compare(["a"], ["a", "unanswered"], there).is_whole


@pytest.mark.parametrize(
    ("answered", "seconds"),
    [
        ([], 20.0),  # nobody was ever answered again
        ([9.5, 12.0, 12.2, 29.9], 17.7),
        ([15.0], 15.0),  # until the end counts, too
        ([31.0], 20.0),
        ([28.0, 11.0, 12.0], 16.0),  # in whichever order they came
    ],
)
def test_the_longest_time_without_an_answer(answered: list[float], seconds: float) -> None:
    assert longest_silence(answered, since=10.0, until=30.0) == pytest.approx(seconds)


def test_a_channel_keeps_what_was_said_and_when(monkeypatch: pytest.MonkeyPatch) -> None:
    channel, moments = Channel("phone"), iter((1.0, 2.0, 3.0, 4.0))
    monkeypatch.setattr(time, "monotonic", lambda: next(moments))
    channel.attempt("a")
    channel.refuse("503")
    channel.refuse("503")
    channel.refuse("ReadTimeout")
    channel.acknowledge("a")
    assert (channel.tried, channel.acknowledged) == ({"a"}, [(4.0, "a")])
    assert ledger.reasons(channel.refused, since=0, until=10) == "2 × 503, 1 × ReadTimeout"
    assert ledger.reasons(channel.refused, since=2.5, until=10) == "1 × ReadTimeout"


# ------------------------------------------------------------------------------------------- its machines


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


def test_no_two_servers_share_a_port(cluster: Cluster) -> None:
    assert len(set(cluster.ports.values())) == len(cluster.ports)


def test_patroni_answers_only_what_the_standby_has(cluster: Cluster, tmp_path: Path) -> None:
    config = yaml.safe_load(cluster.patroni("b", binaries=tmp_path / "bin"))
    dcs = config["bootstrap"]["dcs"]
    assert dcs["synchronous_mode"] is True
    # Else Patroni lowers the times by itself, and nobody knows how long a fail-over takes.
    assert dcs["ttl"] >= dcs["loop_wait"] + 2 * dcs["retry_timeout"]
    assert config["postgresql"]["listen"] == f"127.0.0.1:{cluster.ports['postgres_b']}"
    assert config["postgresql"]["authentication"]["superuser"]["password"] == cluster.passwords["superuser"]
    assert not any(line.split()[-1] == "trust" for line in config["postgresql"]["pg_hba"])


def test_the_proxy_takes_its_configuration(cluster: Cluster, tmp_path: Path) -> None:
    said = cluster.haproxy()
    assert "$" not in said.replace("commands)$ }", "")
    for check in ("GET /primary", "GET /replica", "role:master", "GET /health/ready"):
        assert check in said
    haproxy = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if haproxy is None:
        pytest.skip("there is no haproxy on this machine to read it")
    (tmp_path / "haproxy.cfg").write_text(said)
    done = subprocess.run([haproxy, "-c", "-f", str(tmp_path / "haproxy.cfg")], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


class Node(http.server.BaseHTTPRequestHandler):
    """A web process that lives, is ready or not, and says which headers it got."""

    ready = True

    def do_GET(self) -> None:
        self.send_response(503 if self.path == "/health/ready" and not Node.ready else 200)
        self.end_headers()
        self.wfile.write(json.dumps([self.path, self.headers.items()]).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def proxy(cluster: Cluster, tmp_path: Path) -> Iterator[str]:
    """The real one, before one web process and nobody else."""
    haproxy = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if haproxy is None:
        pytest.skip("there is no haproxy on this machine")
    (tmp_path / "haproxy.cfg").write_text(cluster.haproxy())
    node = http.server.ThreadingHTTPServer((configs.HOST, cluster.ports["web_a"]), Node)
    threading.Thread(target=node.serve_forever, daemon=True).start()
    process = subprocess.Popen([haproxy, "-db", "-f", str(tmp_path / "haproxy.cfg")], stderr=subprocess.DEVNULL)
    url = cluster.url("http_port")
    until(lambda: answers(f"{url}/metrics", status=404), "the proxy is there", within_s=10)
    yield url
    process.kill()
    process.wait()
    node.shutdown()
    node.server_close()


def told(url: str, **headers: str) -> Any:
    """The status; and the path and headers that have reached the node, where one has."""
    answer = httpx.get(url, headers={name.replace("__", "-"): value for name, value in headers.items()})
    return answer.status_code, answer.json() if answer.text.startswith("[") else None


@pytest.mark.enable_socket
def test_the_proxy_says_who_asks_and_hides_what_is_not_for_all(proxy: str) -> None:
    until(lambda: told(f"{proxy}/health/ready")[0] == 200, "the node is ready", within_s=10)
    headers = {"X__Forwarded__For": "6.6.6.6", "X_Forwarded_For": "7.7.7.7", "X__Forwarded__Proto": "https"}
    status, (_, got) = told(f"{proxy}/v1/profile", **headers)
    assert (status, [value for name, value in got if "forwarded" in name.lower()]) == (
        200,
        ["https", "6.6.6.6, 127.0.0.1"],
    )
    _, (_, got) = told(f"{proxy}/v1/profile", X__Forwarded__Proto="https")
    assert {name.lower(): value for name, value in got}["x-forwarded-proto"] == "http"
    assert told(f"{proxy}/metrics") == (404, None)


@pytest.mark.enable_socket
def test_while_nobody_is_ready_the_product_itself_says_so(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its envelope and Retry-After, which no page of the proxy has."""
    monkeypatch.setattr(Node, "ready", False)
    until(lambda: told(f"{proxy}/v1/profile")[0] == 200, "who lives is asked", within_s=10)
    assert told(f"{proxy}/health/ready")[1][0] == "/health/ready"


def test_the_programs_reach_everything_by_the_proxy(cluster: Cluster) -> None:
    one, two = (cluster.environment(node) for node in configs.NODES)
    own = {name for name in one if one[name] != two[name]}
    assert own == {"DATA_DIR", "PORT", "LIVE_PORT"}
    assert one["DATABASE_URL"].endswith(f"@127.0.0.1:{cluster.ports['database_port']}/zinzino")
    assert str(cluster.ports["analytics_port"]) in one["ANALYTICS_DATABASE_URL"]
    assert str(cluster.ports["valkey_port"]) in one["REDIS_URL"]


def test_the_runbook_has_a_line_for_each_fault() -> None:
    page = (configs.HERE.parent.parent / "docs" / "operations.md").read_text()
    table = page.partition("**When a machine is lost.**")[2].partition("**The trial.**")[0]
    told = [
        name
        for line in table.splitlines()
        for name in re.findall(r"`(\w+)`", line.partition("| ")[2].partition("|")[0])
    ]
    assert sorted(told) == sorted(NAMES)
