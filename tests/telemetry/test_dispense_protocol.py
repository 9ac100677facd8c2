"""`/iot/dispense/*`: a dispenser asks, pours and says how it went (iot.md 2)."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from devices.models import Device, DoseDay
from telemetry import settlement
from telemetry.models import ActivityLog, Decision, DeviceState, Dispense
from tests import make
from tests.clients import Phone, Unit
from tests.threads import together
from zinzino import clock
from zinzino.clock import epoch_ms

NOON = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)  # 12:00 in Istanbul


def counted(unit: Unit) -> tuple[int, int]:
    """The doses in the total and of the day."""
    days = DoseDay.objects.filter(device_id=unit.id).values_list("doses", flat=True)
    return Device.objects.get(pk=unit.id).total_doses_dispensed, sum(days)


def line() -> ActivityLog:
    return ActivityLog.objects.get()


@pytest.fixture
def kitchen(alice: Phone) -> Unit:
    """A dispenser that Alice has had for a while."""
    return alice.dispenser(now=NOON - timedelta(days=90))


@pytest.fixture
def poured(kitchen: Unit) -> dict[str, Any]:
    """A yes, given at noon, that the dispenser is about to pour."""
    with time_machine.travel(NOON, tick=False):
        answer: dict[str, Any] = kitchen.ask(ts=epoch_ms(NOON)).data
    assert answer["should_dispense"]
    return answer


def test_a_request_is_answered_like_a_placed_cup(kitchen: Unit, statements: make.Statements) -> None:
    kitchen.status(battery_level=90)
    with time_machine.travel(NOON, tick=False), statements(4):
        answer = kitchen.ask(ts=epoch_ms(NOON), sensor_reading=0.4).data
    assert (answer["should_dispense"], answer["dispense_amount"], answer["reason"]) == (True, "5ml", "due")
    assert answer["expires_at"] == "2026-03-10T09:01:00.000Z"
    dose = Dispense.objects.get()
    assert (dose.protocol, dose.status, dose.request_id is not None) == ("full", "authorized", True)
    assert DeviceState.objects.get().cup_placed


def test_the_same_request_again_gets_the_same_answer(kitchen: Unit) -> None:
    request: dict[str, Any] = {"request_id": str(uuid.uuid4()), "ts": epoch_ms(NOON)}
    with time_machine.travel(NOON, tick=False):
        first, again = kitchen.ask(**request).data, kitchen.ask(**request).data
    with time_machine.travel(NOON + timedelta(seconds=60), tick=False):
        late = kitchen.ask(**request).data
    assert (first["dispense_id"], first["should_dispense"]) == (again["dispense_id"], again["should_dispense"])
    assert (late["should_dispense"], late["reason"], late["dispense_id"]) == (
        False,
        "already_answered",
        first["dispense_id"],
    )
    assert Dispense.objects.count() == 1


@pytest.mark.parametrize(
    ("trigger", "logged"), [("cup", "automatic"), ("button", "manual"), ("command", "manual")]
)
def test_the_log_says_what_made_it_pour(kitchen: Unit, trigger: str, logged: str) -> None:
    assert kitchen.ask(trigger=trigger).data["should_dispense"]
    assert line().triggered_by == logged


def test_a_request_that_waited_is_too_old(kitchen: Unit) -> None:
    stale = epoch_ms(clock.now() - timedelta(seconds=61))
    assert kitchen.ask(ts=stale).data["reason"] == "event_too_old"
    assert kitchen.ask(ts=stale, clk="none").data["should_dispense"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("request_id", None),
        ("request_id", "x"),
        ("cup_placed", "yes"),
        ("ts", "now"),
        ("ts", -1),
        ("trigger", "thirst"),
        ("unsynced", {}),
        ("unsynced", [{"k": "dose"}]),
        ("unsynced", [{"id": str(uuid.uuid4()), "k": "dose", "d": {"outcome": "splendid"}}]),
        ("unsynced", [{"id": str(uuid.uuid4()), "k": "dose", "d": {"outcome": "dispensed", "amount": 0}}]),
        ("unsynced", [{"id": str(uuid.uuid4()), "k": "log"}] * 51),
    ],
)
def test_a_wrong_field_of_a_request_is_named_and_nothing_is_poured(kitchen: Unit, field: str, value: Any) -> None:
    response = kitchen.ask(**{field: value})
    assert (response.status_code, next(iter(response.error["details"])).split(".")[0]) == (422, field)
    assert not Dispense.objects.exists()


def test_a_confirmed_dose(kitchen: Unit, poured: dict[str, Any], statements: make.Statements) -> None:
    finished = NOON + timedelta(seconds=9)
    # Three of them tell the person of the first dose.
    with time_machine.travel(NOON + timedelta(seconds=10), tick=False), statements(11):
        answer = kitchen.confirm(
            poured["dispense_id"], "dispensed", amount=5, unit="ml", finished_at=clock.iso(finished)
        )
    assert answer.data == {
        "status": "dispensed",
        "total_doses_dispensed": 1,
        "supplement_level": 100,
        "next_dose_at": "2026-03-10T13:00:00.000Z",
    }
    dose = Dispense.objects.get()
    assert (dose.status, dose.finished_at, dose.counts) == ("dispensed", finished, True)
    assert (line().action, line().confirmation, line().dose_amount) == ("dose_dispensed", "device", "5ml")
    assert counted(kitchen) == (1, 1)


def test_a_partial_dose_is_logged_and_counted_as_what_came_out(kitchen: Unit, poured: dict[str, Any]) -> None:
    kitchen.confirm(poured["dispense_id"], "partial", amount=2.5)
    assert (line().dose_amount, line().confirmation) == ("2.5ml", "device")
    assert counted(kitchen) == (1, 1)


def test_a_failure_that_says_zero_gives_everything_back(kitchen: Unit, poured: dict[str, Any]) -> None:
    with time_machine.travel(NOON + timedelta(seconds=10), tick=False):
        answer = kitchen.confirm(poured["dispense_id"], "failed", amount=0).data
        assert (answer["status"], answer["total_doses_dispensed"]) == ("failed", 0)
        assert answer["next_dose_at"] == "2026-03-10T09:00:10.000Z"
        assert (line().action, line().dose_amount, line().confirmation) == ("dose_failed", None, "device")
        assert counted(kitchen) == (0, 0)
        # The empty cup still stands there, and may be asked about again.
        assert kitchen.ask().data["should_dispense"]


def test_a_failure_without_an_amount_frees_nothing(kitchen: Unit, poured: dict[str, Any]) -> None:
    kitchen.confirm(poured["dispense_id"], "failed")
    with time_machine.travel(NOON + timedelta(minutes=5), tick=False):
        kitchen.cup(False)
        assert kitchen.ask().data["reason"] == "min_interval"
    assert (line().action, line().confirmation) == ("dose_dispensed", "none")
    assert counted(kitchen) == (1, 1)


def test_after_two_failures_a_day_somebody_has_to_look(kitchen: Unit) -> None:
    for minutes in (0, 10):
        with time_machine.travel(NOON + timedelta(minutes=minutes), tick=False):
            kitchen.confirm(kitchen.ask().data["dispense_id"], "not_started", amount=0)
    tomorrow = NOON + timedelta(days=1)
    with time_machine.travel(tomorrow, tick=False):
        kitchen.cup(False)
        refused = kitchen.ask().data
    assert (refused["reason"], refused["reason_class"], refused["next_dose_at"]) == (
        "dispense_fault",
        "service",
        None,
    )

    Dispense.objects.filter(is_fault=True).update(acknowledged_at=tomorrow)
    with time_machine.travel(tomorrow + timedelta(minutes=1), tick=False):
        kitchen.cup(False)
        assert kitchen.ask().data["should_dispense"]


def test_one_failure_a_day_is_no_fault(kitchen: Unit) -> None:
    for day in (0, 1, 2):
        with time_machine.travel(NOON + timedelta(days=day), tick=False):
            kitchen.cup(False)
            answer = kitchen.ask().data
            assert answer["should_dispense"]
            kitchen.confirm(answer["dispense_id"], "failed", amount=0)


def test_the_same_word_again_changes_nothing(kitchen: Unit, poured: dict[str, Any]) -> None:
    report = {"event_id": str(uuid.uuid4()), "amount": 0}
    first = kitchen.confirm(poured["dispense_id"], "failed", **report)
    again = kitchen.confirm(poured["dispense_id"], "failed", **report)
    under_another_name = kitchen.confirm(poured["dispense_id"], "failed", amount=0)
    assert first.data["status"] == again.data["status"] == under_another_name.data["status"] == "failed"
    assert counted(kitchen) == (0, 0)
    assert Dispense.objects.get().dispute is None


def test_another_word_after_a_final_one_is_kept_as_a_dispute(kitchen: Unit, poured: dict[str, Any]) -> None:
    kitchen.confirm(poured["dispense_id"], "dispensed")
    for _ in range(2):
        refused = kitchen.confirm(poured["dispense_id"], "failed", amount=0)
        assert (refused.status_code, refused.error["code"], refused.error["details"]) == (
            409,
            "SYNC_CONFLICT",
            {"reason": "conflict"},
        )
    dose = Dispense.objects.get()
    assert (dose.status, [each["outcome"] for each in dose.dispute or ()]) == ("dispensed", ["failed"])
    assert counted(kitchen) == (1, 1)


def test_a_dose_that_nobody_confirmed_keeps_counting_and_may_still_be_reported(
    kitchen: Unit, poured: dict[str, Any]
) -> None:
    assert settlement.sweep(now=NOON + timedelta(seconds=60)) == 1
    assert (Dispense.objects.get().status, line().confirmation) == ("unconfirmed", "none")
    with time_machine.travel(NOON + timedelta(hours=1), tick=False):
        kitchen.cup(False)
        assert kitchen.ask().data["reason"] == "min_interval"
        kitchen.confirm(poured["dispense_id"], "unknown")
        assert Dispense.objects.get().reported_at is None
        kitchen.confirm(poured["dispense_id"], "failed", amount=0)
        assert counted(kitchen) == (0, 0)
        kitchen.cup(False)
        assert kitchen.ask().data["should_dispense"]


def test_after_a_person_has_answered_a_contrary_report_is_a_dispute(kitchen: Unit, poured: dict[str, Any]) -> None:
    settlement.sweep(now=NOON + timedelta(seconds=60))
    Dispense.objects.update(resolved_as="taken", resolved_at=NOON)
    assert kitchen.confirm(poured["dispense_id"], "failed", amount=0).status_code == 409
    assert Dispense.objects.get().counts
    assert counted(kitchen) == (1, 1)


def test_a_confirmation_ends_a_recorded_yes(kitchen: Unit) -> None:
    request: dict[str, Any] = {"request_id": str(uuid.uuid4())}
    yes = kitchen.ask(**request).data
    kitchen.confirm(yes["dispense_id"], "failed", amount=0)
    again = kitchen.ask(**request).data
    assert (again["should_dispense"], again["reason"]) == (False, "already_answered")


def test_only_the_dispenser_itself_confirms(
    alice: Phone, bob: Phone, kitchen: Unit, poured: dict[str, Any]
) -> None:
    for other in (alice.dispenser(), bob.dispenser()):
        refused = other.confirm(poured["dispense_id"], "failed", amount=0)
        assert (refused.status_code, refused.error["details"]) == (403, {"reason": "not_owner"})
    for person in (alice, bob):
        path = f"/iot/dispense/{poured['dispense_id']}/confirm"
        refused = person.post(path, {"event_id": str(uuid.uuid4()), "outcome": "failed", "amount": 0})
        assert (refused.status_code, refused.error["details"]) == (403, {"reason": "wrong_credential_kind"})
    assert kitchen.confirm(str(uuid.uuid4()), "dispensed").status_code == 404
    assert Dispense.objects.get().status == "authorized"


@pytest.mark.parametrize(
    ("report", "field"),
    [
        ({"outcome": "splendid"}, "outcome"),
        ({"outcome": "dispensed", "amount": -1}, "amount"),
        ({"outcome": "dispensed", "amount": 0}, "amount"),
        ({"outcome": "dispensed", "amount": "5"}, "amount"),
        ({"outcome": "dispensed", "amount": 1e300}, "amount"),
        ({"outcome": "dispensed", "unit": "cup"}, "unit"),
        ({"outcome": "dispensed", "unit": "IU"}, "unit"),
        ({"outcome": "dispensed", "event_id": None}, "event_id"),
        ({"outcome": "dispensed", "finished_at": "soon"}, "finished_at"),
    ],
)
def test_a_wrong_field_of_a_confirmation_is_named(
    kitchen: Unit, poured: dict[str, Any], report: dict[str, Any], field: str
) -> None:
    response = kitchen.confirm(poured["dispense_id"], **report)
    assert (response.status_code, list(response.error["details"])) == (422, [field])
    assert Dispense.objects.get().status == "authorized"


def journal(outcome: str = "dispensed", **event: Any) -> dict[str, Any]:
    """A dose that was poured offline."""
    d = {"outcome": outcome, **event.pop("d", {})}
    return {"id": str(uuid.uuid4()), "boot": 1, "seq": 1, "k": "dose", "d": d, **event}


def test_what_happened_offline_is_taken_before_the_decision(kitchen: Unit) -> None:
    with time_machine.travel(NOON, tick=False):
        event = journal(ts=epoch_ms(NOON - timedelta(hours=1)), d={"amount": 4, "unit": "ml"})
        first = kitchen.ask(ts=epoch_ms(NOON), unsynced=[event, event]).data
        assert (first["should_dispense"], first["reason"]) == (False, "cup_not_emptied")
        kitchen.cup(False)
        assert kitchen.ask(unsynced=[event]).data["reason"] == "min_interval"
    dose = Dispense.objects.get()
    assert (dose.decided_by, dose.status, dose.authorized_at) == ("device", "dispensed", NOON - timedelta(hours=1))
    assert (line().dose_amount, line().confirmation, line().metadata["exceeds"]) == ("4ml", "device", [])
    assert counted(kitchen) == (1, 1)


def test_a_removal_that_is_heard_of_late_frees_the_cup(kitchen: Unit) -> None:
    with time_machine.travel(NOON, tick=False):
        kitchen.cup(True)
    later = NOON + timedelta(hours=5)
    removed = {
        "id": str(uuid.uuid4()),
        "k": "state",
        "ts": epoch_ms(later - timedelta(minutes=1)),
        "d": {"cup_placed": False},
    }
    with time_machine.travel(later, tick=False):
        assert kitchen.ask(ts=epoch_ms(later)).data["reason"] == "cup_not_emptied"
        assert kitchen.ask(ts=epoch_ms(later) + 1, unsynced=[removed]).data["should_dispense"]


SLOW = timedelta(seconds=40)


def removal(at: datetime, **event: Any) -> dict[str, Any]:
    """A cup that was taken away unheard, by the dispenser's clock."""
    return {"id": str(uuid.uuid4()), "k": "state", "ts": epoch_ms(at), "d": {"cup_placed": False}, **event}


