"""Zero double doses, and no dose that came out is missing from the record, whatever happens."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from telemetry import dispensing, journal_sql, services, sql
from telemetry.events import Reading
from tests.telemetry.histories.machine import COUNTED, Household
from tests.telemetry.histories.played import Step, play
from tests.telemetry.histories.simulated import Course, Fate
from zinzino import clock

HISTORIES = settings(
    max_examples=200,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
LONG = settings(HISTORIES, max_examples=3000, stateful_step_count=50)
# The same every time, and no search for a smaller one: that it fails is what is asked.
CONTROL = settings(
    HISTORIES,
    max_examples=5000,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
)


@pytest.mark.django_db
def test_no_history_ends_in_a_double_dose() -> None:
    run_state_machine_as_test(Household, settings=HISTORIES)


@pytest.mark.soak
@pytest.mark.django_db
def test_no_long_history_ends_in_a_double_dose(capsys: pytest.CaptureFixture[str]) -> None:
    COUNTED.clear()
    run_state_machine_as_test(Household, settings=LONG)
    with capsys.disabled():
        print("\n" + ", ".join(f"{count} {name}" for name, count in COUNTED.items()))  # noqa: T201


# ------------------------------------------------------------------------------------------- histories by hand

ARRIVES, ANSWER_LOST, TWICE = Fate.ARRIVES, Fate.ANSWER_LOST, Fate.TWICE
PLACED: Step = ("a_cup_is_placed", {"unit": 0})
POURED: Step = ("it_obeys", {"unit": 0, "course": Course.POURS})
BY_HAND: Step = ("somebody_takes_a_dose_by_hand", {"unit": 1, "minutes_ago": 10})


def asked(fate: Fate) -> Step:
    return "it_asks", {"unit": 0, "fate": fate, "carry": False}


@pytest.mark.django_db
def test_a_yes_that_has_arrived_is_poured_whatever_is_written_by_hand_then() -> None:
    household = Household()
    play(household, PLACED, asked(ARRIVES), BY_HAND, POURED)
    assert [each.by_hand for each in household.world.pours] == [True, False]


@pytest.mark.django_db
def test_a_yes_whose_answer_was_lost_is_not_repeated_after_a_dose_by_hand() -> None:
    household = Household()
    play(household, PLACED, asked(ANSWER_LOST), BY_HAND, asked(ARRIVES), POURED)
    assert [each.by_hand for each in household.world.pours] == [True]


# --------------------------------------------------------------------------------------------------- controls


def without_the_reservation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a dispenser has reported counts."""
    reported = "d.counts AND d.reported_at IS NOT NULL"
    changed = sql.FAMILY_SITUATION.replace("d.counts", reported)
    assert changed != sql.FAMILY_SITUATION
    monkeypatch.setattr(sql, "FAMILY_SITUATION", changed)


def with_a_yes_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    original = services.recorded_answer

    def undying(situation: Any, recorded: dict[str, Any], *, cup_placed: bool) -> services.Answer:
        answer = original(situation, recorded, cup_placed=cup_placed)
        if not answer.dispense_id:
            return answer
        values = {name: getattr(answer, name) for name in answer.__dataclass_fields__}
        at = clock.from_epoch_ms(recorded["authorized_ms"])
        expires_at = at + dispensing.VALID_FOR
        return services.Answer(**values | {"should_dispense": True, "reason": "due", "expires_at": expires_at})

    monkeypatch.setattr(services, "recorded_answer", undying)


def without_idempotency(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every event is new, and so is every line of a journal."""
    monkeypatch.setattr(Reading, "keys", [])
    monkeypatch.setattr(sql, "take_keys", lambda _device_id, keys, *, now: set(keys))
    monkeypatch.setattr(journal_sql, "take_keys", lambda keys, *, now: set(keys))


@dataclass(frozen=True)
class Control:
    """A fence that is taken down, what the machine then finds, and a short way there."""

    sabotage: Callable[[pytest.MonkeyPatch], None]
    found: str
    steps: tuple[Step, ...]


CONTROLS = {
    "no reservation": Control(
        without_the_reservation,
        r"two doses too close|too many",
        tuple(("somebody_wants_a_dose", {"unit": unit, "minutes": 0, "course": Course.POURS}) for unit in (0, 1)),
    ),
    "an undying yes": Control(
        with_a_yes_that_never_ends,
        "two doses too close",
        (
            ("a_cup_is_placed", {"unit": 2}),
            ("the_plain_one_asks", {"fate": ARRIVES, "course": Course.DIES_AFTER, "boot_s": 61}),
            ("hours_pass", {"minutes": 5}),
            ("the_plain_one_asks", {"fate": ARRIVES, "course": Course.POURS, "boot_s": 61}),
        ),
    ),
    "no idempotency of requests": Control(
        without_idempotency, "a request got two doses", (PLACED, asked(ARRIVES), asked(ARRIVES))
    ),
    "no idempotency of journals": Control(
        without_idempotency,
        "recorded twice",
        (("it_pours_by_itself", {"unit": 0}), ("it_reports", {"unit": 0, "fate": TWICE, "as_event": True})),
    ),
}
controls = pytest.mark.parametrize("control", CONTROLS.values(), ids=CONTROLS)


@controls
@pytest.mark.django_db
def test_with_a_fence_down_the_machine_finds_it(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    play(Household(), *control.steps)  # the fence alone makes the difference
    control.sabotage(monkeypatch)
    with pytest.raises(AssertionError, match=control.found):
        play(Household(), *control.steps)


@controls
@pytest.mark.soak
@pytest.mark.django_db
def test_with_a_fence_down_a_search_finds_it(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    control.sabotage(monkeypatch)
    with pytest.raises(AssertionError, match=r"two doses|too many|recorded twice"):
        run_state_machine_as_test(Household, settings=CONTROL)
