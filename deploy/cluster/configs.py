"""What the cluster is configured with: the templates of this folder, and the environment of the programs."""

import secrets
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

HERE = Path(__file__).resolve().parent
HOST = "127.0.0.1"
NODES = ("a", "b")
# Of each of the two machines, and of what there is one of.
OF_A_NODE = ("patroni", "postgres", "valkey", "web", "live")
SHARED = ("etcd", "etcd_peers", "database", "analytics", "valkey", "http", "mqtt")
DATABASE = "zinzino"
# Limits that a few clients do not meet; this is about what is kept.
SCOPES = ("GENERAL", "AUTH", "SYNC", "IOT", "DISPENSE")


def free_ports(names: list[str]) -> dict[str, int]:
    """All at once, so that none is given twice."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in names]
        for probe in probes:
            probe.bind((HOST, 0))
        return {name: int(probe.getsockname()[1]) for name, probe in zip(names, probes, strict=True)}


def all_ports() -> dict[str, int]:
    return free_ports(
        [f"{name}_{node}" for name in OF_A_NODE for node in NODES] + [f"{name}_port" for name in SHARED]
    )


@dataclass(frozen=True)
class Cluster:
    """Where everything is: `postgres_a`, `web_b`, `database_port` … each on its own port."""

    folder: Path
    ports: Mapping[str, int] = field(default_factory=all_ports)
    passwords: Mapping[str, str] = field(
        default_factory=lambda: {
            name: secrets.token_urlsafe(24) for name in ("superuser", "replication", "rewind", "rest", "owner")
        }
    )
    keys: Mapping[str, str] = field(
        default_factory=lambda: {
            name: secrets.token_urlsafe(48) for name in ("SECRET_KEY", "JWT_SIGNING_KEY", "MQTT_PASSWORD")
        }
    )

    def url(self, name: str) -> str:
        return f"http://{HOST}:{self.ports[name]}"

    def database_url(self, name: str = DATABASE, *, port: str = "database_port") -> str:
        return f"postgres://{DATABASE}:{self.passwords['owner']}@{HOST}:{self.ports[port]}/{name}"

    def haproxy(self) -> str:
        return Template((HERE / "haproxy.cfg").read_text()).substitute(self.ports, host=HOST)

    def patroni(self, node: str, *, binaries: Path) -> str:
        passwords = {f"{name}_password": password for name, password in self.passwords.items()}
        return Template((HERE / "patroni.yml").read_text()).substitute(
            passwords,
            name=node,
            host=HOST,
            network=f"{HOST}/32",
            etcd=f"{HOST}:{self.ports['etcd_port']}",
            port=self.ports[f"postgres_{node}"],
            rest_port=self.ports[f"patroni_{node}"],
            folder=self.folder / f"database-{node}",
            binaries=binaries,
        )

    def environment(self, node: str = "a") -> dict[str, str]:
        """Of the product's programs on one machine; all of them reach the rest by the proxy."""
        http = f"{HOST}:{self.ports['http_port']}"
        limits = {f"RATE_LIMIT_{scope}": "1000000/min" for scope in SCOPES}
        return limits | {
            **self.keys,
            "DATA_DIR": str(self.folder / f"node-{node}"),
            "DATABASE_URL": self.database_url(),
            "ANALYTICS_DATABASE_URL": self.database_url(port="analytics_port"),
            "REDIS_URL": f"redis://{HOST}:{self.ports['valkey_port']}/0",
            "MQTT_HOST": HOST,
            "MQTT_PORT": str(self.ports["mqtt_port"]),
            "PORT": str(self.ports[f"web_{node}"]),
            "LIVE_PORT": str(self.ports[f"live_{node}"]),
            "PUBLIC_URL": f"http://{http}",
            "LIVE_URL": f"ws://{http}",
            "TRUSTED_PROXY_COUNT": "1",
            "WEB_WORKERS": "1",
            "LOG_LEVEL": "WARNING",
        }
