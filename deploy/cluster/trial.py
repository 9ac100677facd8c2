"""The trial: everything runs twice, clients write, machines die one after the other, and then all is counted."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from deploy.cluster import ledger, truth
from deploy.cluster.clients import Analyst, Client, Phone, Unit
from deploy.cluster.configs import HOST, Cluster
from deploy.cluster.faults import Fault, faults
from deploy.cluster.ledger import Channel
from deploy.cluster.machines import Machines, TrialFailed, until
from deploy.cluster.servers import Servers

RECOVERS_WITHIN_S = 120.0
CALM_S = 4.0
UNDER_WAY_S = 1.0
ENDS_WITHIN_S = 120.0
RESTORED = "zinzino_restored"
CHECKS = (("sync_audit",), ("rebuild_rollups", "--check"), ("doctor",))


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that is over, and from when to when it was looked at (monotonic)."""

    fault: Fault
    since: float
    until: float


class Trial:
    def __init__(self, folder: Path, console: Console, only: Sequence[str]) -> None:
        self.console, self.only = console, only
        self.cluster = Cluster(folder)
        self.machines = Machines(self.cluster)
        self.servers = Servers(self.cluster, self.machines)
        self.clients: list[Client] = []
        self.struck: list[Struck] = []

    def run(self) -> bool:
        """Whether nothing was lost and all is well afterwards. Raises TrialFailed."""
        try:
            self.say("starting: etcd, Patroni twice, proxy, Valkey twice, broker, and two of each program")
            self.servers.start_all()
            with self.writing():
                for fault in faults(self.servers):
                    if not self.only or fault.name in self.only:
                        self.struck.append(self.through(fault))
                backup = self.backed_up()
            return self.judged() & self.restored(backup)
        finally:
            self.say("ending everything")
            self.machines.stop_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Clients at work; afterwards they have brought in what they still had."""
        url, broker = self.cluster.url("http_port"), (HOST, self.cluster.ports["mqtt_port"])
        self.clients = [
            Phone(url, Channel("phone 1")),
            Phone(url, Channel("phone 2")),
            Unit(url, Channel("HTTP"), self.cluster.folder / "http.json"),
            Unit(url, Channel("MQTT"), self.cluster.folder / "mqtt.json", mqtt=broker),
            Analyst(url, Channel("analytics")),
        ]
        for client in self.clients:
            client.start()
        try:
            self.calm(time.monotonic())
            yield
        finally:
            for client in self.clients:
                client.stopping.set()
            for client in self.clients:
                client.join(ENDS_WITHIN_S)

    def through(self, fault: Fault) -> Struck:
        self.say(f"{fault.name}: {fault.told}")
        since = time.monotonic()
        fault.strike()
        if not fault.mended_by_hand:
            # What was under way when it fell may still be answered.
            self.calm(time.monotonic() + UNDER_WAY_S)
        fault.mend()
        self.calm(time.monotonic())
        return Struck(fault, since, time.monotonic())

    def calm(self, since: float) -> None:
        """Everybody has been answered since, and for a while longer."""
        until(
            lambda: all(answered(each, since) for each in self.clients),
            "all are answered again",
            within_s=RECOVERS_WITHIN_S,
        )
        time.sleep(CALM_S)

    # --- afterwards -------------------------------------------------------------------------------

    def judged(self) -> bool:
        """Says what was lost, and how long nobody was answered."""
        compared = truth.compared(self.cluster.database_url(), self.clients)
        table = Table("channel", "tried", "acknowledged", "lost", "doubled", "never sent")
        for client in self.clients:
            for name in (client.channel.name, f"{client.channel.name}, doses"):
                if name in compared:
                    found, channel = compared[name], client.channel
                    numbers = (len(channel.tried), len(channel.acknowledged))
                    if isinstance(client, Unit) and name.endswith("doses"):
                        numbers = (len(client.poured), len(client.poured))
                    cells = (*numbers, len(found.lost), len(found.doubled), len(found.unknown))
                    table.add_row(name, *map(str, cells))
        self.console.print(table)
        self.console.print(self.silences())
        died = [f"{each.name}: {each.fault or 'does not end'!r}" for each in self.clients if each.did_not_end]
        for line in died:
            self.say(line)
        checks = [self.checked(*words) for words in CHECKS]
        return all(each.is_whole for each in compared.values()) and not died and all(checks)

    def silences(self) -> Table:
        table = Table("seconds without an answer", *(client.name for client in self.clients), "refused")
        for each in self.struck:
            bounds = {"since": each.since, "until": each.until}
            cells = [
                f"{ledger.longest_silence([at for at, _ in client.channel.acknowledged], **bounds):.1f}"
                for client in self.clients
            ]
            refused = [each for client in self.clients for each in client.channel.refused]
            table.add_row(each.fault.name, *cells, ledger.reasons(refused, **bounds))
        return table

    def checked(self, *words: str) -> bool:
        try:
            told = self.machines.manage(*words)
        except TrialFailed as failure:
            self.say(str(failure))
            return False
        (self.cluster.folder / "log" / f"{words[0]}.log").write_text(told)
        self.say(f"manage.py {' '.join(words)}: well")
        return True

    def backed_up(self) -> Path:
        """While clients write."""
        folder = self.cluster.folder / "backups"
        told: dict[str, Any] = json.loads(self.machines.manage("backup_db", "--folder", str(folder), "--json"))
        self.say(f"a backup was taken while clients wrote: {told['bytes']} bytes")
        return next(folder.glob("*.dump"))

    def restored(self, backup: Path) -> bool:
        """Into an empty database beside; all dispensers must be held there."""
        self.servers.make_database(RESTORED)
        there = self.cluster.environment() | {"DATABASE_URL": self.cluster.database_url(RESTORED)}
        facts = json.loads(self.machines.manage("restore_db", str(backup), "--json", environment=there))
        standing = json.loads(self.machines.manage("safety_stop", "--json", environment=there))["standing"]
        self.say(f"restored; what is to be set: {facts['set']}; what holds the dispensers there: {standing}")
        self.machines.manage("sync_audit", environment=there)
        return bool(standing)

    def say(self, text: str) -> None:
        self.console.print(f"{time.strftime('%H:%M:%S')} {text}", markup=False, highlight=False)


def answered(client: Client, since: float) -> bool:
    if client.fault:
        raise TrialFailed(f"{client.name} ended: {client.fault!r}")
    acknowledged = client.channel.acknowledged
    return bool(acknowledged) and acknowledged[-1][0] > since
