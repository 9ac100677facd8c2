"""Every history ends with copies that hold what the tables hold, and no other design passes this test."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.syncapi.histories.controls import DESIGNS, ControlledPhone, Design, OwnPhone, installed
from tests.syncapi.histories.machine import COUNTED, Household
from tests.syncapi.histories.world import close_idle

HISTORIES = settings(
    max_examples=200,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
MANY = settings(HISTORIES, max_examples=5_000)

# The same every time, and no search for a smaller one: that it fails is what is asked. Long histories need
# fewer steps in all than short ones; with this seed four are enough.
CONTROL = settings(
    HISTORIES,
    stateful_step_count=80,
    max_examples=1_000,
    database=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture(autouse=True)
def _writers() -> Iterator[None]:
    yield
    close_idle()


def told(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print("\n" + ", ".join(f"{count} {name}" for name, count in sorted(COUNTED.items())))  # noqa: T201


def test_every_history_ends_with_exact_copies(capsys: pytest.CaptureFixture[str]) -> None:
    run_state_machine_as_test(Household, settings=HISTORIES)
    told(capsys)


@pytest.mark.soak
def test_many_more_histories_end_with_exact_copies(capsys: pytest.CaptureFixture[str]) -> None:
    COUNTED.clear()
    run_state_machine_as_test(Household, settings=MANY)
    told(capsys)


@seed(1)
class Controlled(Household):
    phone_class = ControlledPhone


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.name)
def test_the_usual_designs_fail(design: Design) -> None:
    with installed(design), pytest.raises(AssertionError, match="the copy is not what the tables hold"):
        run_state_machine_as_test(Controlled, settings=CONTROL)


@seed(1)
class Own(Household):
    phone_class = OwnPhone


def test_it_is_their_stamps_that_make_them_fail() -> None:
    run_state_machine_as_test(Own, settings=settings(CONTROL, max_examples=12))
