"""The machines of docs/operations.md (Several machines), and the runbook's hand on each of them."""

import os
import shutil
import sys
from typing import Any

import httpx
import psycopg
import redis
from psycopg.conninfo import make_conninfo

from deploy.cluster.configs import DATABASE, HOST, NODES, Cluster
from deploy.cluster.machines import Machines, TrialFailed, answers, until
from zinzino.embedded import identity, valkey
from zinzino.embedded.layout import EmbeddedError
from zinzino.embedded.postgres import binaries
from zinzino.mosquitto import Mosquitto

# Each program, and the Debian package that brings it.
NEEDED = {"etcd": "etcd-server", "patroni": "patroni", "haproxy": "haproxy", "mosquitto": "mosquitto"}
SBIN = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


def missing() -> list[str]:
    """The Debian packages that this machine lacks."""
    return [package for program, package in NEEDED.items() if shutil.which(program, path=SBIN) is None]


def program(name: str) -> str:
    return shutil.which(name, path=SBIN) or name


class Servers:
    def __init__(self, cluster: Cluster, machines: Machines) -> None:
        self.cluster, self.machines = cluster, machines
        try:
            self.binaries = binaries()
            # PostgreSQL runs as no root; of the wheel's files and ours it must reach all.
            self.who = identity.choose([self.binaries, cluster.folder])
        except EmbeddedError as error:
            raise TrialFailed(str(error)) from error
        self.broker = Mosquitto(cluster.folder / "broker", cluster.ports["mqtt_port"])

    # --- the database ---------------------------------------------------------------------------

    def start_etcd(self) -> None:
        here, peers = self.cluster.url("etcd_port"), self.cluster.url("etcd_peers_port")
        command = [program("etcd"), "--data-dir", str(self.cluster.folder / "etcd"), "--log-level", "error"]
        command += ["--enable-v2"]  # patroni.yml says why
        command += ["--listen-client-urls", here, "--advertise-client-urls", here]
        command += ["--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers]
        self.machines.start("etcd", [*command, "--initial-cluster", f"default={peers}"])
        until(lambda: answers(f"{here}/health"), "etcd is there")

    def start_database(self, node: str) -> None:
        folder = self.cluster.folder / f"database-{node}"
        config = folder / "patroni.yml"
        if not config.exists():
            folder.mkdir(mode=0o700)
            config.touch(mode=0o600)
            config.write_text(self.cluster.patroni(node, binaries=self.binaries))
            for path in (folder, config):
                os.chown(path, self.who.uid, self.who.gid)
        self.machines.start(f"database-{node}", [program("patroni"), str(config)], become=self.who.become)

    def role(self, node: str) -> str:
        """As Patroni sees it: `leader`, `sync_standby`, `replica`, or nothing."""
        members = [each for each in self.members() if each["name"] == node]
        return str(members[0]["role"]) if members and members[0]["state"] in {"running", "streaming"} else ""

    def members(self) -> list[dict[str, Any]]:
        for node in NODES:
            try:
                told = httpx.get(f"{self.cluster.url(f'patroni_{node}')}/cluster", timeout=2)
                return list(told.json()["members"])
            except (httpx.HTTPError, ValueError, KeyError):
                continue
        return []

    def leader(self) -> str:
        """The node that Patroni itself takes for the primary, and nobody else does."""
        leading = [node for node in NODES if answers(f"{self.cluster.url(f'patroni_{node}')}/primary")]
        return leading[0] if len(leading) == 1 else ""

    def is_safe(self) -> bool:
        """A primary, and a standby that has all that was answered."""
        leader = self.leader()
        return bool(leader) and self.role(other(leader)) == "sync_standby"

    def superuser(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """At the primary, by the proxy."""
        where = make_conninfo(
            host=HOST,
            port=self.cluster.ports["database_port"],
            user="postgres",
            password=self.cluster.passwords["superuser"],
            dbname=database,
            connect_timeout=5,
        )
        return psycopg.connect(where, autocommit=True)

    def make_database(self, name: str = DATABASE) -> None:
        with self.superuser() as db:
            if not db.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (DATABASE,)).fetchone():
                password = psycopg.sql.Literal(self.cluster.passwords["owner"])
                db.execute(psycopg.sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(owner, password))
            made = psycopg.sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0")
            db.execute(made.format(psycopg.sql.Identifier(name), owner))

    # --- Valkey, the broker, the proxy ------------------------------------------------------------

    def start_valkey(self, node: str, *, replica_of: str = "") -> None:
        folder = self.cluster.folder / f"valkey-{node}"
        folder.mkdir(mode=0o700, exist_ok=True)
        options = {"port": str(self.cluster.ports[f"valkey_{node}"]), "bind": HOST, "dir": str(folder)}
        options |= {"appendonly": "yes", "save": "", "maxmemory": "256mb", "maxmemory-policy": "noeviction"}
        command = [
            valkey.executable(),
            *(word for name, value in options.items() for word in (f"--{name}", value)),
        ]
        if replica_of:
            command += ["--replicaof", f"{HOST} {self.cluster.ports[f'valkey_{replica_of}']}"]
        self.machines.start(f"valkey-{node}", command)
        until(lambda: self.valkey_says(node, "role") != "", f"Valkey {node} is there")

    def valkey_says(self, node: str, word: str) -> str:
        try:
            with redis.Redis(HOST, self.cluster.ports[f"valkey_{node}"], socket_timeout=1) as client:
                said: Any = client.info("replication")
                return str(said[word])
        except redis.RedisError:
            return ""

    def promote_valkey(self, node: str) -> None:
        """`valkey-cli -h … REPLICAOF NO ONE`: the proxy follows."""
        with redis.Redis(HOST, self.cluster.ports[f"valkey_{node}"]) as client:
            client.replicaof("NO", "ONE")

    def start_broker(self) -> None:
        """After its users are known; and beside it what keeps them so."""
        self.broker.prepare()
        users = ["mqtt_auth_sync", "--folder", str(self.broker.auth), "--pid-file", str(self.broker.pid_file)]
        self.machines.manage(*users)
        self.run_broker()
        self.start_program("users", "a", *users, "--watch")

    def run_broker(self) -> None:
        config = self.broker.folder / "mosquitto.conf"
        self.machines.start("broker", [program("mosquitto"), "-c", str(config)])
        until(self.broker.listens, "the broker listens")

    def start_proxy(self) -> None:
        config = self.cluster.folder / "haproxy.cfg"
        config.write_text(self.cluster.haproxy())
        self.machines.start("proxy", [program("haproxy"), "-db", "-f", str(config)])

    # --- the product ------------------------------------------------------------------------------

    def start_program(self, name: str, node: str, *words: str) -> None:
        command = [sys.executable, "manage.py", *words]
        self.machines.start(name, command, environment=self.cluster.environment(node))

    def start_node(self, what: str, node: str) -> None:
        """`web`, `live`, `worker` or `bridge` of a node; each bridge keeps its index."""
        words = ["mqtt_bridge", "--index", str(NODES.index(node))] if what == "bridge" else ["serve", what]
        self.start_program(f"{what}-{node}", node, *words)

    def is_ready(self, what: str, node: str) -> bool:
        return answers(f"{self.cluster.url(f'{what}_{node}')}/health/ready")

    def start_all(self) -> None:
        self.start_etcd()
        self.start_proxy()
        for node in NODES:
            self.start_database(node)
            until(lambda: bool(self.leader()), "there is a primary")
        until(self.is_safe, "the standby is synchronous")
        until(self.takes_sessions, "the proxy knows the primary")
        self.make_database()
        self.start_valkey("a")
        self.start_valkey("b", replica_of="a")
        self.machines.manage("migrate_safely")
        self.start_broker()
        for node in NODES:
            for what in ("web", "live", "worker", "bridge"):
                self.start_node(what, node)
        self.start_program("beat", "a", "serve", "beat")
        for node in NODES:
            self.await_ready("web", node)
            self.await_ready("live", node)
        until(lambda: answers(f"{self.cluster.url('http_port')}/health/ready"), "the proxy knows web")

    def await_ready(self, what: str, node: str) -> None:
        until(lambda: self.is_ready(what, node), f"{what} {node} is ready")

    def takes_sessions(self) -> bool:
        try:
            self.superuser().close()
        except psycopg.OperationalError:
            return False
        return True


owner = psycopg.sql.Identifier(DATABASE)


def other(node: str) -> str:
    return NODES[1 - NODES.index(node)]
