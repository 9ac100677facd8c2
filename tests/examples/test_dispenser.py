"""The reference dispenser against the server: it pours once, and forgets nothing."""

from pathlib import Path
from typing import Any

import pytest

from devices.models import Device
from examples.dispenser import Dispenser, Json
from telemetry.models import DeviceState, Dispense
from tests.clients import Api, Phone


class World:
    """What lies around a unit: the network, the motor, the clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.poured: list[float] = []
        self.lost: list[str] = []
        self.is_down = False
        self.tries = 0
        self.power_fails = False

    def send(self, method: str, path: str, body: Json | None, token: str) -> tuple[int, Json]:
        self.tries += 1
        if self.is_down:
            raise OSError("refused at once")
        answer = Api(token).send(method, path, body)
        if path in self.lost:
            self.lost.remove(path)
            self.now += 5
            raise OSError("the answer was lost")
        found: Any = answer.json()
        return answer.status_code, found

    def motor(self, dose: Json) -> float:
        self.poured.append(dose["amount"])
        if self.power_fails:
            raise KeyboardInterrupt
        return float(dose["amount"])

    def unit(self, flash: Path) -> Dispenser:
        return Dispenser(flash, self.send, self.motor, monotonic=lambda: self.now, pause=self.wait)

    def wait(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def flash(alice: Phone, tmp_path: Path) -> Path:
    Dispenser.set_up(tmp_path / "flash", alice.dispenser().token)
    return tmp_path / "flash"


def test_it_takes_a_token_of_its_own_and_pours_once(world: World, flash: Path) -> None:
    unit = world.unit(flash)
    phones_token = unit.state["token"]
    assert unit.hello()["rotate_token"] is True
    assert unit.hello()["rotate_token"] is False
    assert world.send("POST", "/iot/hello", None, phones_token)[0] == 401
    world.lost = ["/iot/dispense/request"]
    told = unit.place_cup()
    assert told
    assert (told["should_dispense"], world.poured) == (True, [5])
    unit.remove_cup()
    assert unit.sync() == 0
    dose = Dispense.objects.get()
    assert (dose.status, Device.objects.get().total_doses_dispensed) == ("dispensed", 1)
    assert DeviceState.objects.count() == 2


def test_an_answer_that_comes_too_late_pours_nothing(world: World, flash: Path) -> None:
    unit = world.unit(flash)
    world.lost = ["/iot/dispense/request"] * 20
    assert unit.place_cup() is None
    assert world.poured == []


def test_a_server_that_is_down_is_not_asked_all_the_time(world: World, flash: Path) -> None:
    unit = world.unit(flash)
    world.is_down = True
    assert unit.place_cup() is None
    assert 60 <= world.now < 62
    assert 30 <= world.tries <= 60


def test_after_a_power_cut_the_motor_does_not_run_again(world: World, flash: Path) -> None:
    unit = world.unit(flash)
    world.power_fails = True
    with pytest.raises(KeyboardInterrupt):
        unit.place_cup()
    world.power_fails = False
    again = world.unit(flash)
    again.cup = True
    again.pour(str(Dispense.objects.get().pk), {"amount": 5, "unit": "ml"}, world.now)
    assert world.poured == [5]
    assert again.sync() == 0
    assert Dispense.objects.get().status == "unconfirmed"


def test_a_journal_whose_answer_was_lost_is_taken_once(world: World, flash: Path) -> None:
    unit = world.unit(flash)
    for _ in range(3):
        unit.remove_cup()
    world.lost = ["/iot/events"]
    with pytest.raises(OSError, match="lost"):
        unit.sync()
    assert len(unit.state["journal"]) == 3
    later = world.unit(flash)
    later.remove_cup()
    assert [later.sync() for _ in range(2)] == [1, 0]  # one boot after the other
    assert DeviceState.objects.count() == 4
