"""The processes behind `make run`: which they are, and how they are started, watched and ended."""

import fcntl
import functools
import http.client
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from io import TextIOBase
from pathlib import Path
from typing import IO, Any, cast
from xmlrpc.client import Fault, ServerProxy

import psutil
from django.conf import settings
from supervisor.xmlrpc import SupervisorTransport

from zinzino import embedded, linux, metrics, mosquitto
from zinzino.embedded.layout import Layout

MARK = "ZINZINO_RUN"  # in the environment of everything we start; its value is the data folder
TICK_S = 0.2
LOOK_EVERY_S = 2.0
STOP_WITHIN_S = 7.0
# What answers people starts first; the others wait for it, but no longer than this.
FIRST = ("web", "live")
ALONE_S = 8.0
LOUD = (" WARN ", " ERRO ")  # what of supervisor's own log is shown


class CannotRun(Exception):
    """`make run` cannot start; the message says why and what to do."""


@dataclass(frozen=True)
class Program:
    name: str
    module: str
    arguments: str


def programs() -> list[Program]:
    """What the product consists of, beside its servers."""
    web = (
        f"--interface wsgi --no-ws --workers {settings.WEB_WORKERS} --blocking-threads 4 --respawn-failed-workers"
    )
    where = f"--host {settings.HOST} --port {settings.PORT}"
    return [
        Program("web", "granian", f"{web} {where} --workers-kill-timeout 5s zinzino.wsgi:application"),
        Program("live", "manage", "live"),
        Program("worker", "celery", "--quiet -A zinzino worker -c 2 --without-mingle --without-gossip -l INFO"),
        Program("beat", "celery", "--quiet -A zinzino beat -l WARNING --pidfile="),
        # Between the broker of the dispensers and the services.
        Program("bridge", "manage", "mqtt_bridge"),
    ]


def supervised() -> list[Program]:
    """What `make run` starts: with a broker of ours unless another is named, and no bridge where there is none."""
    if not settings.EMBEDDED_MQTT:
        return programs()
    if mosquitto.installed():
        return [*programs(), Program("broker", "manage", "mqtt_broker")]
    return [program for program in programs() if program.name != "bridge"]


def run(out: TextIOBase | IO[str]) -> None:
    """Keep all programs alive until SIGINT, SIGTERM or SIGHUP; CannotRun if there is no room for them."""
    supervised = Supervised(out)
    with interrupting_signals(), suppress(KeyboardInterrupt):
        try:
            supervised.watch()
        finally:
            for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(signum, signal.SIG_IGN)
            supervised.stop()


@contextmanager
def interrupting_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP interrupt like Ctrl-C."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.default_int_handler)
    yield


class Supervised:
    """supervisord with the programs, what they print, and whether they answer."""

    def __init__(self, out: TextIOBase | IO[str]) -> None:
        self.out = out
        self.layout = Layout(settings.DATA_DIR)
        self.socket = self.layout.sockets / "supervisor.sock"
        self.process: subprocess.Popen[bytes] | None = None
        self.tails = [Tail(program.name, self.layout.log / f"{program.name}.log") for program in supervised()]
        self.tails.append(Tail("run", self.layout.log / "supervisord.log", only=LOUD))

    def watch(self) -> None:
        ready, look_at, started_at = False, 0.0, time.monotonic()
        while True:
            if self.process is None or self.process.poll() is not None:
                self.start()
            self.show()
            if not ready and answers_ready():
                ready, look_at = True, 0.0
                others = ", ".join(program.name for program in supervised() if program.name not in FIRST)
                self.say(f"ready after {time.monotonic() - started_at:.1f} s ({others} follow)")
            if time.monotonic() > look_at:
                look_at = time.monotonic() + LOOK_EVERY_S
                embedded.ensure(settings.DATA_DIR)
                self.revive(the_others=ready or time.monotonic() > started_at + ALONE_S)
            time.sleep(TICK_S)

    def start(self) -> None:
        """Start supervisord; again, after what it left has ended, if somebody killed it."""
        end_leftovers()
        config = self.layout.run / "supervisord.conf"
        config.write_text(configuration(self.socket))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "--nodaemon", "--silent", "-c", str(config)],
            cwd=self.layout.run,
            env={**os.environ, MARK: str(settings.DATA_DIR)},
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us; supervisord ends when we say so, or when we are gone
            preexec_fn=functools.partial(linux.die_with_parent, os.getpid(), signal.SIGTERM),
        )

    def revive(self, *, the_others: bool) -> None:
        """Start what waits; and supervisor gives up on a program that fails five times in a row, we do not."""
        down = {"FATAL", "STOPPED"} if the_others else {"FATAL"}
        with suppress(OSError, Fault, http.client.HTTPException):
            transport = cast(Any, SupervisorTransport)(serverurl=f"unix://{self.socket}")
            with closing(transport), ServerProxy("http://localhost", transport=transport) as server:
                states = cast(list[dict[str, Any]], server.supervisor.getAllProcessInfo())
                for state in states:
                    if state["statename"] in down:
                        server.supervisor.startProcess(f"{state['group']}:{state['name']}", False)

    def show(self) -> None:
        for tail in self.tails:
            for line in tail.lines():
                self.say(line, tail.name)

    def say(self, text: str, name: str = "run") -> None:
        # A closed terminal must not stop the product.
        with suppress(OSError, ValueError):
            self.out.write(f"{name:<6} | {text}\n")
            self.out.flush()

    def stop(self) -> None:
        if self.process is None:
            return
        self.say("stopping")
        self.process.terminate()
        deadline = time.monotonic() + STOP_WITHIN_S
        while self.process.poll() is None and time.monotonic() < deadline:
            self.show()
            time.sleep(0.05)
        self.show()
        end_leftovers(grace_s=0)
        self.process.wait()
        embedded.leave(settings.DATA_DIR, within_s=9)
        self.say("stopped")


