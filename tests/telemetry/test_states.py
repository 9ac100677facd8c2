import uuid
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from devices.models import Device
from telemetry import settlement
from telemetry.models import ActivityLog, Decision, DeviceState, Dispense
from tests import make
from tests.clients import Phone, Unit
from tests.threads import together
from zinzino import clock
from zinzino.clock import iso

NOON = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)  # 12:00 in Istanbul


def no_clock(answer: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in answer.items() if name not in ("server_time", "server_ms")}


def test_a_cup_gets_a_dose_and_the_documented_answer(kitchen: Unit, statements: make.Statements) -> None:
    kitchen.status(battery_level=90)
    with time_machine.travel(NOON, tick=False), statements(4):
        answer = kitchen.cup(True, sensor_reading=0.85, timestamp=iso(NOON)).data

    assert (
        answer.items()
        >= {
            "device_id": str(kitchen.id),
            "cup_placed": True,
            "last_state_change": "2026-03-10T09:00:00.000Z",
            "should_dispense": True,
            "dispense_amount": "5ml",
            "reason": "due",
            "reason_class": None,
            "dose": {"amount": 5.0, "unit": "ml", "volume_ul": 5000},
            "expires_at": "2026-03-10T09:01:00.000Z",
            "next_dose_at": "2026-03-10T13:00:00.000Z",
            "plan_version": 1,
            "server_time": "2026-03-10T09:00:00.000Z",
            "server_ms": 1_773_133_200_000,
        }.items()
    )
    assert Dispense.objects.get().status == "authorized"
    log = ActivityLog.objects.get()
    assert (log.action, log.dose_amount, log.triggered_by) == ("dose_dispensed", "5ml", "automatic")
    assert (log.confirmation, log.local_date.isoformat()) == ("pending", "2026-03-10")
    assert Device.objects.get().total_doses_dispensed == 1


def test_a_removal_asks_for_nothing(kitchen: Unit, statements: make.Statements) -> None:
    kitchen.cup(True)
    with statements(4):
        answer = kitchen.cup(False).data
    assert (answer["should_dispense"], answer["reason"], answer["dispense_amount"]) == (
        False,
        "cup_not_placed",
        None,
    )
    assert Decision.objects.count() == 1


def test_vitamin_d_is_counted_in_units(alice: Phone) -> None:
    answer = alice.dispenser(device_type="vitamin_d").cup(True).data
    assert answer["dispense_amount"] == "1000IU"
    assert answer["dose"] == {"amount": 1000.0, "unit": "IU", "volume_ul": None}


def test_the_same_event_again_stores_nothing_and_gets_the_same_answer(kitchen: Unit) -> None:
    event = {"timestamp": iso(NOON), "sensor_reading": 0.8}
    with time_machine.travel(NOON, tick=False):
        first = kitchen.cup(True, **event).data
    with time_machine.travel(NOON + timedelta(seconds=59), tick=False):
        again = kitchen.cup(True, **event).data

    assert no_clock(again) == no_clock(first)
    assert (DeviceState.objects.count(), Dispense.objects.count(), ActivityLog.objects.count()) == (1, 1, 1)


@pytest.mark.parametrize("key", [{"timestamp": iso(NOON)}, {"request_id": str(uuid.uuid4())}])
def test_a_recorded_yes_dies_after_a_minute(kitchen: Unit, key: dict[str, str]) -> None:
    with time_machine.travel(NOON, tick=False):
        first = kitchen.cup(True, **key).data
    with time_machine.travel(NOON + timedelta(seconds=60), tick=False):
        again = kitchen.cup(True, **key).data
    assert (again["should_dispense"], again["reason"]) == (False, "already_answered")
    assert again["dispense_id"] == first["dispense_id"]


def test_a_recorded_yes_dies_with_the_next_event(kitchen: Unit) -> None:
    with time_machine.travel(NOON, tick=False):
        kitchen.cup(True, timestamp=iso(NOON))
    with time_machine.travel(NOON + timedelta(seconds=5), tick=False):
        kitchen.cup(False)
        again = kitchen.cup(True, timestamp=iso(NOON)).data
    assert (again["should_dispense"], again["reason"]) == (False, "already_answered")


def test_a_recorded_no_stays_the_same_no(kitchen: Unit) -> None:
    kitchen.cup(True)
    event = {"request_id": str(uuid.uuid4())}
    first, again = kitchen.cup(True, **event).data, kitchen.cup(True, **event).data
    assert no_clock(first) == no_clock(again)
    assert first["reason"] == "cup_not_emptied"