@pytest.mark.parametrize("with_the_request", [True, False])
def test_a_slow_clock_is_slow_for_the_request_as_for_its_journal(kitchen: Unit, with_the_request: bool) -> None:
    """A removal whose time was corrected is no later than the cup that was placed after it."""
    own = NOON - SLOW
    removed = removal(own - timedelta(seconds=5), boot=1, seq=1)
    with time_machine.travel(NOON, tick=False):
        if not with_the_request:
            kitchen.post("/iot/events", {"sent": epoch_ms(own), "ev": [removed]})
        answer = kitchen.ask(ts=epoch_ms(own), unsynced=[removed]).data
    assert (answer["should_dispense"], answer["reason"], answer["cup_placed"]) == (True, "due", True)
    after = NOON - timedelta(seconds=5) + clock.ONE_MS
    assert answer["last_state_change"] == clock.iso(after)
    placed = DeviceState.objects.get(cup_placed=True)
    assert (placed.timestamp, placed.device_time) == (after, own)
    # The cup that got the dose has not been taken away since.
    later = NOON + timedelta(hours=5)
    with time_machine.travel(later, tick=False):
        assert kitchen.ask(ts=epoch_ms(later - SLOW)).data["reason"] == "cup_not_emptied"
        again = removal(later - SLOW - timedelta(seconds=2))
        assert kitchen.ask(ts=epoch_ms(later - SLOW) + 1, unsynced=[again]).data["should_dispense"]


