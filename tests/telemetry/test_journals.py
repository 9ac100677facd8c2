"""`POST /iot/events`: a journal arrives once, whatever is repeated, split, late or broken (iot.md 2)."""

import itertools
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.db import DataError, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.models import Device
from notifications.models import AlertState, Notification
from telemetry import journal_sql, journals
from telemetry.envelopes import Batch, read
from telemetry.models import (
    ActivityLog,
    DeadLetter,
    DeviceReport,
    DeviceSample,
    DeviceState,
    Dispense,
    EventKey,
    JournalAck,
)
from tests import everything, make
from tests.clients import Phone, Unit
from tests.threads import together
from zinzino.clock import epoch_ms

NOON = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)  # 12:00 in Istanbul
MINUTE = 60_000


def event(seq: int, kind: str = "state", *, ago_min: float = 0, boot: int = 1, **data: Any) -> dict[str, Any]:
    data = data or {"cup_placed": bool(seq % 2)}
    ts = epoch_ms(NOON) - int(ago_min * MINUTE)
    return {"id": str(uuid.uuid4()), "boot": boot, "seq": seq, "ts": ts, "k": kind, "d": data}


def envelope(*events: Any, **around: Any) -> dict[str, Any]:
    return {"v": 1, "sent": epoch_ms(NOON), "ev": list(events), **around}


def send(unit: Unit, *events: Any, **around: Any) -> Any:
    with time_machine.travel(NOON, tick=False):
        return unit.post("/iot/events", envelope(*events, **around))


@pytest.fixture
def kitchen(alice: Phone) -> Unit:
    """A dispenser that Alice has had for a while."""
    return alice.dispenser(now=NOON - timedelta(days=90))


def test_a_journal_is_taken(kitchen: Unit, statements: make.Statements) -> None:
    send(kitchen)
    events = [event(seq, ago_min=20 - seq) for seq in range(1, 11)]
    with statements(7):
        answer = send(kitchen, *events).data
    assert answer == {"accepted": 10, "duplicates": 0, "rejected": [], "acked": {"boot": 1, "seq": 10}}
    assert DeviceState.objects.count() == 10
    device = Device.objects.get()
    assert (device.cup_placed, device.last_event_at) == (False, NOON - timedelta(minutes=10))
    assert device.last_removal_at == NOON - timedelta(minutes=10)
    assert (device.is_connected, device.setup_state, device.event_count) == (True, "online", 10)


def test_twice_is_once(kitchen: Unit) -> None:
    events = [event(1), event(2), event(3, "sample", battery_level=50)]
    send(kitchen, *events, events[0])
    again = send(kitchen, *events).data
    assert again == {"accepted": 0, "duplicates": 3, "rejected": [], "acked": {"boot": 1, "seq": 3}}
    assert (DeviceState.objects.count(), DeviceSample.objects.count(), Device.objects.get().event_count) == (
        2,
        1,
        2,
    )


@pytest.mark.django_db(transaction=True)
def test_the_same_batch_at_once_is_taken_once(kitchen: Unit) -> None:
    events = [event(seq) for seq in range(1, 6)] + [event(6, "dose", outcome="dispensed", amount=5, unit="ml")]
    answers = together(lambda _: kitchen.post("/iot/events", envelope(*events)).data, range(4))
    assert sum(answer["accepted"] for answer in answers) == 6
    assert sum(answer["duplicates"] for answer in answers) == 18
    assert (DeviceState.objects.count(), Dispense.objects.count()) == (5, 1)
    assert Device.objects.get().total_doses_dispensed == 1


