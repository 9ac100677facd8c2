"""A disk that can be full."""

import errno
import os
import subprocess
from contextlib import suppress
from pathlib import Path

MIB = 48


class Media:
    """A small disk of its own where pictures lie, so that it can be full. Only who may mount has one."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.filler = folder, folder / "filler"
        folder.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={MIB}m,mode=0755", "tmpfs", str(folder)]
        self.is_mounted = (
            os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
        )

    def fill(self) -> None:
        with self.filler.open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                with suppress(OSError):
                    while True:
                        file.write(b"\0" * size)
        if self.free():
            raise OSError(errno.EAGAIN, "the disk is not full")

    def free(self) -> int:
        about = os.statvfs(self.folder)
        return about.f_bavail * about.f_frsize

    def make_room(self) -> None:
        self.filler.unlink()

    def leave(self) -> None:
        leave(self.folder)


def leave(folder: Path) -> None:
    """Also that of a run that was killed."""
    if folder.is_mount():
        subprocess.run(["umount", "-l", str(folder)], check=True)
