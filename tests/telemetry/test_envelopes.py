"""What can be read of an envelope, and how far a journal is acknowledged (iot.md 2)."""

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry import acks, envelopes
from telemetry.envelopes import Rejected, UnreadableEnvelope


def line(kind: str = "state", **fields: Any) -> dict[str, Any]:
    known = {"state": {"cup_placed": True}, "dose": {"outcome": "dispensed", "amount": 5, "unit": "ml"}}
    return {"id": str(uuid4()), "boot": 1, "seq": 1, "k": kind, "d": known.get(kind, {}), **fields}


GOOD = [
    ("state", {"cup_placed": False, "sensor_reading": 0.85, "colour": "red"}),
    ("dose", {"outcome": "failed", "amount": 0, "unit": "ml", "slot": "morning"}),
    ("sample", {"battery_level": 80, "supplement_level": 60, "rssi": -67}),
    ("sample", {}),
    ("alarm", {"code": "E12", "severity": "critical"}),
    ("log", {"level": "info", "code": "boot", "message": "hello"}),
    ("refill", {"level": 100, "lot": "L-7"}),
    ("purge", {"amount": 2.5, "unit": "ml"}),
]
BAD = [
    (line(k="song"), "UNKNOWN_KIND"),
    (line(id="x"), "VALIDATION_ERROR"),
    (line(boot=None), "VALIDATION_ERROR"),
    (line(seq=-1), "VALIDATION_ERROR"),
    (line(seq=2**63), "VALIDATION_ERROR"),
    (line(ts="now"), "VALIDATION_ERROR"),
    (line(d={"cup_placed": "yes"}), "VALIDATION_ERROR"),
    (line(d={"cup_placed": True, "sensor_reading": 1e9}), "VALIDATION_ERROR"),
    (line("dose", d={"outcome": "splendid"}), "VALIDATION_ERROR"),
    (line("dose", d={"outcome": "dispensed", "amount": 0}), "VALIDATION_ERROR"),
    (line("dose", d={"outcome": "dispensed", "amount": -1}), "VALIDATION_ERROR"),
    (line("sample", d={"battery_level": 101}), "VALIDATION_ERROR"),
    (line("log", d={"level": "info", "message": "a\x00b"}), "VALIDATION_ERROR"),
    (line("log", d={"level": "\ud800", "message": "a"}), "VALIDATION_ERROR"),
    ("not an object", "VALIDATION_ERROR"),
    (None, "VALIDATION_ERROR"),
]


@pytest.mark.parametrize(("kind", "data"), GOOD)
def test_every_kind_is_read(kind: str, data: dict[str, Any]) -> None:
    batch = envelopes.read({"ev": [line(kind, d=data)]})
    assert [event.kind for event in batch.events] == [kind]
    assert batch.rejected == []


@pytest.mark.parametrize(("raw", "code"), BAD)
def test_a_bad_event_is_rejected_alone(raw: Any, code: str) -> None:
    batch = envelopes.read({"ev": [line(), raw, line()]})
    assert (len(batch.events), [bad.code for bad in batch.rejected]) == (2, [code])
    batch.rejected[0].message.encode()  # nothing in it that cannot be sent


def test_what_can_be_read_of_a_bad_event_still_names_it() -> None:
    raw = line(k="song", boot=4, seq=9)
    found = envelopes.read_event(raw)
    assert isinstance(found, Rejected)
    assert (str(found.id), found.boot, found.seq) == (raw["id"], 4, 9)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "ev"),
        ({"ev": {}}, "ev"),
        ({"ev": [line()] * 501}, "ev"),
        ({"ev": [], "v": 2}, "v"),
        ({"ev": [], "sent": "now"}, "sent"),
        ({"ev": [], "clk": "broken"}, "clk"),
        ({"ev": [], "first": -1}, "first"),
        ({"ev": [], "boot": True}, "boot"),
    ],
)
def test_an_envelope_that_cannot_be_read_names_the_field(body: dict[str, Any], field: str) -> None:
    with pytest.raises(UnreadableEnvelope) as caught:
        envelopes.read(body)
    assert caught.value.field == field


@given(st.lists(st.lists(st.integers(1, 40), max_size=6), max_size=12), st.integers(1, 45))
def test_an_acknowledgement_reaches_exactly_to_the_first_gap(parts: list[list[int]], first: int) -> None:
    taken: list[int] = []
    for part in parts:
        taken = acks.with_taken(taken, part)
    known = {number for part in parts for number in part}
    expected = first
    while expected in known:
        expected += 1
    assert acks.acknowledged(taken, first=first) == expected - 1
    assert acks.acknowledged(acks.since(first, taken), first=first) == expected - 1


def test_a_journal_full_of_gaps_does_not_grow_for_ever() -> None:
    taken = acks.with_taken([], range(0, 10_000, 2))
    assert len(taken) <= 2 * (acks.GAPS_REMEMBERED + 1)
    assert acks.acknowledged(taken, first=4) == 4
