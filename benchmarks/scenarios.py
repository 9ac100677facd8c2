"""Whole moments of a day, sent to our server: what it takes, how long people wait, and whether all went well."""

from collections.abc import Callable, Iterator

from benchmarks import endpoints, load
from benchmarks.bench import Bench
from benchmarks.findings import OURS
from benchmarks.households import WEEKEND_LINES
from benchmarks.load import Call, Load

ENOUGH_S = 120.0
WEEKENDERS = 100

Scenario = tuple[str, Load, str]


def sent(bench: Bench, calls: Iterator[Call]) -> Load:
    """All of them, each once."""
    path = load.save(calls, bench.work / "scenario.tsv")
    return load.run(bench.ports[OURS], path, clients=bench.clients, seconds=ENOUGH_S, once=True)


def morning(bench: Bench) -> Scenario:
    """Everybody takes up the phone: a new token, the home screen, what has changed."""
    homes = bench.homes
    homes.sign_in()
    homes.changed()

    def calls() -> Iterator[Call]:
        for n in range(1, homes.people + 1):
            yield Call("POST", "/v1/auth/refresh", "", {"refresh_token": homes.refresh[n]})
            yield Call("GET", "/v1/devices", homes.access[n])
            yield Call("GET", "/v1/states", homes.access[n])
            yield Call("POST", "/v1/sync/delta", homes.access[n], {"last_sync": homes.last_sync})

    return "mobile morning rush", sent(bench, calls()), f"{homes.people:,} people: refresh, devices, states, delta"


def storm(bench: Bench) -> Scenario:
    """Eight o'clock: a cup on every dispenser, its levels, the cup away."""
    homes = bench.homes
    homes.hungry()

    def calls() -> Iterator[Call]:
        units = list(endpoints.units(1, homes.people))
        # Not one after the other of the same dispenser: people take their time.
        for start in range(0, len(units), 500):
            some = units[start : start + 500]
            yield from (endpoints.cup(homes, unit, placed=True) for unit in some)
            yield from (endpoints.status(homes, unit, 77) for unit in some)
            yield from (endpoints.cup(homes, unit, placed=False) for unit in some)

    run = sent(bench, calls())
    return "device storm at 08:00", run, f"{homes.doses():,} doses for {2 * homes.people:,} cups"


def weekend(bench: Bench) -> Scenario:
    """Phones that were away since Friday fetch hundreds of changes."""
    homes = bench.homes
    homes.weekend(WEEKENDERS)
    path = load.save(endpoints.delta(homes, 1, WEEKENDERS), bench.work / "scenario.tsv")
    run = load.run(bench.ports[OURS], path, clients=bench.clients, seconds=max(2.0, bench.seconds))
    return "sync after a weekend", run, f"{WEEKEND_LINES} changes in each delta"


ALL: tuple[Callable[[Bench], Scenario], ...] = (morning, storm, weekend)