class Tail:
    """New lines of a log file that supervisor writes and rotates."""

    def __init__(self, name: str, path: Path, only: tuple[str, ...] = ()) -> None:
        self.name = name
        self.path = path
        self.only = only
        path.touch(mode=0o600)
        self.file = path.open(errors="replace")
        self.file.seek(0, os.SEEK_END)
        self.partial = ""

    def lines(self) -> Iterator[str]:
        yield from self._read()
        with suppress(FileNotFoundError):
            if not os.path.samestat(os.fstat(self.file.fileno()), self.path.stat()):
                self.file.close()
                self.file = self.path.open(errors="replace")
                yield from self._read()

    def _read(self) -> Iterator[str]:
        *lines, self.partial = (self.partial + self.file.read()).split("\n")
        return (line for line in lines if not self.only or any(mark in line for mark in self.only))


def configuration(socket_path: Path) -> str:
    """supervisord's file. Log paths are relative to DATA_DIR/run, so that no character of it matters here."""
    sections = [
        "[supervisord]\nnodaemon=true\nlogfile=../log/supervisord.log\nlogfile_maxbytes=1MB\npidfile=supervisord.pid",
        "user=root" if os.geteuid() == 0 else "",
        "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        f"[unix_http_server]\nfile={os.path.relpath(socket_path, settings.DATA_DIR / 'run')}\nchmod=0700",
        # One group: the members of a group stop together, groups stop one after the other.
        f"[group:zinzino]\nprograms={','.join(program.name for program in supervised())}",
    ]
    return "\n".join(sections + [section(program) for program in supervised()])


def section(program: Program) -> str:
    tethered = [sys.executable, "-m", "zinzino.tether", sys.executable, "-m", program.module]
    values = {
        "command": f"{shlex.join(tethered)} {program.arguments}",
        "directory": str(settings.BASE_DIR),
        "autostart": "true" if program.name in FIRST else "false",
        "autorestart": "true",
        "startsecs": "2",
        "startretries": "5",
        "stopsignal": "TERM",
        "stopwaitsecs": "6",
        "stopasgroup": "false",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": f"../log/{program.name}.log",
        "stdout_logfile_maxbytes": "5MB",
        "stdout_logfile_backups": "2",
    }
    lines = [f"{key}={value.replace('%', '%%')}" for key, value in values.items()]
    return "\n".join([f"[program:{program.name}]", *lines])


def take_place() -> IO[str]:
    """The lock of the one `make run` of this data folder, after the leftovers of a killed one have ended."""
    layout = Layout(settings.DATA_DIR)
    layout.make()  # nobody has yet where both servers are of your own
    file = (layout.run / "run.lock").open("a+")
    if not embedded.try_lock(file, fcntl.LOCK_EX):
        file.seek(0)
        raise CannotRun(f"It already runs: process {file.read()}, data folder {settings.DATA_DIR}.")
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    end_leftovers()
    metrics.forget()
    check_port(settings.HOST, settings.PORT)
    check_port(settings.HOST, settings.LIVE_PORT, name="LIVE_PORT")
    settle_mqtt_port()
    return file


def settle_mqtt_port() -> None:
    """The port of our own broker: the one that is set; else that of last time or any that is free."""
    if not settings.EMBEDDED_MQTT:
        return
    port: int = settings.MQTT_PORT
    if "MQTT_PORT" in os.environ:
        check_port(settings.HOST, port, name="MQTT_PORT")
    elif not (settings.MQTT_PORT_FILE.exists() and is_free(port)):
        port = free_port()
    if settings.MQTT_PUBLIC_PORT == settings.MQTT_PORT:
        settings.MQTT_PUBLIC_PORT = port
    settings.MQTT_PORT = port
    settings.MQTT_PORT_FILE.write_text(f"{port}\n")


def is_free(port: int) -> bool:
    try:
        check_port(settings.HOST, port)
    except CannotRun:
        return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end_leftovers(*, grace_s: float = 9.0) -> None:
    """End every process that an earlier start for this data folder left behind."""
    deadline = time.monotonic() + grace_s
    asked: set[psutil.Process] = set()
    while found := [process for process in psutil.process_iter() if _is_ours(process)]:
        for process in found:
            with suppress(psutil.NoSuchProcess):
                if time.monotonic() > deadline:
                    process.kill()
                elif process not in asked:
                    process.terminate()
                    asked.add(process)
        psutil.wait_procs(found, timeout=0.2)


def _is_ours(process: psutil.Process) -> bool:
    try:
        return bool(process.environ().get(MARK) == str(settings.DATA_DIR))
    except (psutil.Error, OSError):
        return False


def check_port(host: str, port: int, *, name: str = "PORT") -> None:
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in addresses:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except OSError as error:
        raise CannotRun(
            f"Cannot listen on {host}:{port}: {error.strerror}{_listener(port)}. "
            f"Free it, or choose others: {name}={port + 10} make run"
        ) from error


def _listener(port: int) -> str:
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                process = psutil.Process(connection.pid) if connection.pid else None
                return f" (by {process.name()}, process {process.pid})" if process else ""
    return ""


def answers_ready() -> bool:
    return all(is_ready(port) for port in (settings.PORT, settings.LIVE_PORT))


def is_ready(port: int) -> bool:
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - asked for by HOST, not bound here
    host = here.get(settings.HOST, settings.HOST)
    try:
        with closing(http.client.HTTPConnection(host, port, timeout=1.0)) as connection:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