@pytest.mark.parametrize(
    ("behind", "reason"),
    [
        (timedelta(), "due"),
        (timedelta(seconds=60), "due"),
        (timedelta(seconds=60, milliseconds=1), "event_too_old"),
        (timedelta(minutes=-5), "due"),
        (timedelta(minutes=-5, milliseconds=-1), "clock_untrusted"),
        (timedelta(days=365 * 10), "clock_untrusted"),
    ],
)
def test_the_devices_clock_decides_how_far_it_is_believed(kitchen: Unit, behind: timedelta, reason: str) -> None:
    with time_machine.travel(NOON, tick=False):
        answer = kitchen.cup(True, timestamp=iso(NOON - behind)).data
    assert (answer["reason"], answer["should_dispense"]) == (reason, reason == "due")
    assert DeviceState.objects.get().timestamp <= NOON


def test_a_late_event_never_pours_and_never_rewinds(kitchen: Unit) -> None:
    with time_machine.travel(NOON, tick=False):
        kitchen.cup(False, timestamp=iso(NOON))
        late = kitchen.cup(True, timestamp=iso(NOON - timedelta(milliseconds=1))).data
    assert (late["reason"], late["cup_placed"]) == ("event_too_old", False)
    assert (DeviceState.objects.count(), Dispense.objects.count()) == (2, 0)
    device = Device.objects.get()
    assert (device.cup_placed, device.last_state_change) == (False, NOON)


def test_an_old_event_that_is_the_newest_known_becomes_the_state(kitchen: Unit) -> None:
    with time_machine.travel(NOON, tick=False):
        answer = kitchen.cup(True, timestamp=iso(NOON - timedelta(hours=2))).data
    assert (answer["cup_placed"], answer["last_state_change"]) == (True, iso(NOON - timedelta(hours=2)))


def test_the_time_of_change_moves_only_on_change(kitchen: Unit) -> None:
    with time_machine.travel(NOON, tick=False):
        kitchen.cup(False)
    with time_machine.travel(NOON + timedelta(minutes=1), tick=False):
        answer = kitchen.cup(False).data
    assert answer["last_state_change"] == iso(NOON)


def test_the_cup_must_be_emptied_between_two_doses(kitchen: Unit) -> None:
    with time_machine.travel(NOON, tick=False):
        kitchen.cup(True)
    with time_machine.travel(NOON + timedelta(hours=5), tick=False):
        assert kitchen.cup(True, repeat=True).data["reason"] == "cup_not_emptied"
    with time_machine.travel(NOON + timedelta(hours=5, minutes=1), tick=False):
        kitchen.cup(False)
    with time_machine.travel(NOON + timedelta(hours=5, minutes=2), tick=False):
        assert kitchen.cup(True).data["reason"] == "due"


def test_asking_again_stores_no_state(kitchen: Unit) -> None:
    kitchen.cup(True)
    before = DeviceState.objects.count()
    kitchen.cup(True, repeat=True)
    assert DeviceState.objects.count() == before


def test_doses_of_one_supplement_count_against_each_other(alice: Phone, kitchen: Unit) -> None:
    krill, vitamin = alice.dispenser(device_type="krill_oil"), alice.dispenser(device_type="vitamin_d")
    assert kitchen.cup(True).data["reason"] == "due"
    assert krill.cup(True).data["reason"] == "min_interval"
    assert vitamin.cup(True).data["reason"] == "due"


def test_removing_and_adding_again_resets_no_limit(alice: Phone, kitchen: Unit) -> None:
    kitchen.cup(True)
    alice.delete(f"/devices/{kitchen.id}")
    assert alice.dispenser().cup(True).data["reason"] == "min_interval"


def test_other_people_have_limits_of_their_own(bob: Phone, kitchen: Unit) -> None:
    kitchen.cup(True)
    assert bob.dispenser().cup(True).data["reason"] == "due"


@pytest.mark.parametrize(
    ("levels", "reason"),
    [({"supplement_level": 0}, "supplement_empty"), ({"battery_level": 4}, "battery_too_low")],
)
def test_an_empty_dispenser_does_not_pour(kitchen: Unit, levels: dict[str, int], reason: str) -> None:
    kitchen.status(**levels)
    answer = kitchen.cup(True).data
    assert (answer["should_dispense"], answer["reason"]) == (False, reason)


