"""The course of the soak: start, people, capacity, the day with its faults, and what is left of it."""

import argparse
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from django.db import connection
from rich.console import Console

from benchmarks.server import LIMITS
from tests.embedded.conftest import eventually
from tests.faults.product import Product
from tests.notifications import fakes
from tests.notifications.fakes import FakeFcm
from tests.soak import memory, people, reckoning, truth, units
from tests.soak.day import Day
from tests.soak.disk import Media
from tests.soak.faults import Fault, faults
from tests.soak.load import Load
from tests.soak.reckoning import Window
from tests.soak.report import Report
from tests.soak.wire import Sample, Wire
from zinzino import clock, embedded

WARM_UP_S = 8.0
# Of the time of the run: when the first fault strikes, and until when the last one does.
FIRST, LAST = 0.06, 0.94
CHECKS = (("sync_audit",), ("rebuild_rollups", "--check"))
SETTLES_S = 180.0
# Who has a reminder that comes in the run; the plans of the others are edited.
REMINDED = 0.7


class Soak:
    def __init__(self, folder: Path, console: Console, options: argparse.Namespace) -> None:
        self.folder, self.console, self.options = folder, console, options
        self.samples: list[Sample] = []
        self.windows: list[Window] = []
        self.checks: dict[str, str] = {}
        self.left_out: list[str] = []

    def run(self) -> Report:
        with ExitStack() as stack:
            self.media = Media(self.folder / "var" / "media")
            stack.callback(self.media.leave)
            google, apple = stack.enter_context(fakes.running(self.folder))
            pushes = {name: str(value) for name, value in fakes.settings_for(google, apple).items()}
            self.product = Product(
                self.folder / "var",
                **LIMITS,
                **pushes,
                EMBEDDED_FSYNC="on",
                LOG_LEVEL="WARNING",
                REMINDER_SPREAD_S="30",
            )
            stack.enter_context(self.started())
            return self.judged(self.lived(stack), google)

    @contextmanager
    def started(self) -> Iterator[None]:
        self.say("starting the product")
        self.product.start()
        process = self.product.process
        assert process
        said = process.stdout or ()
        # Or it waits for a reader once the pipe is full.
        threading.Thread(target=lambda: [None for _ in said], daemon=True).start()
        try:
            yield
        finally:
            self.say("ending the product")
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            eventually(lambda: not self.product.processes(), within_s=30)

    # --- the day ----------------------------------------------------------------------------------

    def lived(self, stack: ExitStack) -> Load:
        self.say(f"making {self.options.people:,} people")
        self.make_people()
        self.say(f"making {units.OVER_MQTT + units.OVER_HTTP} units with journals")
        port = int((self.product.layout.run / "mqtt.port").read_text())
        self.players = units.make(
            self.product.url, ("127.0.0.1", port), self.folder / "units", self.samples.append
        )
        self.fleet = self.simulated()
        stack.callback(self.fleet.kill)
        load = Load(Wire(self.product.port), Day(self.homes, seed=self.options.seed), self.players, self.samples)
        self.books = load.day.books
        load.capacity(WARM_UP_S, seed=0)
        self.capacity = 0.0 if self.options.rate else load.capacity(self.options.probe, seed=1)
        self.rate = self.options.rate or self.capacity * self.options.share
        self.say(f"capacity {self.capacity:.0f} requests/s; offering {self.rate:.0f}")
        self.through(load)
        return load

    def make_people(self) -> None:
        now = clock.now()
        self.homes = people.make(self.options.people, now=now)
        reminded = self.homes[: int(len(self.homes) * REMINDED)]
        # The capacity is looked for meanwhile.
        first = now + timedelta(seconds=self.options.probe + 60)
        people.remind(reminded, first=first, minutes=max(1, int(self.options.minutes) - 1))
        connection.close()

    def simulated(self) -> subprocess.Popen[str]:
        """Dispensers that lose power and packets, beside the others."""
        probe = 0.0 if self.options.rate else self.options.probe
        seconds = WARM_UP_S + probe + self.options.minutes * 60
        words = ["simulate_fleet", "--json", "--transport", "mqtt", "--devices", str(self.options.fleet)]
        words += ["--seconds", str(seconds), "--pace", "20", "--finish", "180", "--seed", str(self.options.seed)]
        return subprocess.Popen(
            [sys.executable, "manage.py", *words],
            cwd=embedded.PROJECT,
            env=self.product.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def through(self, load: Load) -> None:
        """The schedule, the faults and the watch on memory, all at once; until everything is answered."""
        seconds, watch = self.options.minutes * 60, memory.Watch(self.product.processes)
        watch.start()
        # What was warming up is not looked at.
        self.samples.clear()
        self.begun = time.monotonic()
        offering = threading.Thread(target=self.offer, args=(load, seconds), daemon=True)
        offering.start()
        for fault, at in self.planned(seconds):
            time.sleep(max(0.0, self.begun + at - time.monotonic()))
            self.strike(fault)
        offering.join()
        self.ended = time.monotonic()
        self.say("bringing in what is left")
        load.finish()
        for player in self.players:
            if not player.end():
                self.checks[player.name] = "its journal is not brought in"
        watch.stopping.set()
        self.looks = watch.looks

    def offer(self, load: Load, seconds: float) -> None:
        self.late_s = load.offered(self.rate, seconds, begun=self.begun, seed=self.options.seed)

    def planned(self, seconds: float) -> Iterator[tuple[Fault, float]]:
        """Each with its moment, spread over the run; the backup in the middle."""
        if not self.media.is_mounted:
            self.left_out.append("disk full: this process may not mount a disk of its own where pictures lie")
        chosen = [
            each
            for each in faults(self.product, self.media)
            if not self.options.only or each.name in self.options.only
        ]
        backup = Fault("backup", "backup_db, nothing fails", self.back_up, settles_s=0.0, is_harmless=True)
        chosen.insert(len(chosen) // 2, backup)
        distance = (LAST - FIRST) * seconds / len(chosen)
        for number, fault in enumerate(chosen):
            yield fault, FIRST * seconds + number * distance

    def strike(self, fault: Fault) -> None:
        self.say(f"{fault.name}: {fault.told}")
        since = time.monotonic()
        self.windows = [replace(each, until=min(each.until, since)) for each in self.windows]
        fault.strike()
        time.sleep(fault.lasts_s)
        fault.mend()
        until = time.monotonic() if fault.is_harmless else since + fault.window_s
        self.windows.append(Window(fault.name, fault.told, since, until, fault.is_harmless))

    def back_up(self) -> None:
        self.checks["backup_db under load"] = self.managed("backup_db", "--folder", str(self.folder / "backups"))

    # --- afterwards -------------------------------------------------------------------------------

    def judged(self, load: Load, google: FakeFcm) -> Report:
        self.say("looking at what is there")
        fleet = self.fleet_report()
        for words in (*CHECKS, ("restore_check", "--folder", str(self.folder / "backups"))):
            self.checks[words[0]] = self.managed(*words)
        with psycopg.connect(self.database) as db:
            self.settle(db)
            written = self.written(db, google)
            none = truth.none(db, self.homes)
        samples = list(self.samples)
        beside = reckoning.beside(samples, self.windows)
        return Report(
            minutes=self.options.minutes,
            share=self.options.share,
            people=self.options.people,
            capacity=self.capacity,
            rate=self.rate,
            late_s=self.late_s,
            whole=reckoning.service(samples),
            beside=reckoning.service(beside),
            kinds=reckoning.by_kind(beside),
            felt=[reckoning.felt(samples, window) for window in self.windows],
            written=written,
            none=none,
            memory=memory.growths(self.looks, since=self.begun + self.warm_s, until=self.ended),
            wrong=reckoning.wrongs(samples),
            sent_again=sum(not each.first for each in samples),
            given_up=load.given_up,
            checks=self.checks,
            fleet=fleet,
            left_out=self.left_out,
            pushes_again=sum(times - 1 for times in google.by_id().values()),
        )

    @property
    def warm_s(self) -> float:
        return min(memory.WARM_UP_S, (self.ended - self.begun) / 4)

    @property
    def database(self) -> str:
        return f"host={self.product.layout.postgres_sockets} user=zinzino dbname=zinzino"

    def written(self, db: truth.Database, google: FakeFcm) -> dict[str, Any]:
        found: dict[str, Any] = truth.compared(db, self.homes, self.books)
        for name, count, compared in truth.journals(self.database, self.players):
            found[name] = (count, compared)
        found["pictures"] = truth.pictures(db, self.product.layout.data_dir / "media", self.books.pictures)
        found["reminders"] = truth.reminded(db, self.homes, clock.now() - timedelta(minutes=2))
        found["pushes, against the provider's"] = truth.pushed(db, self.homes, google.by_id())
        return found

    def settle(self, db: truth.Database) -> None:
        """What the workers still have to do comes within a minute or two."""
        db.autocommit = True
        deadline = time.monotonic() + SETTLES_S
        stuck = truth.NONE["pushes that wait longer than a minute"]
        while time.monotonic() < deadline and db.execute(stuck).fetchone() != (0,):
            time.sleep(2)

    def fleet_report(self) -> dict[str, Any]:
        printed, errors = self.fleet.communicate(timeout=600)
        try:
            found: dict[str, Any] = json.loads(printed)
        except ValueError:
            return {"broken": [errors[-500:]]}
        return found

    def managed(self, *words: str) -> str:
        """`well`, or what the command said."""
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=embedded.PROJECT,
            env=self.product.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return "well" if done.returncode == 0 else f"{done.stdout}{done.stderr}"[-500:]

    def say(self, text: str) -> None:
        self.console.print(f"{time.strftime('%H:%M:%S')} {text}", markup=False, highlight=False)
