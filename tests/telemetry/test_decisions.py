"""`GET /devices/:id/decisions`, `/utility/decision-reasons`: why it poured or did not."""

from datetime import UTC, datetime, timedelta

import time_machine

from telemetry.dispensing import RULES
from tests import make
from tests.clients import Api, Phone, Unit

NOON = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)


def test_why_a_device_poured_and_then_did_not(alice: Phone, kitchen: Unit, statements: make.Statements) -> None:
    with time_machine.travel(NOON, tick=False):
        dose = kitchen.cup(True).data["dispense_id"]
    with time_machine.travel(NOON + timedelta(minutes=90), tick=False):
        kitchen.cup(False)
        kitchen.cup(True)
    alice.get("/states")  # the first use of a token is noted
    with statements(3):
        answer = alice.get(f"/devices/{kitchen.id}/decisions", HTTP_ACCEPT_LANGUAGE="en").data

    refused, poured = answer["decisions"]
    assert answer["pagination"]["total"] == 2
    assert (poured["should_dispense"], poured["reason"], poured["dispense_id"]) == (True, "due", dose)
    assert poured["explanation"] == "The dose was due."
    assert (refused["should_dispense"], refused["reason"], refused["reason_class"]) == (
        False,
        "min_interval",
        "wait",
    )
    assert refused["explanation"] == (
        "The last dose was too recent. 90 minutes since the last dose, at least 240 lie between two."
    )
    assert [step["rule"] for step in refused["trace"]] == [rule for rule, _ in RULES]
    assert [step["rule"] for step in refused["trace"] if not step["passed"]] == ["min_interval"]


def test_in_turkish_by_default(alice: Phone, kitchen: Unit) -> None:
    kitchen.cup(True)
    kitchen.cup(True)
    decision = alice.get(f"/devices/{kitchen.id}/decisions").data["decisions"][0]
    assert decision["explanation"] == "Bardak son dozdan beri yerinde duruyordu."


def test_decisions_are_the_owners(alice: Phone, bob: Phone, kitchen: Unit) -> None:
    kitchen.cup(True)
    path = f"/devices/{kitchen.id}/decisions"
    assert bob.get(path).status_code == 403
    assert kitchen.get(path).error["details"] == {"reason": "wrong_credential_kind"}
    assert alice.get(path.replace(str(kitchen.id), str(alice.user.pk))).status_code == 404


def test_pages_of_decisions(alice: Phone, kitchen: Unit) -> None:
    for minutes in range(5):
        with time_machine.travel(NOON + timedelta(minutes=minutes), tick=False):
            kitchen.cup(True)
    path = f"/devices/{kitchen.id}/decisions?limit=2"
    first = alice.get(path).data
    second = alice.get(f"{path}&cursor={first['pagination']['next_cursor']}").data
    times = [each["decided_at"] for each in first["decisions"] + second["decisions"]]
    assert times == [f"2026-03-10T09:0{minutes}:00.000Z" for minutes in (4, 3, 2, 1)]


def test_every_reason_in_words_without_a_token(anyone: Api) -> None:
    response = anyone.get("/utility/decision-reasons")
    assert {each["code"] for each in response.data} >= {rule for rule, _ in RULES}
    assert {each["code"]: each["text"] for each in response.data}["cup_not_placed"] == "Bardak yoktu."
    assert all(each["text"] and each["what_to_do"] for each in response.data)
    english = anyone.get("/utility/decision-reasons", HTTP_ACCEPT_LANGUAGE="en")
    assert english.data[0]["text"] == "The dose was due."
    assert english["ETag"] != response["ETag"]
