"""Starts the servers and programs of a cluster, kills them as a machine dies, and leaves none behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import httpx
import psutil

from deploy.cluster.configs import HERE, Cluster
from zinzino import linux

PROJECT = HERE.parent.parent
MARK = "ZINZINO_CLUSTER"  # in the environment of all we start; its value is the name
KEPT = ("PATH", "HOME", "LANG", "VIRTUAL_ENV")
STOPS_WITHIN_S = 20.0
# What ends after the programs that use it, and what after that.
LAST = ("etcd", "proxy")
SERVERS = (*LAST, "database", "valkey", "broker")


class TrialFailed(Exception):
    """Something did not come about; the message says what, and where to look."""


class Machines:
    """Whatever runs, by its name. Only the main thread may start: a process ends with the thread that made it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.logs = cluster.folder / "log"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        # What a killed tether leaves comes to us.
        linux.adopt_orphans()

    def start(
        self,
        name: str,
        command: list[str],
        *,
        become: Callable[[], None] = lambda: None,
        environment: dict[str, str] | None = None,
    ) -> None:
        trial = os.getpid()

        def tie() -> None:
            become()
            linux.die_with_parent(trial, signal.SIGTERM)

        with (self.logs / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                # Who adopts the postmaster has to bury it, too: Patroni takes a zombie for one that lives.
                [sys.executable, "-m", "zinzino.tether", *command],
                cwd=PROJECT,
                env={**kept(), **(environment or {}), MARK: name},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=tie,
            )

    def manage(self, *words: str, environment: dict[str, str] | None = None) -> str:
        """What a command of `manage.py` prints; TrialFailed with its words where it ends with anything but 0."""
        own = environment or self.cluster.environment()
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=PROJECT,
            env={**kept(), **own},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise TrialFailed(f"manage.py {' '.join(words)}: {done.stdout}{done.stderr}".strip())
        return done.stdout

    def of(self, name: str) -> list[psutil.Process]:
        """All processes of that name that are alive, workers and backends included."""
        ours = psutil.Process().children(recursive=True)
        return [each for each in ours if self._is_of(each, name)]

    def _is_of(self, process: psutil.Process, name: str) -> bool:
        with suppress(psutil.Error, OSError):
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            # PostgreSQL writes its titles over its environment, but works in its own folder.
            return process.environ().get(MARK) == name or Path(process.cwd()).is_relative_to(
                self.cluster.folder / name
            )
        return False

    def signal(self, name: str, signum: signal.Signals) -> None:
        """To all of it at once, as when the power goes or a machine stands still."""
        for process in self.of(name):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signum)

    def kill(self, name: str) -> None:
        while self.of(name):
            self.signal(name, signal.SIGKILL)
            time.sleep(0.02)
        self.processes.pop(name).wait()
        self.bury()

    def bury(self) -> None:
        """The dead that came to us."""
        mine = {process.pid for process in self.processes.values()}
        for each in psutil.Process().children():
            with suppress(psutil.NoSuchProcess, ChildProcessError):
                if each.pid not in mine and each.status() == psutil.STATUS_ZOMBIE:
                    os.waitpid(each.pid, os.WNOHANG)

    def stop_all(self) -> None:
        """Programs, then servers, then what these lean on; nothing of them is left."""
        for group in (SERVERS, LAST, ()):
            self.stop([name for name in self.processes if name.partition("-")[0] not in group])
        deadline = time.monotonic() + STOPS_WITHIN_S
        while left := self.left():
            for each in left:
                with suppress(psutil.NoSuchProcess):
                    each.send_signal(signal.SIGKILL if time.monotonic() > deadline else signal.SIGTERM)
            time.sleep(0.2)

    def stop(self, names: Iterable[str]) -> None:
        """These, all at once; what does not end in time is killed."""
        ending = {name: self.processes.pop(name) for name in list(names)}
        for name, process in ending.items():
            self.signal(name, signal.SIGCONT)
            process.terminate()
        deadline = time.monotonic() + STOPS_WITHIN_S
        for process in ending.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            process.kill()

    def left(self) -> list[psutil.Process]:
        """What is still alive once all that was started has been ended: nothing may be."""
        alive = []
        for each in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if each.status() != psutil.STATUS_ZOMBIE:
                    alive.append(each)
        return alive


def kept() -> dict[str, str]:
    return {name: os.environ[name] for name in KEPT if name in os.environ}


def answers(url: str, *, status: int = 200) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == status
    except httpx.HTTPError:
        return False


def until(condition: Callable[[], bool], what: str, *, within_s: float = 90.0) -> float:
    """Seconds until it holds. Raises TrialFailed."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > within_s:
            raise TrialFailed(f"{what}: not within {within_s:.0f} s")
        time.sleep(0.1)
    return time.monotonic() - began