def test_a_slow_clock_is_slow_for_a_removal_that_is_told_at_once(kitchen: Unit) -> None:
    own, told = NOON - SLOW, NOON + timedelta(seconds=8)
    with time_machine.travel(NOON, tick=False):
        unsynced = [removal(own - timedelta(seconds=5))]
        assert kitchen.ask(ts=epoch_ms(own), unsynced=unsynced).data["should_dispense"]
    with time_machine.travel(told, tick=False):
        assert kitchen.cup(False, timestamp=clock.iso(told - SLOW)).data["cup_placed"] is False
    later = NOON + timedelta(hours=5)
    with time_machine.travel(later, tick=False):
        assert kitchen.ask(ts=epoch_ms(later - SLOW)).data["should_dispense"]


@pytest.mark.parametrize("skew", [timedelta(0), SLOW])
def test_a_request_that_a_later_removal_has_overtaken_pours_nothing(kitchen: Unit, skew: timedelta) -> None:
    own = NOON - skew
    with time_machine.travel(NOON, tick=False):
        kitchen.post("/iot/events", {"sent": epoch_ms(own), "ev": [removal(own, boot=1, seq=1)]})
        overtaken = kitchen.ask(ts=epoch_ms(own - timedelta(seconds=10))).data
    assert (overtaken["reason"], overtaken["cup_placed"]) == ("event_too_old", False)
    assert not Dispense.objects.exists()


