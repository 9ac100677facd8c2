"""POST /activities/:id/resolve (api.md 6): a person's word on a dose. It never frees a limit."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine

from devices.models import Device
from telemetry import settlement
from telemetry.models import ActivityLog, Dispense
from tests import make
from tests.clients import Phone, Unit
from tests.threads import together
from zinzino import clock
from zinzino.ids import uuid7

NOON = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)  # 12:00 in Istanbul


@pytest.fixture(autouse=True)
def at_noon() -> Iterator[Any]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def ask(unit: Unit, **said: Any) -> Any:
    """A dispenser that confirms asks for a dose."""
    body = {"request_id": str(uuid4()), "cup_placed": True, **said}
    return unit.post("/iot/dispense/request", body).data


def confirm(dispenser: Unit, dispense_id: str, outcome: str, **said: Any) -> Any:
    body = {"event_id": str(uuid4()), "outcome": outcome, **said}
    return dispenser.post(f"/iot/dispense/{dispense_id}/confirm", body)


def overdue(at_noon: Any) -> None:
    at_noon.shift(timedelta(minutes=2))
    settlement.sweep(now=clock.now())


def logged() -> str:
    return str(ActivityLog.objects.latest("timestamp").pk)


def resolve(phone: Any, activity_id: Any, outcome: Any) -> Any:
    return phone.post(f"/activities/{activity_id}/resolve", {"outcome": outcome})


@pytest.fixture
def unconfirmed(kitchen: Unit, at_noon: Any) -> str:
    """A dose whose dispenser never said how it went."""
    assert ask(kitchen)["should_dispense"]
    overdue(at_noon)
    assert Dispense.objects.get().status == "unconfirmed"
    return logged()


@pytest.mark.parametrize("outcome", ["taken", "not_taken"])
def test_a_dose_that_nobody_confirmed_gets_the_persons_word(
    alice: Phone, unconfirmed: str, outcome: str, statements: make.Statements
) -> None:
    before = alice.get(f"/activities/{unconfirmed}").data
    assert before["confirmation"] == "none"
    # Three of them tell the person of their first dose.
    with statements(13 if outcome == "taken" else 10):
        answer = resolve(alice, unconfirmed, outcome)
    assert answer.status_code == 200
    assert answer.data == {
        **before,
        "confirmation": "user",
        "metadata": {**before["metadata"], "resolved_as": outcome},
    }
    dose = Dispense.objects.get()
    assert (dose.resolved_as, dose.resolved_at, dose.status) == (outcome, clock.now(), "unconfirmed")


def test_it_never_frees_a_limit(alice: Phone, kitchen: Unit, unconfirmed: str) -> None:
    resolve(alice, unconfirmed, "not_taken")
    assert Dispense.objects.get().counts
    assert Device.objects.get().total_doses_dispensed == 1
    kitchen.cup(False)
    assert ask(kitchen)["reason"] == "min_interval"


def test_the_same_word_again_changes_nothing_and_the_opposite_is_a_conflict(
    alice: Phone, unconfirmed: str, at_noon: Any
) -> None:
    first = resolve(alice, unconfirmed, "taken").data
    said_at = Dispense.objects.get().resolved_at
    at_noon.shift(60)
    assert resolve(alice, unconfirmed, "taken").data == first
    contrary = resolve(alice, unconfirmed, "not_taken")
    assert (contrary.status_code, contrary.error["code"]) == (409, "SYNC_CONFLICT")
    assert contrary.error["details"] == {"reason": "conflict", "answered": "taken"}
    assert (Dispense.objects.get().resolved_as, Dispense.objects.get().resolved_at) == ("taken", said_at)
    assert alice.get(f"/activities/{unconfirmed}").data == first


def test_a_contrary_report_after_it_is_a_dispute_and_changes_no_limit(
    alice: Phone, kitchen: Unit, unconfirmed: str
) -> None:
    resolve(alice, unconfirmed, "taken")
    dose = Dispense.objects.get()
    report = confirm(kitchen, str(dose.pk), "failed", amount=0)
    assert (report.status_code, report.error["details"]["reason"]) == (409, "conflict")
    assert Dispense.objects.get().counts
    assert alice.get(f"/activities/{unconfirmed}").data["confirmation"] == "user"


def test_an_assumed_dose_can_be_answered_too(alice: Phone, kitchen: Unit, at_noon: Any) -> None:
    kitchen.cup(True)
    overdue(at_noon)
    assert alice.get(f"/activities/{logged()}").data["confirmation"] == "assumed"
    assert resolve(alice, logged(), "not_taken").data["confirmation"] == "user"


def test_a_dose_that_failed_is_acknowledged_and_stays_failed(alice: Phone, kitchen: Unit) -> None:
    answer = ask(kitchen)
    assert confirm(kitchen, answer["dispense_id"], "failed", amount=0).status_code == 200
    shown = resolve(alice, logged(), "not_taken").data
    assert (shown["action"], shown["confirmation"]) == ("dose_failed", "device")
    assert shown["metadata"]["resolved_as"] == "not_taken"
    assert Dispense.objects.get().acknowledged_at == clock.now()


def test_after_two_failures_a_day_nothing_is_poured_until_somebody_has_seen_them(
    alice: Phone, kitchen: Unit, at_noon: Any
) -> None:
    for _ in range(2):
        confirm(kitchen, ask(kitchen)["dispense_id"], "failed", amount=0)
        at_noon.shift(60)
    assert ask(kitchen)["reason"] == "dispense_fault"
    assert resolve(alice, logged(), "not_taken").status_code == 200
    at_noon.shift(60)
    assert ask(kitchen)["reason"] == "due"


def test_a_line_that_asks_nothing_is_422(alice: Phone, kitchen: Unit, at_noon: Any) -> None:
    note = alice.post("/activities", {"action": "note"}).data["id"]
    by_hand = alice.post("/activities", {"action": "dose_taken_manual", "supplement": "vitamin_d"}).data["id"]
    client_made = str(uuid4())
    alice.post("/activities", {"action": "note", "id": client_made})
    at_noon.shift(1)
    answer = ask(kitchen)
    pending = logged()
    for activity_id in (note, by_hand, client_made, pending):
        response = resolve(alice, activity_id, "taken")
        assert (response.status_code, response.error["code"]) == (422, "VALIDATION_ERROR")
    confirm(kitchen, answer["dispense_id"], "dispensed", amount=5, unit="ml")
    assert resolve(alice, pending, "not_taken").status_code == 422
    assert not Dispense.objects.exclude(resolved_as=None).exists()


@pytest.mark.parametrize("body", [{}, {"outcome": "maybe"}, {"outcome": None}, {"outcome": ["taken"]}])
def test_an_answer_is_one_of_two(alice: Phone, unconfirmed: str, body: dict[str, Any]) -> None:
    response = alice.post(f"/activities/{unconfirmed}/resolve", body)
    assert (response.status_code, list(response.error["details"])) == (422, ["outcome"])


def test_only_the_owner_answers(alice: Phone, bob: Phone, kitchen: Unit, unconfirmed: str) -> None:
    def refused(who: Any, activity_id: Any) -> tuple[int, str | None]:
        response = resolve(who, activity_id, "taken")
        return response.status_code, response.error["details"].get("reason")

    assert refused(bob, unconfirmed) == (403, "not_owner")
    assert refused(kitchen, unconfirmed) == (403, "wrong_credential_kind")
    assert refused(alice, uuid4()) == refused(alice, uuid7(NOON)) == (404, None)
    assert Dispense.objects.get().resolved_as is None


def test_a_dose_of_a_removed_dispenser_can_still_be_answered(
    alice: Phone, kitchen: Unit, unconfirmed: str
) -> None:
    alice.delete(f"/devices/{kitchen.id}")
    assert resolve(alice, unconfirmed, "taken").data["confirmation"] == "user"


@pytest.mark.django_db(transaction=True)
def test_contrary_answers_at_once_leave_one(at_noon: Any) -> None:
    alice = Phone(make.person())
    ask(alice.dispenser())
    overdue(at_noon)
    dose = logged()
    answers = together(lambda outcome: resolve(alice, dose, outcome).status_code, ["taken", "not_taken"] * 4)
    assert sorted(answers) == [200] * 4 + [409] * 4