def test_an_inactive_device_does_not_pour(alice: Phone, kitchen: Unit) -> None:
    alice.put(f"/devices/{kitchen.id}", {"is_active": False})
    assert kitchen.cup(True).data["reason"] == "device_inactive"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cup_placed", "yes"),
        ("cup_placed", None),
        ("cup_placed", 1),
        ("sensor_reading", 1000),
        ("sensor_reading", -0.1),
        ("sensor_reading", "0.5"),
        ("sensor_reading", 1e300),
        ("timestamp", "yesterday"),
        ("timestamp", 5),
        ("timestamp", "2026-03-10T09:00:00"),
        ("request_id", "x"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_stored(kitchen: Unit, field: str, value: object) -> None:
    response = kitchen.post(f"/states/{kitchen.id}", {"cup_placed": True, field: value})
    assert (response.status_code, list(response.error["details"])) == (422, [field])
    assert not DeviceState.objects.exists()


def test_an_overdue_dose_is_assumed_taken_and_keeps_counting(kitchen: Unit) -> None:
    with time_machine.travel(NOON, tick=False):
        kitchen.cup(True)
    later = NOON + timedelta(seconds=60)
    assert (settlement.sweep(now=later), settlement.sweep(now=later)) == (1, 0)
    assert (Dispense.objects.get().status, ActivityLog.objects.get().confirmation) == ("dispensed", "assumed")
    with time_machine.travel(NOON + timedelta(hours=1), tick=False):
        kitchen.cup(False)
        assert kitchen.cup(True).data["reason"] == "min_interval"


def test_the_next_event_closes_an_overdue_dose_without_the_sweep(kitchen: Unit) -> None:
    with time_machine.travel(NOON, tick=False):
        kitchen.cup(True)
    with time_machine.travel(NOON + timedelta(hours=4), tick=False):
        kitchen.cup(False)
    with time_machine.travel(NOON + timedelta(hours=4, seconds=1), tick=False):
        assert kitchen.cup(True).data["reason"] == "due"
    assert sorted(Dispense.objects.values_list("status", flat=True)) == ["authorized", "dispensed"]


@pytest.mark.django_db(transaction=True)
def test_sixteen_cups_at_once_pour_once() -> None:
    kitchen = Phone(make.person()).dispenser()
    answers = together(lambda _: Unit(kitchen.id, kitchen.token).cup(True).data, range(16))

    assert [answer["should_dispense"] for answer in answers].count(True) == 1
    assert (Dispense.objects.count(), ActivityLog.objects.count()) == (1, 1)
    assert (DeviceState.objects.count(), Device.objects.get().total_doses_dispensed) == (16, 1)


@pytest.mark.django_db(transaction=True)
def test_two_dispensers_of_one_supplement_at_once_pour_once() -> None:
    alice = Phone(make.person())
    units = [alice.dispenser(device_type=kind) for kind in ("fish_oil", "krill_oil", "vegan", "fish_oil")]
    answers = together(lambda unit: unit.cup(True).data, units)
    assert [answer["should_dispense"] for answer in answers].count(True) == 1


@pytest.mark.django_db(transaction=True)
def test_the_same_event_eight_times_at_once_is_one_row() -> None:
    kitchen = Phone(make.person()).dispenser()
    event = {"timestamp": iso(clock.now())}
    answers = together(lambda _: Unit(kitchen.id, kitchen.token).cup(True, **event).data, range(8))

    assert all(answer["should_dispense"] for answer in answers)
    assert len({answer["dispense_id"] for answer in answers}) == 1
    assert (DeviceState.objects.count(), Dispense.objects.count()) == (1, 1)


def test_an_event_is_the_same_under_either_of_its_names(kitchen: Unit) -> None:
    event = {"timestamp": iso(clock.now())}
    first = kitchen.cup(True, **event, request_id=str(uuid.uuid4())).data
    by_time = kitchen.cup(True, **event).data
    by_time_and_another_id = kitchen.cup(True, **event, request_id=str(uuid.uuid4())).data
    assert first["dispense_id"] == by_time["dispense_id"] == by_time_and_another_id["dispense_id"]
    assert DeviceState.objects.count() == 1


def test_a_recorded_yes_dies_when_the_device_is_switched_off_or_its_cup_is_gone(
    alice: Phone, kitchen: Unit
) -> None:
    event = {"request_id": str(uuid.uuid4())}
    kitchen.cup(True, **event)
    assert kitchen.cup(False, **event).data["should_dispense"] is False
    alice.put(f"/devices/{kitchen.id}", {"is_active": False})
    again = kitchen.cup(True, **event).data
    assert (again["should_dispense"], again["reason"]) == (False, "already_answered")