def test_a_journal_makes_no_old_request_young(kitchen: Unit) -> None:
    old = NOON - timedelta(seconds=61)
    with time_machine.travel(NOON, tick=False):
        answer = kitchen.ask(ts=epoch_ms(old), unsynced=[removal(old - timedelta(seconds=5))]).data
    assert (answer["should_dispense"], answer["reason"]) == (False, "event_too_old")


def test_an_offline_report_of_a_known_dose_is_its_confirmation(kitchen: Unit, poured: dict[str, Any]) -> None:
    event = journal("failed", d={"dispense_id": poured["dispense_id"], "amount": 0})
    assert kitchen.ask(unsynced=[event]).data["should_dispense"]
    assert sorted(Dispense.objects.values_list("status", flat=True)) == ["authorized", "failed"]


def test_an_offline_dose_above_a_limit_is_recorded_and_flagged(kitchen: Unit, poured: dict[str, Any]) -> None:
    later = NOON + timedelta(hours=2)
    with time_machine.travel(later, tick=False):
        kitchen.ask(ts=epoch_ms(later), unsynced=[journal(ts=epoch_ms(later), d={"amount": 18})])
    flagged = ActivityLog.objects.get(metadata__has_key="exceeds")
    assert flagged.metadata["exceeds"] == ["min_interval", "daily_limit"]
    assert counted(kitchen) == (2, 2)


