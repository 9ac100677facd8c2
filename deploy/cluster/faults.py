"""What is done to the machines, and what the runbook does about it (docs/operations.md, Several machines)."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from deploy.cluster.machines import until
from deploy.cluster.servers import Servers, other


@dataclass(frozen=True, slots=True)
class Fault:
    name: str
    told: str
    strike: Callable[[], None]
    mend: Callable[[], None]
    # Nobody is answered before that.
    mended_by_hand: bool = False


def faults(servers: Servers) -> Iterator[Fault]:
    """In order; each looks at the machines when its turn has come."""
    machines = servers.machines
    yield lost_primary(servers)
    for what in ("web", "live", "worker", "bridge"):
        yield lost_program(servers, what)
    yield lost_valkey(servers)
    yield Fault(
        "broker",
        "Mosquitto is killed, and started again",
        strike=lambda: machines.kill("broker"),
        mend=servers.run_broker,
        mended_by_hand=True,
    )
    yield lost_standby(servers)
    yield frozen_primary(servers)


def lost_primary(servers: Servers) -> Fault:
    node = servers.leader()
    database = f"database-{node}"

    def mend() -> None:
        until(lambda: servers.leader() == other(node), "the standby has taken over")
        servers.start_database(node)
        until(servers.is_safe, f"{database} is the standby", within_s=120)

    told = f"PostgreSQL's primary {node} and its Patroni are killed; it comes back as the standby"
    return Fault("primary", told, strike=lambda: servers.machines.kill(database), mend=mend)


def frozen_primary(servers: Servers) -> Fault:
    """It answers nobody, but its connections stand: the worst kind of away, and it does not know that it was."""
    node = servers.leader()
    database = f"database-{node}"

    def mend() -> None:
        until(lambda: servers.leader() == other(node), "the standby has taken over")
        servers.machines.signal(database, signal.SIGCONT)
        until(servers.is_safe, f"{database} is the standby", within_s=120)

    told = f"the primary {node} stands still, and goes on after the other has taken over"
    return Fault("frozen", told, strike=lambda: servers.machines.signal(database, signal.SIGSTOP), mend=mend)


def lost_standby(servers: Servers) -> Fault:
    node = other(servers.leader())
    database = f"database-{node}"

    def mend() -> None:
        servers.start_database(node)
        until(servers.is_safe, f"{database} is the standby", within_s=120)

    told = f"the standby {node} is killed; Patroni lets the primary go on alone until it is back"
    return Fault("standby", told, strike=lambda: servers.machines.kill(database), mend=mend)


def lost_program(servers: Servers, what: str) -> Fault:
    name = f"{what}-a"

    def mend() -> None:
        servers.start_node(what, "a")
        if what in {"web", "live"}:
            servers.await_ready(what, "a")

    return Fault(what, f"{name} is killed, and started again", lambda: servers.machines.kill(name), mend)


def lost_valkey(servers: Servers) -> Fault:
    node = next(node for node in ("a", "b") if servers.valkey_says(node, "role") == "master")

    def strike() -> None:
        servers.machines.kill(f"valkey-{node}")
        servers.promote_valkey(other(node))

    def mend() -> None:
        servers.start_valkey(node, replica_of=other(node))
        until(lambda: servers.valkey_says(node, "master_link_status") == "up", f"Valkey {node} follows")

    told = f"Valkey's primary {node} is killed, {other(node)} promoted; {node} comes back as its replica"
    return Fault("valkey", told, strike, mend)
