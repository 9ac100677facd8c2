"""What is measured: each endpoint with its requests, the situation it needs, and its goals."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from benchmarks.households import Households, id_of
from benchmarks.load import Call

Situation = Literal["still", "changed", "fed", "hungry"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`of(households, first, last)` are the requests of those people; `times` and `share` are the least that the
    goal asks for against the contender and the floor."""

    name: str
    calls: Callable[[Households, int, int], Iterator[Call]]
    times: float
    share: float | None = None
    statements: int = 2
    situation: Situation = "still"
    # Whether one dispenser may be asked about once only.
    once: bool = False
    # Whether an answer is as long as its person's history.
    grows: bool = False


def reading(path: str) -> Callable[[Households, int, int], Iterator[Call]]:
    def calls(homes: Households, first: int, last: int) -> Iterator[Call]:
        for n in range(first, last + 1):
            yield Call("GET", path.format(device=id_of("device", 2 * n)), homes.access[n])

    return calls


def full(homes: Households, first: int, last: int) -> Iterator[Call]:
    for n in range(first, last + 1):
        yield Call("POST", "/v1/sync/full", homes.access[n], {})


def delta(homes: Households, first: int, last: int) -> Iterator[Call]:
    for n in range(first, last + 1):
        yield Call("POST", "/v1/sync/delta", homes.access[n], {"last_sync": homes.last_sync})


def cup(homes: Households, device: int, *, placed: bool) -> Call:
    body = {"cup_placed": placed, "sensor_reading": 0.85}
    return Call("POST", f"/v1/states/{id_of('device', device)}", homes.device_token[device], body)


def status(homes: Households, device: int, level: int) -> Call:
    body = {"battery_level": level, "supplement_level": level, "firmware_version": "1.4.2"}
    return Call("PATCH", f"/v1/devices/{id_of('device', device)}/status", homes.device_token[device], body)


def units(first: int, last: int) -> range:
    return range(2 * first - 1, 2 * last + 1)


def placed(homes: Households, first: int, last: int) -> Iterator[Call]:
    for device in units(first, last):
        yield cup(homes, device, placed=True)


def placed_and_removed(homes: Households, first: int, last: int) -> Iterator[Call]:
    for is_placed in (True, False):
        for device in units(first, last):
            yield cup(homes, device, placed=is_placed)


def levels(homes: Households, first: int, last: int) -> Iterator[Call]:
    for level in (79, 78):
        for device in units(first, last):
            yield status(homes, device, level)


ENDPOINTS = (
    Endpoint("GET /devices", reading("/v1/devices"), times=5),
    Endpoint("GET /devices/:id", reading("/v1/devices/{device}"), times=5),
    Endpoint("GET /states", reading("/v1/states"), times=5),
    Endpoint("GET /notifications", reading("/v1/notifications"), times=5),
    Endpoint("GET /activities", reading("/v1/activities"), times=5),
    Endpoint("POST /sync/delta", delta, times=9, share=0.30, statements=3, situation="changed"),
    Endpoint("POST /sync/full", full, times=10, share=0.35, statements=3, grows=True),
    Endpoint("POST /states/:id, no dose", placed_and_removed, times=4, share=0.20, statements=4, situation="fed"),
    Endpoint("POST /states/:id, dose", placed, times=6, share=0.20, statements=4, situation="hungry", once=True),
    Endpoint("PATCH /devices/:id/status", levels, times=5, share=0.15, statements=4),
)
