"""A fleet lives for a while, brings in what it noted, and is judged."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from random import Random
from typing import Any

import httpx
from django.conf import settings

from telemetry.simulation.faults import Faults
from telemetry.simulation.fleet import Simulated
from telemetry.simulation.lines import TIMEOUT, HttpLine, MqttLine
from telemetry.simulation.unit import Line, Unit, ended

LOOK_EVERY_S = 0.5
CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class Run:
    """What is simulated, of how many, for how long (seconds)."""

    transport: str
    faults: str
    seconds: float
    pace_s: float
    finish_s: float
    seed: int
    url: str


async def live(run: Run, fleet: Sequence[Simulated], watch: Callable[[Sequence[Unit], str], None]) -> list[Unit]:
    """The units after the run. `watch` is told now and then how it goes."""
    async with AsyncExitStack() as stack:
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        client = httpx.AsyncClient(base_url=run.url, timeout=TIMEOUT, limits=limits)
        http = await stack.enter_async_context(client)
        units = [unit_of(run, made, number, http) for number, made in enumerate(fleet)]
        await phase(units, [unit.start() for unit in units], "starting", watch)
        until = time.monotonic() + run.seconds
        await phase(units, [unit.live(until) for unit in units], "living", watch)
        until = time.monotonic() + run.finish_s
        await phase(units, [unit.finish(until) for unit in units], "bringing in", watch)
        await ended(*units)
    return units


def unit_of(run: Run, made: Simulated, number: int, http: httpx.AsyncClient) -> Unit:
    faults = Faults.named(run.faults, Random(f"{run.seed}-{number}"))  # noqa: S311
    line: Line
    if run.transport == "mqtt":
        line = MqttLine(made, faults, (settings.MQTT_HOST, settings.MQTT_PORT))
    else:
        line = HttpLine(made, faults, http)
    return Unit(made, line, faults, pace_s=run.pace_s)


async def phase(units: Sequence[Unit], lives: Sequence[Any], name: str, watch: Callable[..., None]) -> None:
    """All of them at once; what one dies of ends the run."""
    tasks = [asyncio.create_task(each) for each in lives]
    everybody = asyncio.gather(*tasks)
    try:
        while not everybody.done():
            watch(units, name)
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(everybody), LOOK_EVERY_S)
        everybody.result()
    finally:
        for task in tasks:
            task.cancel()