def test_each_kind_leaves_its_trace(kitchen: Unit) -> None:
    answer = send(
        kitchen,
        event(1, "state", cup_placed=True, sensor_reading=0.85),
        event(2, "dose", outcome="dispensed", amount=5, unit="ml"),
        event(3, "sample", battery_level=80, supplement_level=60, rssi=-67),
        event(4, "alarm", code="E12", severity="critical"),
        event(5, "log", level="info", message="hello"),
        event(6, "refill", lot="L-7"),
        event(7, "purge", amount=2.5, unit="ml"),
    ).data
    assert (answer["accepted"], answer["acked"]) == (7, {"boot": 1, "seq": 7})
    assert DeviceState.objects.get().sensor_reading == Decimal("0.85")
    sample = DeviceSample.objects.get()
    assert (sample.battery_level, sample.supplement_level, sample.rssi) == (80, 60, -67)
    assert sorted(DeviceReport.objects.values_list("kind", flat=True)) == ["alarm", "log", "purge"]
    assert DeviceReport.objects.get(kind="purge").data == {"amount": 2.5, "unit": "ml"}
    assert list(ActivityLog.objects.values_list("action", flat=True).order_by("action")) == [
        "dose_dispensed",
        "refill",
    ]
    device = Device.objects.get()
    assert (device.battery_level, device.supplement_level, device.total_doses_dispensed) == (80, 100, 1)


def test_times_are_corrected_and_the_dispensers_own_is_kept(kitchen: Unit) -> None:
    slow = timedelta(hours=3)
    send(kitchen, event(1, ago_min=190), sent=epoch_ms(NOON - slow))
    state = DeviceState.objects.get()
    assert (state.timestamp, state.time_quality) == (NOON - timedelta(minutes=10), "corrected")
    assert state.device_time == NOON - timedelta(minutes=190)


def test_a_bad_event_is_kept_told_and_acknowledged(kitchen: Unit) -> None:
    bad = event(2, "state", cup_placed="yes")
    odd = event(3, "log", level="info", message="a\x00b")
    answer = send(kitchen, event(1), bad, odd, event(4)).data
    assert (answer["accepted"], answer["acked"]) == (2, {"boot": 1, "seq": 4})
    assert [each["id"] for each in answer["rejected"]] == [bad["id"], odd["id"]]
    assert {each["code"] for each in answer["rejected"]} == {"VALIDATION_ERROR"}
    send(kitchen, bad)
    assert DeadLetter.objects.count() == 2
    assert bad["id"] in DeadLetter.objects.get(event_id=bad["id"]).payload


def test_a_dose_of_another_dispenser_is_a_dead_letter(alice: Phone, kitchen: Unit) -> None:
    other = alice.dispenser(device_type="vitamin_d", now=NOON - timedelta(days=90))
    with time_machine.travel(NOON, tick=False):
        theirs = other.ask().data["dispense_id"]
    stolen = event(1, "dose", dispense_id=theirs, outcome="failed", amount=0)
    answer = send(kitchen, stolen, event(2)).data
    assert (answer["accepted"], answer["rejected"][0]["code"]) == (1, "FORBIDDEN")
    assert answer["acked"] == {"boot": 1, "seq": 2}
    assert Dispense.objects.get().status == "authorized"


