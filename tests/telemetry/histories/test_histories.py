"""Zero double doses, and no dose that came out is missing from the record, whatever happens."""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from telemetry import dispensing, journal_sql, services, sql
from telemetry.events import Reading
from tests.telemetry.histories.machine import COUNTED, Household
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


@pytest.mark.django_db
def test_without_the_reservation_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a dispenser has reported counts."""
    reported = "d.authorized_at > %(since)s AND d.counts AND d.reported_at IS NOT NULL"
    changed = sql.FAMILY_SITUATION.replace("d.authorized_at > %(since)s AND d.counts", reported)
    assert changed != sql.FAMILY_SITUATION
    monkeypatch.setattr(sql, "FAMILY_SITUATION", changed)
    with pytest.raises(AssertionError, match=r"two doses too close|too many"):
        run_state_machine_as_test(Household, settings=CONTROL)


@pytest.mark.django_db
def test_when_a_recorded_yes_never_ends_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
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
    with pytest.raises(AssertionError, match="two doses too close"):
        run_state_machine_as_test(Household, settings=CONTROL)


@pytest.mark.django_db
def test_without_idempotency_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every event is new, and so is every line of a journal."""
    monkeypatch.setattr(Reading, "keys", [])
    monkeypatch.setattr(sql, "take_keys", lambda _device_id, keys, *, now: set(keys))
    monkeypatch.setattr(journal_sql, "take_keys", lambda keys, *, now: set(keys))
    with pytest.raises(AssertionError, match=r"a request got two doses|recorded twice"):
        run_state_machine_as_test(Household, settings=CONTROL)
