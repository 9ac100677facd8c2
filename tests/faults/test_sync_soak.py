"""A minute of real processes: four writers, six phones on a bad line, web workers that are killed."""

import json
import random
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from examples.sync_client import over_http
from tests import make
from tests.embedded.conftest import eventually
from tests.faults.product import Product
from tests.syncapi.histories.world import TRUTH
from zinzino import embedded

pytestmark = [pytest.mark.enable_socket, pytest.mark.slow, pytest.mark.soak]

SECONDS = 60
NAMES = {"devices": "device", "states": "state", "activity_logs": "activity_log", "notifications": "notification"}


@pytest.fixture
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    limits = {f"RATE_LIMIT_{scope}": "1000000/min" for scope in ("SYNC", "IOT", "DISPENSE")}
    product = Product(tmp_path_factory.mktemp("s") / "var", SYNC_PAGE_ROWS="40", **limits)
    product.start()
    eventually(product.answers, within_s=30)
    yield product
    product.end(signal.SIGTERM)
    eventually(lambda: not product.processes(), within_s=15)


Spawn = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    started: list[subprocess.Popen[str]] = []

    def start(role: str, **needs: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.faults.sync_load", role, json.dumps(needs)]
        started.append(subprocess.Popen(command, cwd=embedded.PROJECT, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        with process:
            process.kill()


def counted(processes: list[subprocess.Popen[str]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for process in processes:
        printed, _ = process.communicate(timeout=180)
        assert process.returncode == 0
        total += Counter(json.loads(printed))
    return total


def household(url: str) -> tuple[str, str, list[dict[str, str]]]:
    """A person with two dispensers: their id, their token, the dispensers with their tokens."""
    person = {"email": f"{uuid.uuid4().hex}@example.com", "password": make.PASSWORD, "full_name": "Soak Soak"}
    _, answer = over_http(url)("POST", "/auth/register", person)
    token = answer["data"]["token"]
    units = []
    for kind in ("fish_oil", "vitamin_d"):
        described = {"device_name": "Mutfak", "device_type": kind, "mac_address": make.mac()}
        _, made = over_http(url, token)("POST", "/devices", {**described, "serial_number": uuid.uuid4().hex[:12]})
        units.append({"device_id": made["data"]["id"], "token": made["data"]["device_token"]})
    return answer["data"]["user"]["id"], token, units


def kill_workers(product: Product, until: float) -> int:
    """One after another; each time the product has come back and lived on for a while."""
    killed, rng = 0, random.Random(1)  # noqa: S311
    while time.time() < until:
        time.sleep(rng.uniform(5, 9))
        workers = [each for master in product.masters("granian") for each in master.children()]
        if workers:
            rng.choice(workers).kill()
            killed += 1
        eventually(product.answers, within_s=60)
    return killed


def test_no_copy_differs_after_a_minute_of_everything(
    product: Product, spawn: Spawn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, until = f"{product.url}/v1", time.time() + SECONDS
    user_id, token, units = household(url)
    database = f"host={product.layout.postgres_sockets} user=zinzino dbname=zinzino"
    ids = [unit["device_id"] for unit in units]
    writers = [spawn("dispenser", url=url, until=until, seed=seed, **unit) for seed, unit in enumerate(units)]
    writers += [
        spawn("writer", database=database, user_id=user_id, device_id=ids[1], until=until, seed=10 + seed)
        for seed in range(2)
    ]
    paths = [tmp_path / f"phone{number}" for number in range(6)]
    phones = [
        spawn("phone", url=url, token=token, device_ids=ids, path=str(path), until=until, seed=20 + number)
        for number, path in enumerate(paths)
    ]
    killed = kill_workers(product, until)
    written = counted(writers)
    eventually(product.answers, within_s=30)
    for step in ("quiet", "flushed"):
        # First all outboxes, then all copies: what one phone still has to say is news for the others.
        (tmp_path / step).touch()
        eventually(lambda: all(Path(f"{path}.{step}").exists() for path in paths), within_s=120)  # noqa: B023
    seen = counted(phones)

    with psycopg.connect(database) as db:
        [(truth,)] = db.execute(TRUTH, {"user_id": user_id}).fetchall()
        [(effects,)] = db.execute("SELECT count(*) FROM sync_mutation").fetchall()
    wrong = differences(json.loads(truth), [json.loads(Path(f"{path}.json").read_text()) for path in paths])
    with capsys.disabled():
        sizes = {name: len(rows) for name, rows in json.loads(truth).items()}
        told = (
            f"{killed} workers killed; writers {dict(written)}; phones {dict(seen)}; rows {sizes}; {dict(wrong)}"
        )
        print(f"\n{told}")  # noqa: T201
    assert wrong == Counter(missing=0, stale=0, zombie=0)
    assert (seen["verified"], effects) == (6, seen["edits"])
    assert killed >= 3
    assert min(seen["connections dropped"], seen["answers lost"], seen["crashes"], written["committed"]) > 3


def differences(truth: dict[str, Any], copies: list[dict[str, Any]]) -> Counter[str]:
    wrong = Counter(missing=0, stale=0, zombie=0)
    for copy in copies:
        assert copy["profile"]["profile"] == truth["one"]["profile"]
        for name, kind in NAMES.items():
            right, mine = truth[name], copy[kind]
            wrong["missing"] += len(right.keys() - mine.keys())
            wrong["zombie"] += len(mine.keys() - right.keys())
            wrong["stale"] += sum(right[id] != mine[id] for id in right.keys() & mine.keys())
    return wrong