def test_what_the_database_refuses_is_found_and_the_rest_is_taken(
    kitchen: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = journal_sql.store

    def refusing(statement: str, rows: Sequence[tuple[Any, ...]], *, now: datetime) -> None:
        if any(row[-1] == Decimal("6.66") or row[-1] == 6.66 for row in rows):
            raise DataError("poison")
        original(statement, rows, now=now)

    monkeypatch.setattr(journal_sql, "store", refusing)
    events = [event(seq) for seq in range(1, 9)]
    events[4] = event(5, "state", cup_placed=True, sensor_reading=6.66)
    answer = send(kitchen, *events).data
    assert (answer["accepted"], [each["id"] for each in answer["rejected"]]) == (7, [events[4]["id"]])
    assert answer["acked"] == {"boot": 1, "seq": 8}
    assert (DeviceState.objects.count(), DeadLetter.objects.get().code) == (7, "UNSTORABLE")


def test_a_gap_holds_the_acknowledgement_until_it_is_filled(kitchen: Unit) -> None:
    assert send(kitchen, event(1), event(2)).data["acked"]["seq"] == 2
    assert send(kitchen, event(5), event(6)).data["acked"]["seq"] == 2
    assert send(kitchen, event(3)).data["acked"]["seq"] == 3
    assert send(kitchen, event(4)).data["acked"]["seq"] == 6
    # It lost some, and says so.
    assert send(kitchen, event(20), first=20).data["acked"]["seq"] == 20
    assert send(kitchen, event(1, boot=2)).data["acked"] == {"boot": 2, "seq": 1}
    assert send(kitchen, boot=1).data["acked"] == {"boot": 1, "seq": 20}
    assert send(kitchen).data["acked"] is None


def test_a_fresh_low_level_tells_the_owner_and_a_late_one_does_not(alice: Phone, kitchen: Unit) -> None:
    send(
        kitchen, event(1, "sample", ago_min=60, battery_level=15), event(2, "sample", ago_min=59, battery_level=50)
    )
    assert not Notification.objects.exists()
    send(kitchen, event(3, "sample", battery_level=18), event(4, "sample", battery_level=9))
    told = [(row.type, row.metadata["severity"]) for row in Notification.objects.all()]
    assert sorted(told) == [("low_battery", "critical"), ("low_battery", "low")]
    assert Device.objects.get().battery_level == 9
    send(kitchen, event(5, "sample", ago_min=70, battery_level=99))
    assert Device.objects.get().battery_level == 9


def test_a_refill_arms_the_alert_again(kitchen: Unit) -> None:
    send(kitchen, event(1, "sample", supplement_level=12))
    assert AlertState.objects.get().severity == "low"
    send(kitchen, event(2, "refill", level=90))
    assert (AlertState.objects.get().severity, Device.objects.get().supplement_level) == (None, 90)


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "ev"), (envelope(v=3), "v"), (envelope(*[None] * 501), "ev"), (envelope(sent="now"), "sent")],
)
def test_an_unreadable_envelope_is_422(kitchen: Unit, body: Any, field: str) -> None:
    answer = kitchen.post("/iot/events", body)
    assert (answer.status_code, list(answer.error["details"])) == (422, [field])


def test_a_batch_over_256_kib_is_refused(kitchen: Unit) -> None:
    long = [event(seq, "log", level="info", message="x" * 990) for seq in range(300)]
    assert kitchen.post("/iot/events", envelope(*long)).status_code == 413


def test_many_dispensers_are_taken_in_few_statements(
    alice: Phone, bob: Phone, statements: make.Statements
) -> None:
    units = [phone.dispenser(now=NOON - timedelta(days=9)) for phone in (alice, bob) for _ in range(5)]
    uploads = [
        journals.Upload(unit.id, read(envelope(*[event(seq, ago_min=9 - seq) for seq in (1, 2, 3)])))
        for unit in units
    ]
    gone = journals.Upload(uuid.uuid4(), read(envelope(event(1))))
    with statements(7):
        receipts = journals.take([*uploads, gone], now=NOON)
    assert [receipt and receipt.accepted for receipt in receipts] == [3] * 10 + [None]
    assert DeviceState.objects.count() == 30


# --- all at once is the same as one by one --------------------------------------------------------

KINDS = st.one_of(
    st.builds(lambda cup: ("state", {"cup_placed": cup}), st.booleans()),
    st.builds(
        lambda outcome, amount: ("dose", {"outcome": outcome, "amount": amount, "unit": "ml"}),
        st.sampled_from(["dispensed", "partial", "unknown"]),
        st.integers(1, 8),
    ),
    st.just(("dose", {"outcome": "failed", "amount": 0})),
    st.builds(
        lambda battery, supplement: ("sample", {"battery_level": battery, "supplement_level": supplement}),
        st.integers(0, 100),
        st.integers(0, 100),
    ),
    st.builds(lambda level: ("refill", {"level": level}), st.integers(10, 100)),
    st.just(("alarm", {"code": "E1", "severity": "info"})),
    st.just(("purge", {"amount": 1, "unit": "ml"})),
    st.just(("state", {"cup_placed": "maybe"})),
)
HISTORY = st.lists(st.tuples(st.integers(0, 2), KINDS, st.integers(0, 200)), min_size=1, max_size=14)
# Columns that hold a random id or refer to one.
RANDOM = {"id", "activity_id", "decision_id", "link", "dedupe_key"}
# Of failures on one day those that are heard of last are the fault; how many they are does not depend on it.
LEFT_OUT = RANDOM | {"metadata", "is_fault"}


