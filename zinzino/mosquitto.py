"""Mosquitto as `make run`, the tests and the benchmarks start it, all its files in one folder (iot.md 3).

`deploy/mosquitto/mosquitto.conf` is the same for production; a test compares what both say.
"""

import getpass
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

STARTS_WITHIN_S = 10.0
CONFIGURATION = """# Written at every start; change zinzino/mosquitto.py instead.
listener {port} {host}
use_username_as_clientid true
allow_anonymous false
password_file {folder}/auth/passwords
acl_file {folder}/auth/acl
pid_file {folder}/pid
user {user}

persistence true
persistence_location {folder}/data/
persistent_client_expiration 2d
max_inflight_messages 1000
max_queued_messages 200000
max_packet_size 131072

log_dest stderr
log_type error
"""


class BrokerFailed(Exception):
    """Mosquitto is not there, or does not start; the message says why."""


@dataclass(frozen=True, slots=True)
class Mosquitto:
    """A broker whose files are all in one folder."""

    folder: Path
    port: int
    host: str = "127.0.0.1"
    more: str = ""

    @property
    def auth(self) -> Path:
        """Where `devices.broker` says who may use it; both files must be there when it starts."""
        return self.folder / "auth"

    @property
    def pid_file(self) -> Path:
        return self.folder / "pid"

    def prepare(self) -> None:
        """Write its configuration."""
        for folder in (self.folder, self.auth, self.folder / "data"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.pid_file.unlink(missing_ok=True)
        said = CONFIGURATION.format(port=self.port, host=self.host, folder=self.folder, user=getpass.getuser())
        (self.folder / "mosquitto.conf").write_text(said + self.more)

    def start(self, **options: object) -> subprocess.Popen[bytes]:
        """Returns once it listens. Raises BrokerFailed."""
        command = [executable(), "-c", str(self.folder / "mosquitto.conf")]
        process: subprocess.Popen[bytes] = subprocess.Popen(command, **options)  # type: ignore[call-overload]
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not self.listens():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise BrokerFailed(f"Mosquitto does not start on {self.host}:{self.port}.")
            time.sleep(0.05)
        return process

    def listens(self) -> bool:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - asked, not bound
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            return probe.connect_ex((host, self.port)) == 0


def installed() -> str | None:
    """Debian puts it where only root looks."""
    return shutil.which(
        "mosquitto", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    )


def executable() -> str:
    """Raises BrokerFailed."""
    found = installed()
    if found is None:
        raise BrokerFailed("There is no Mosquitto on this machine; `apt-get install mosquitto` brings it.")
    return found
