"""One run: households, one after the other, each living through the same day."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from zinzino.demo.household import Household
from zinzino.demo.phone import Phone
from zinzino.demo.report import Book, CannotGoOn, Display
from zinzino.demo.scenes import SCENES
from zinzino.demo.wire import TIMEOUT, Wire

NO_SERVER = "No server answers at {url} ({why}). Start one with `make run`, or name another with --url."


class NoServer(Exception):
    """Nothing answers at the address; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Run:
    """What to do, and against which server."""

    url: str
    seed: int
    rounds: int = 1
    patience_s: float = 90.0
    # For tests: what carries the requests, and how time is waited for.
    transport: httpx.BaseTransport | None = None
    sleep: Callable[[float], None] = time.sleep


def live_through(run: Run, display: Display) -> dict[str, Any]:
    """The report of the run (`Book.summary` and what was run). Raises NoServer."""
    dice = random.Random(run.seed)  # noqa: S311  (varies a demonstration; guards nothing)
    wire = Wire(run.url, dice, run.patience_s, run.transport, run.sleep, display.waits)
    book = Book(wire, display)
    started = time.monotonic()
    try:
        find_server(wire)
        neighbour = Phone(wire)
        for number in range(1, run.rounds + 1):
            live_one_day(Household(book, wire, dice, neighbour), number)
    finally:
        wire.close()
    ms = round((time.monotonic() - started) * 1000)
    return {"url": run.url, "seed": run.seed, "rounds": run.rounds, "ms": ms} | book.summary()


def find_server(wire: Wire) -> None:
    """A typing mistake should not cost a person the whole patience."""
    try:
        wire.http.get("/v1/health/live", timeout=TIMEOUT)
    except httpx.HTTPError as error:
        raise NoServer(NO_SERVER.format(url=wire.url, why=str(error) or type(error).__name__)) from error


def live_one_day(home: Household, number: int) -> None:
    for title, scene in SCENES:
        try:
            with home.book.scene(title, number):
                scene(home)
        except CannotGoOn:
            return