def test_a_dose_of_another_dispenser_cannot_be_reported(
    alice: Phone, kitchen: Unit, poured: dict[str, Any]
) -> None:
    event = journal("failed", d={"dispense_id": poured["dispense_id"], "amount": 0})
    assert alice.dispenser().ask(unsynced=[event]).status_code == 403
    assert Dispense.objects.get().status == "authorized"


def test_the_last_dose_in_a_status(kitchen: Unit) -> None:
    with time_machine.travel(NOON, tick=False):
        dose = kitchen.cup(True).data["dispense_id"]
    settlement.sweep(now=NOON + timedelta(minutes=1))
    report = {"dispense_id": dose, "outcome": "failed", "amount": 0}
    for _ in range(2):
        assert kitchen.status(battery_level=80, last_dispense=report).status_code == 200
    assert (line().action, counted(kitchen)) == ("dose_failed", (0, 0))
    contrary = {"dispense_id": dose, "outcome": "dispensed"}
    assert kitchen.status(battery_level=79, last_dispense=contrary).data["battery_level"] == 79
    assert [each["outcome"] for each in Dispense.objects.get().dispute or ()] == ["dispensed"]


def test_a_last_dose_that_the_server_does_not_know_is_recorded_once(kitchen: Unit) -> None:
    report = {"dispense_id": str(uuid.uuid4()), "outcome": "dispensed", "amount": 5}
    for _ in range(3):
        assert kitchen.status(last_dispense=report).status_code == 200
    assert (Dispense.objects.get().decided_by, counted(kitchen)) == ("device", (1, 1))
    kitchen.cup(False)
    assert kitchen.cup(True).data["reason"] == "min_interval"


