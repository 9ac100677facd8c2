"""A household lives on while parts of the product are killed under it: nothing acknowledged is lost."""

import functools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from tests.embedded.conftest import eventually
from tests.faults.product import Product
from zinzino import embedded

pytestmark = [pytest.mark.enable_socket, pytest.mark.slow]

VICTIMS: dict[str, Callable[[Product], Any]] = {
    "web": lambda product: product.masters("granian")[0],
    "a web worker": lambda product: product.masters("granian")[0].children()[0],
    "worker": lambda product: product.masters("worker")[0],
    "PostgreSQL": lambda product: product.servers()["postgres"],
    "Valkey": lambda product: product.servers()["valkey-server"],
}


def killed(product: Product, victim: str) -> bool:
    """Whether there was one to kill; what was killed before may still be on its way back."""
    try:
        VICTIMS[victim](product).kill()
    except (IndexError, KeyError, psutil.NoSuchProcess):
        return False
    return True


def sign_ups(product: Product) -> int:
    return (product.layout.log / "web.log").read_text().count("auth/register")


def lives_while(product: Product, *, rounds: int, kill: list[str], every_s: float) -> dict[str, Any]:
    """The report of `demo_day` during which the victims were killed, one after another."""
    before = sign_ups(product)
    with subprocess.Popen(
        [sys.executable, "manage.py", "demo_day", "--json", "--rounds", str(rounds), "--url", product.url],
        cwd=embedded.PROJECT,
        env=product.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as household:
        eventually(lambda: sign_ups(product) > before, within_s=30)  # it is under way
        for victim in kill:
            time.sleep(every_s)
            eventually(functools.partial(killed, product, victim), within_s=30)
            eventually(product.answers, within_s=30)
        printed, _ = household.communicate(timeout=600)
    report: dict[str, Any] = json.loads(printed)
    assert household.returncode == 0, report["surprises"]
    return report


def test_nothing_is_lost_while_every_part_is_killed_once(running: Product) -> None:
    report = lives_while(running, rounds=6, kill=list(VICTIMS), every_s=1.0)
    assert (report["ok"], report["surprises"]) == (True, [])
    assert sum(report["doses"].values()) == 2 * 6
    assert sum(report["faults"].values()) > 0, "no kill was noticed: nothing was tested"


@pytest.mark.soak
def test_nothing_is_lost_in_a_long_run_of_kills(running: Product) -> None:
    report = lives_while(running, rounds=120, kill=list(VICTIMS) * 8, every_s=2.0)
    assert (report["ok"], report["surprises"]) == (True, [])