def outcome_of(
    history: list[tuple[int, tuple[str, dict[str, Any]], int]], cuts: list[int]
) -> dict[str, list[Any]]:
    """All that stands in the database after the history came in parts."""
    with transaction.atomic():
        people = [make.person(f"p{number}@example.com", now=NOON - timedelta(days=9)).user for number in range(2)]
        units = [
            make.dispenser(
                people[index // 2],
                device_type=kind,
                mac_address=make.mac(900 + index),
                serial_number=f"ZNZ-S-{index}",
                now=NOON - timedelta(days=9),
            ).row
            for index, kind in enumerate(("fish_oil", "krill_oil", "fish_oil"))
        ]
        names = {str(row.pk): f"unit {index}" for index, row in enumerate(units)}
        names |= {str(person.pk): f"person {index}" for index, person in enumerate(people)}
        uploads = []
        for seq, (which, (kind, data), minute) in enumerate(history, start=1):
            raw = event(seq, kind, ago_min=minute / 10, **data)
            raw["id"] = str(make.uuid_of(seq))
            uploads.append(journals.Upload(units[which].pk, read(envelope(raw, first=1))))
        bounds = [0, *sorted(set(cuts) & set(range(1, len(uploads)))), len(uploads)]
        for start, end in itertools.pairwise(bounds):
            journals.take(uploads[start:end], now=NOON)
        found = contents(names)
        transaction.set_rollback(True)
    return found


def contents(names: dict[str, str]) -> dict[str, list[Any]]:
    tables = (Device, DeviceState, DeviceSample, DeviceReport, Dispense, ActivityLog, EventKey, JournalAck)
    found = {}
    for model in (*tables, DeadLetter, AlertState, Notification):
        # Which of two doses was the one too many hangs on which was heard of first.
        listed = model.objects.exclude(type="dose_warning") if model is Notification else model.objects.all()
        rows = [
            sorted((name, named(value, names)) for name, value in row.items() if name not in LEFT_OUT)
            for row in listed.values()
        ]
        found[model.__name__] = sorted(map(repr, rows))
    found["faults"] = [str(Dispense.objects.filter(is_fault=True).count())]
    found["days"] = sorted(
        map(
            repr,
            [
                (named(row[0], names), *row[1:])
                for row in everything.asked("SELECT device_id, local_date, doses FROM dose_days")
            ],
        )
    )
    return found


def named(value: Any, names: dict[str, str]) -> str:
    text = str(value)
    for known, name in names.items():
        text = text.replace(known, name)
    return text


@pytest.mark.django_db
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(history=HISTORY, cuts=st.lists(st.integers(1, 13), max_size=6))
def test_in_parts_or_one_by_one_or_all_at_once_leaves_the_same(
    profiles: None, history: list[tuple[int, tuple[str, dict[str, Any]], int]], cuts: list[int]
) -> None:
    at_once = outcome_of(history, [])
    assert outcome_of(history, list(range(1, len(history)))) == at_once
    assert outcome_of(history, cuts) == at_once


def test_an_empty_batch_is_contact(kitchen: Unit) -> None:
    send(kitchen)
    device = Device.objects.get()
    assert (device.is_connected, device.contact_at) == (True, NOON)
    assert (
        journals.take([journals.Upload(kitchen.id, Batch([], [], read(envelope()).sent))], now=NOON)[0] is not None
    )