def test_an_amount_in_another_unit_is_not_taken_for_one_of_the_dose(alice: Phone) -> None:
    drops = alice.dispenser(device_type="vitamin_d")
    asked = drops.ask().data["dispense_id"]
    drops.status(last_dispense={"dispense_id": asked, "outcome": "partial", "amount": 1, "unit": "ml"})
    drops.ask(unsynced=[journal(d={"amount": 1, "unit": "ml"})])
    for dose in Dispense.objects.all():
        assert (f"{dose.amount:f}", dose.unit, dose.actual_amount) == ("1000.000", "IU", None)
    lines = ActivityLog.objects.filter(action="dose_dispensed").order_by("timestamp", "id")
    assert [(each.dose_amount, each.metadata.get("reported_amount")) for each in lines] == [
        ("1000IU", None),
        ("1000IU", "1ml"),
    ]


def test_nothing_is_nothing_in_every_unit(alice: Phone) -> None:
    drops = alice.dispenser(device_type="vitamin_d")
    asked = drops.ask().data["dispense_id"]
    drops.status(last_dispense={"dispense_id": asked, "outcome": "failed", "amount": 0, "unit": "ml"})
    assert not Dispense.objects.get().counts


@pytest.mark.django_db(transaction=True)
def test_eight_confirmations_at_once_give_back_once() -> None:
    kitchen = Phone(make.person()).dispenser()
    dose = kitchen.ask().data["dispense_id"]
    answers = together(lambda _: Unit(kitchen.id, kitchen.token).confirm(dose, "failed", amount=0), range(8))
    assert {answer.status_code for answer in answers} == {200}
    assert counted(kitchen) == (0, 0)


@pytest.mark.django_db(transaction=True)
def test_the_sweep_and_the_confirmation_at_once_leave_one_truth() -> None:
    kitchen = Phone(make.person()).dispenser()
    for _ in range(5):
        Dispense.objects.all().delete()
        Device.objects.update(last_dose_event_at=None)
        dose = kitchen.ask().data["dispense_id"]
        later = clock.now() + timedelta(seconds=61)
        work = [
            lambda: Unit(kitchen.id, kitchen.token).confirm(dose, "dispensed", amount=4).status_code,  # noqa: B023
            lambda: settlement.sweep(now=later),  # noqa: B023
        ]
        together(lambda job: job(), work)
        found = Dispense.objects.get()
        assert (found.status, found.reported_at is not None) == ("dispensed", True)
        assert ActivityLog.objects.get(pk=found.activity_id).confirmation == "device"


def test_a_decision_keeps_its_whole_trace(kitchen: Unit, poured: dict[str, Any]) -> None:
    decision = Decision.objects.get()
    assert (decision.reason, str(decision.dispense_id)) == ("due", poured["dispense_id"])
    assert len(decision.trace) > 15
