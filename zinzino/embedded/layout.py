"""Where the embedded servers keep their data, sockets, locks and logs."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

# sockaddr_un holds 104 bytes on macOS, 108 on Linux; supervisor adds a suffix while it binds.
MAX_SOCKET_PATH = 90
POSTGRES_SOCKET = ".s.PGSQL.5432"


class EmbeddedError(Exception):
    """The embedded servers cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Layout:
    data_dir: Path

    @property
    def run(self) -> Path:
        return self.data_dir / "run"

    @property
    def log(self) -> Path:
        return self.data_dir / "log"

    @property
    def users_lock(self) -> Path:
        """Held shared by every process that uses the servers."""
        return self.run / "users.lock"

    @property
    def guardian_lock(self) -> Path:
        """Held by the one guardian."""
        return self.run / "guardian.lock"

    @property
    def error(self) -> Path:
        """Why the last guardian gave up."""
        return self.run / "guardian.error"

    def wanted(self, name: str) -> Path:
        """Exists when some user asked for this server."""
        return self.run / f"want-{name}"

    @property
    def postgres_home(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def pgdata(self) -> Path:
        return self.postgres_home / "data"

    @property
    def valkey_home(self) -> Path:
        return self.data_dir / "valkey"

    @property
    def short(self) -> str:
        """The folder for sockets when the data folder's own path is unfit for them."""
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        # Not gettempdir(): every process must find the same. `private` checks whose it is.
        return f"/tmp/zinzino-{digest}"  # noqa: S108

    @property
    def unfit(self) -> bool:
        """Too long, or with a comma, which libpq takes for a list of hosts."""
        path = os.fsencode(self.postgres_home / "run" / POSTGRES_SOCKET)
        return len(path) > MAX_SOCKET_PATH or b"," in path

    @property
    def postgres_sockets(self) -> Path:
        """A folder of its own: PostgreSQL may have to run as another account."""
        return Path(f"{self.short}-postgres") if self.unfit else self.postgres_home / "run"

    @property
    def postgres_socket(self) -> Path:
        return self.postgres_sockets / POSTGRES_SOCKET

    @property
    def sockets(self) -> Path:
        return Path(self.short) if self.unfit else self.run

    @property
    def valkey_socket(self) -> Path:
        return self.sockets / "valkey.sock"

    @property
    def database_url(self) -> str:
        # This form, with the folder in the path, is the one of which django-environ keeps upper case.
        return f"postgres://zinzino@/{quote(str(self.postgres_sockets))}/zinzino"

    @property
    def redis_url(self) -> str:
        return f"unix://{quote(str(self.valkey_socket))}?db=0"

    def make(self) -> None:
        """Make the shared folders, private to this account."""
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            for folder in (self.run, self.log, self.sockets):
                private(folder)
        except OSError as error:
            raise EmbeddedError(f"Cannot use the data folder {self.data_dir}: {error}") from error


def private(folder: Path, owner: int | None = None) -> None:
    """Make `folder` with mode 0700, or refuse one that another account could have prepared."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), owner}:
        raise EmbeddedError(f"{folder} belongs to another account; remove it or set another DATA_DIR.")
    if found.st_mode & 0o077:
        folder.chmod(0o700)
