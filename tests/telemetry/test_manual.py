"""POST /activities, /activities/batch, PUT and DELETE /activities/:id (api.md 6)."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import time_machine
from django.db import connection

from accounts import services as accounts
from accounts.sessions import Client
from devices.models import Device, SupplementProfile
from notifications.models import AlertState, Notification
from telemetry.models import ActivityKey, ActivityLog, Dispense
from tests import make
from tests.clients import Phone, Unit
from tests.telemetry.lines import line
from tests.threads import together
from zinzino import clock
from zinzino.clock import iso
from zinzino.ids import uuid7

NOON = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)  # 12:00 in Istanbul


def at(**span: float) -> datetime:
    return NOON + timedelta(**span)


@pytest.fixture(autouse=True)
def at_noon(request: pytest.FixtureRequest) -> Iterator[Any]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def later(phone: Phone) -> Phone:
    """The same person, signed in anew."""
    client = Client(platform="ios", app_version="1.0.0")
    return Phone(
        accounts.login(email=phone.user.email or "", password=make.PASSWORD, client=client, now=clock.now())
    )


def dose(phone: Phone, **said: Any) -> Any:
    return phone.post("/activities", {"action": "dose_taken_manual", **said})


def counted() -> list[tuple[Any, ...]]:
    return list(
        Dispense.objects.order_by("authorized_at").values_list(
            "family", "amount", "unit", "status", "decided_by", "authorized_at", "counts"
        )
    )


# ---------------------------------------------------------------------------------------------- doses


def test_a_dose_by_hand_has_the_plans_amount_and_counts(
    alice: Phone, kitchen: Unit, statements: make.Statements
) -> None:
    alice.get("/profile")
    with statements(8):  # three of them tell her of her first dose
        response = dose(alice, device_id=str(kitchen.id), metadata={"note": "kahvaltı"})
    assert response.status_code == 201
    row = response.data
    [kept] = Dispense.objects.all()
    assert row == {
        "id": row["id"],
        "device_id": str(kitchen.id),
        "device_name": "Mutfak Dispenseri",
        "action": "dose_taken_manual",
        "dose_amount": "5ml",
        "triggered_by": "manual",
        "timestamp": iso(NOON),
        "local_date": "2026-03-10",
        "confirmation": "user",
        "metadata": {
            "note": "kahvaltı",
            "dispense_id": str(kept.pk),
            "dose_amount": "5ml",
            "triggered_by": "manual",
        },
    }
    assert counted() == [("omega", 5, "ml", "dispensed", "person", NOON, True)]
    assert (str(kept.activity_id), kept.device_id, kept.plan_version) == (row["id"], kitchen.id, 1)
    assert alice.get(f"/activities/{row['id']}").data == alice.get("/activities").data["activities"][0] == row
    # It is no dose of the dispenser's own.
    assert Device.objects.get().total_doses_dispensed == 0
    assert alice.get(f"/devices/{kitchen.id}").data["statistics"]["weekly_total"] == 0


def test_a_dose_of_a_supplement_without_a_device_counts_for_its_family(alice: Phone) -> None:
    row = dose(alice, supplement="vitamin_d").data
    assert (row["dose_amount"], row["device_id"], row["metadata"]["supplement"]) == ("1000IU", None, "vitamin_d")
    assert counted() == [("vitamin_d", 1000, "IU", "dispensed", "person", NOON, True)]
    assert Dispense.objects.get().device_id is None


def test_a_dose_of_a_supplement_is_measured_by_the_persons_own_plan(
    profiles: None, alice: Phone, kitchen: Unit
) -> None:
    plan = Device.objects.get().plan
    Device.objects.update(plan=plan | {"dose": {"amount": 7.5, "unit": "ml"}})
    assert dose(alice, supplement="fish_oil").data["dose_amount"] == "7.5ml"
    assert dose(alice, supplement="krill_oil").data["dose_amount"] == "3ml"
    SupplementProfile.objects.filter(pk="krill_oil").update(amount=4)
    assert dose(alice, supplement="krill_oil").data["dose_amount"] == "4ml"


def test_a_dose_of_neither_is_for_the_totals_only(alice: Phone, kitchen: Unit) -> None:
    row = dose(alice, dose_amount="1capsule").data
    assert (row["dose_amount"], row["confirmation"]) == ("1capsule", "user")
    assert dose(alice).data["dose_amount"] is None
    assert counted() == []
    assert alice.get("/activities/summary?period=day").data["total_doses"] == 2


@pytest.mark.parametrize(
    ("said", "shown", "amount"), [("5.50ml", "5.5ml", 5.5), ("10ml", "10ml", 10), ("0.125ml", "0.125ml", 0.125)]
)
def test_amounts_are_written_one_way(alice: Phone, said: str, shown: str, amount: float) -> None:
    assert dose(alice, supplement="fish_oil", dose_amount=said).data["dose_amount"] == shown
    assert float(Dispense.objects.get().amount) == amount


def test_a_dose_above_every_limit_is_taken_down(alice: Phone, kitchen: Unit) -> None:
    for _ in range(5):
        assert dose(alice, device_id=str(kitchen.id), dose_amount="19ml").status_code == 201
    assert len(counted()) == 5


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"dose_amount": "5 ml"}, "dose_amount"),
        ({"dose_amount": "0ml"}, "dose_amount"),
        ({"dose_amount": "-5ml"}, "dose_amount"),
        ({"dose_amount": "5"}, "dose_amount"),
        ({"dose_amount": "12345678ml"}, "dose_amount"),
        ({"dose_amount": "1.2345ml"}, "dose_amount"),
        ({"dose_amount": "٣ml"}, "dose_amount"),
        ({"supplement": "fish_oil", "dose_amount": "1000IU"}, "dose_amount"),
        ({"supplement": "vitamin_d", "dose_amount": "5ml"}, "dose_amount"),
        ({"supplement": "aspirin"}, "supplement"),
        ({"device_id": "x"}, "device_id"),
        ({"action": "dose_dispensed"}, "action"),
        ({"action": None}, "action"),
        ({"id": "x"}, "id"),
        ({"id": str(uuid4()), "client_id": str(uuid4())}, "client_id"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": iso(at(minutes=5, milliseconds=1))}, "timestamp"),
        ({"timestamp": iso(at(days=-30, milliseconds=-1))}, "timestamp"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"a": "x" * 2040}}, "metadata"),
        ({"metadata": {"triggered_by": "automatic"}}, "metadata.triggered_by"),
        ({"metadata": {"severity": 1}}, "metadata.severity"),
        ({"metadata": {"dispense_id": None}}, "metadata.dispense_id"),
        ({"metadata": {"confirmation": "user"}}, "metadata.confirmation"),
        ({"metadata": {"dose_amount": 5}}, "metadata.dose_amount"),
        ({"dose_amount": "5ml", "metadata": {"dose_amount": "6ml"}}, "metadata.dose_amount"),
        ({"action": "refill"}, "device_id"),
        ({"action": "note", "dose_amount": "5ml"}, "dose_amount"),
        ({"action": "note", "supplement": "fish_oil"}, "supplement"),
    ],
)
def test_a_wrong_entry_is_422_names_its_field_and_leaves_nothing(
    alice: Phone, said: dict[str, Any], field: str
) -> None:
    response = dose(alice, **said)
    assert (response.status_code, response.error["code"]) == (422, "VALIDATION_ERROR")
    assert list(response.error["details"]) == [field]
    assert not ActivityLog.objects.exists()
    assert not ActivityKey.objects.exists()
    assert counted() == []


def test_a_supplement_must_be_the_devices(alice: Phone, kitchen: Unit) -> None:
    assert dose(alice, device_id=str(kitchen.id), supplement="fish_oil").status_code == 201
    response = dose(alice, device_id=str(kitchen.id), supplement="vitamin_d")
    assert (response.status_code, list(response.error["details"])) == (422, ["supplement"])


@pytest.mark.parametrize("edge", [timedelta(minutes=5), timedelta(days=-30), timedelta()])
def test_the_edges_of_time_are_inside_and_what_is_ahead_gets_the_servers_time(
    alice: Phone, edge: timedelta
) -> None:
    row = dose(alice, timestamp=iso(NOON + edge)).data
    assert row["timestamp"] == iso(min(NOON + edge, NOON))


def test_a_metadata_amount_is_the_amount(alice: Phone) -> None:
    row = dose(alice, supplement="fish_oil", metadata={"dose_amount": "7ml", "note": "x"}).data
    assert (row["dose_amount"], row["metadata"]["dose_amount"]) == ("7ml", "7ml")
    assert dose(alice, dose_amount="7ml", metadata={"dose_amount": "7.0ml"}).status_code == 201


def test_a_line_is_dated_in_the_zone_of_its_device_or_of_the_person(alice: Phone, kitchen: Unit) -> None:
    Device.objects.update(timezone="Pacific/Auckland")
    evening = iso(at(hours=-10))  # 02:00 of the 10th in Istanbul, noon of the 10th in Auckland
    assert dose(alice, timestamp=evening).data["local_date"] == "2026-03-10"
    late = iso(at(hours=-13))  # 23:00 of the 9th in Istanbul, 09:00 of the 10th in Auckland
    assert dose(alice, timestamp=late).data["local_date"] == "2026-03-09"
    assert dose(alice, timestamp=late, device_id=str(kitchen.id)).data["local_date"] == "2026-03-10"


def test_notes_take_whatever_a_client_keeps_in_them(alice: Phone, kitchen: Unit) -> None:
    metadata = {"text": "İyi gidiyor 🫠", "mood": 5, "tags": ["a", {"b": None}], "huge": 10**40}
    body = {"action": "note", "device_id": str(kitchen.id), "metadata": metadata}
    row = alice.post("/activities", json.dumps(body)).data
    assert row["metadata"] == metadata | {"triggered_by": "manual"}
    assert (row["confirmation"], row["dose_amount"], row["triggered_by"]) == (None, None, "manual")
    assert counted() == []


# -------------------------------------------------------------------------------------------- refills


def refill(phone: Phone, device_id: Any, **said: Any) -> Any:
    return phone.post("/activities", {"action": "refill", "device_id": str(device_id), **said})


def level(unit: Unit) -> int:
    return Device.objects.get(pk=unit.id).supplement_level


def test_a_refill_fills_up_and_arms_the_alert_again(alice: Phone, kitchen: Unit, at_noon: Any) -> None:
    kitchen.status(supplement_level=8)
    at_noon.shift(60)
    row = refill(alice, kitchen.id).data
    assert (row["dose_amount"], row["confirmation"], row["triggered_by"]) == (None, None, "manual")
    assert level(kitchen) == 100
    assert AlertState.objects.get(kind="supplement").severity is None
    at_noon.shift(60)
    kitchen.status(supplement_level=8)
    assert Notification.objects.filter(type="low_supplement").count() == 2


def test_a_refill_may_name_its_level_and_an_older_one_is_only_written_down(
    alice: Phone, kitchen: Unit, at_noon: Any
) -> None:
    at_noon.shift(60)
    kitchen.status(supplement_level=40)
    assert refill(alice, kitchen.id, timestamp=iso(NOON)).status_code == 201
    assert level(kitchen) == 40
    at_noon.shift(60)
    assert refill(alice, kitchen.id, metadata={"level": 70}).status_code == 201
    assert level(kitchen) == 70
    assert refill(alice, kitchen.id, timestamp=iso(at(seconds=90)), metadata={"level": 10}).status_code == 201
    assert level(kitchen) == 70


@pytest.mark.parametrize("wrong", [-1, 101, "50", 50.5, True, None])
def test_a_level_is_a_whole_percentage(alice: Phone, kitchen: Unit, wrong: Any) -> None:
    response = refill(alice, kitchen.id, metadata={"level": wrong})
    assert (response.status_code, list(response.error["details"])) == (422, ["metadata.level"])
    assert level(kitchen) == 100


def test_a_refill_that_is_corrected_corrects_the_level(alice: Phone, kitchen: Unit, at_noon: Any) -> None:
    row = refill(alice, kitchen.id).data
    at_noon.shift(60)
    alice.put(f"/activities/{row['id']}", {"metadata": {"level": 30}})
    assert level(kitchen) == 30
    kitchen.status(supplement_level=29)
    alice.put(f"/activities/{row['id']}", {"metadata": {"level": 90}})
    assert level(kitchen) == 29


def test_an_empty_dispenser_pours_again_after_a_refill(alice: Phone, kitchen: Unit, at_noon: Any) -> None:
    kitchen.status(supplement_level=0)
    assert kitchen.cup(True).data["reason"] == "supplement_empty"
    at_noon.shift(60)
    refill(alice, kitchen.id)
    kitchen.cup(False)
    assert kitchen.cup(True).data["reason"] == "due"


# -------------------------------------------------------------------------------------- sent once, kept once


def test_the_same_entry_again_is_a_200_and_changes_nothing(alice: Phone, kitchen: Unit, at_noon: Any) -> None:
    said: dict[str, Any] = {"id": str(uuid4()), "device_id": str(kitchen.id), "metadata": {"note": "x"}}
    first = dose(alice, **said)
    at_noon.shift(3600)
    again = dose(alice, **said | {"supplement": None})
    by_other_name = dose(alice, client_id=said["id"].upper(), **{k: v for k, v in said.items() if k != "id"})
    assert (first.status_code, again.status_code, by_other_name.status_code) == (201, 200, 200)
    assert first.data["id"] == said["id"]
    assert first.data == again.data == by_other_name.data
    assert (ActivityLog.objects.count(), len(counted())) == (1, 1)


def test_a_retry_is_known_even_when_it_would_be_refused_by_now(alice: Phone, kitchen: Unit, at_noon: Any) -> None:
    said = {"id": str(uuid4()), "device_id": str(kitchen.id), "timestamp": iso(at(days=-29))}
    first = dose(alice, **said)
    alice.delete(f"/devices/{kitchen.id}")
    at_noon.shift(timedelta(days=2))
    again = dose(Phone(make.person()), **said)
    assert again.status_code in (404, 422)
    alice = later(alice)
    again = dose(alice, **said)
    assert (again.status_code, again.data["id"]) == (200, first.data["id"])


def test_another_entry_under_the_same_id_is_409(alice: Phone, bob: Phone, kitchen: Unit) -> None:
    taken = str(uuid4())
    dose(alice, id=taken, supplement="fish_oil")
    mine = dose(alice, id=taken, supplement="fish_oil", dose_amount="6ml")
    assert (mine.status_code, mine.error["details"]) == (409, {"reason": "duplicate", "owner": "yours"})
    theirs = dose(bob, id=taken, supplement="fish_oil")
    assert (theirs.status_code, theirs.error["details"]) == (409, {"reason": "duplicate", "owner": "other"})
    assert len(counted()) == 1


def test_the_id_of_a_line_that_a_dispenser_left_is_not_taken_again(alice: Phone, kitchen: Unit) -> None:
    kitchen.cup(True)
    [known] = ActivityLog.objects.all()
    response = dose(alice, id=str(known.id), timestamp=iso(known.timestamp))
    assert (response.status_code, response.error["details"]) == (409, {"reason": "duplicate"})
    assert ActivityLog.objects.count() == 1


def test_what_was_deleted_does_not_come_back_with_a_late_retry(alice: Phone) -> None:
    said = {"id": str(uuid4()), "supplement": "fish_oil"}
    dose(alice, **said)
    alice.delete(f"/activities/{said['id']}")
    assert dose(alice, **said).error["message"] == "Bu kayıt silinmiş."
    batch = {"activities": [{"action": "dose_taken_manual", **said}]}
    [result] = alice.post("/activities/batch", batch).data["results"]
    assert (result["status"], result["error"]["code"]) == ("rejected", "NOT_FOUND")
    assert counted() == []


def test_an_idempotency_key_does_the_same_without_an_id(alice: Phone) -> None:
    key = str(uuid4())
    body = {"action": "dose_taken_manual", "supplement": "fish_oil"}
    first, again = (alice.post("/activities", body, HTTP_IDEMPOTENCY_KEY=key) for _ in range(2))
    assert (first.status_code, again.status_code, first.data) == (201, 201, again.data)
    assert len(counted()) == 1


@pytest.mark.django_db(transaction=True)
def test_sixteen_retries_at_once_are_one_dose() -> None:
    alice = Phone(make.person())
    said = {"id": str(uuid4()), "supplement": "fish_oil"}
    phones = [later(alice) for _ in range(16)]
    answers = together(lambda phone: dose(phone, **said), phones)
    assert sorted(answer.status_code for answer in answers) == [200] * 15 + [201]
    assert (ActivityLog.objects.count(), len(counted())) == (1, 1)


WRITES: dict[str, Any] = {
    "a new dose": lambda alice, entry: dose(alice, supplement="krill_oil"),
    "a correction": lambda alice, entry: alice.put(f"/activities/{entry}", {"dose_amount": "4ml"}),
    "a deletion": lambda alice, entry: alice.delete(f"/activities/{entry}"),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("write", WRITES)
def test_a_dose_by_hand_waits_for_a_decision_of_its_family(write: str) -> None:
    alice = Phone(make.person())
    kitchen = alice.dispenser()
    entry = dose(alice, supplement="fish_oil").data["id"]

    def act(_: None) -> int:
        return int(WRITES[write](alice, entry).status_code)

    with psycopg.connect(**connection.get_connection_params()) as decision, ThreadPoolExecutor(1) as pool:
        decision.execute("SELECT id FROM devices WHERE id = %s FOR UPDATE", (kitchen.id,))
        answer = pool.submit(together, act, [None])
        with pytest.raises(TimeoutError):
            answer.result(timeout=0.5)
        assert len(counted()) == 1
        decision.commit()
        assert answer.result(timeout=20)[0] in (200, 201)


# --------------------------------------------------------------------------------------------- batches


def test_a_batch_takes_each_entry_for_itself(
    alice: Phone, bob: Phone, kitchen: Unit, statements: make.Statements
) -> None:
    known, twice, refused = str(uuid4()), str(uuid4()), str(uuid4())
    dose(alice, id=known, supplement="fish_oil")
    entry = {"action": "dose_taken_manual", "supplement": "fish_oil"}
    items = [
        entry,
        entry | {"id": known},
        entry | {"id": twice, "dose_amount": "4ml"},
        entry | {"id": twice, "dose_amount": "4ml"},
        entry | {"id": twice, "dose_amount": "9ml"},
        entry | {"id": refused, "dose_amount": "9IU"},
        {"action": "note", "device_id": str(bob.dispenser().id)},
        {"action": "note", "device_id": str(uuid4())},
        {"action": "refill", "device_id": str(kitchen.id), "metadata": {"level": 60}},
        "nonsense",
        None,
    ]
    response = alice.post("/activities/batch", {"activities": items})
    assert response.status_code == 200
    results = response.data["results"]
    assert [each["index"] for each in results] == list(range(len(items)))
    assert [(each["status"], (each["error"] or {}).get("code")) for each in results] == [
        ("created", None),
        ("duplicate", None),
        ("created", None),
        ("duplicate", None),
        ("rejected", "DUPLICATE_ENTRY"),
        ("rejected", "VALIDATION_ERROR"),
        ("rejected", "FORBIDDEN"),
        ("rejected", "NOT_FOUND"),
        ("created", None),
        ("rejected", "VALIDATION_ERROR"),
        ("rejected", "VALIDATION_ERROR"),
    ]
    assert [each["id"] for each in results[1:6]] == [known, twice, twice, twice, refused]
    assert list(results[5]["error"]["details"]) == ["dose_amount"]
    assert ActivityLog.objects.count() == 4
    assert sorted(amount for _, amount, *_ in counted()) == [4, 5, 5]
    assert level(kitchen) == 60

    alice.get("/profile")
    with statements(7):  # three of them tell her of a hundred doses
        many = alice.post("/activities/batch", {"activities": [entry | {"dose_amount": "1ml"}] * 100})
    assert [each["status"] for each in many.data["results"]] == ["created"] * 100
    with statements(5):  # and what is usual, for a supplement that no dispenser of hers holds
        many = alice.post("/activities/batch", {"activities": [entry | {"supplement": "vitamin_d"}] * 100})
    assert [each["status"] for each in many.data["results"]] == ["created"] * 100


def test_a_batch_again_writes_nothing(alice: Phone) -> None:
    items = [{"id": str(uuid4()), "action": "note", "metadata": {"n": n}} for n in range(5)]
    first = alice.post("/activities/batch", {"activities": items}).data["results"]
    again = alice.post("/activities/batch", {"activities": items}).data["results"]
    assert [each["status"] for each in first + again] == ["created"] * 5 + ["duplicate"] * 5
    assert [each["id"] for each in first] == [each["id"] for each in again] == [each["id"] for each in items]


@pytest.mark.parametrize("body", [{}, {"activities": []}, {"activities": [{}] * 101}, {"activities": "x"}])
def test_a_batch_holds_one_to_a_hundred(alice: Phone, body: dict[str, Any]) -> None:
    response = alice.post("/activities/batch", body)
    assert (response.status_code, list(response.error["details"])) == (422, ["activities"])


# ------------------------------------------------------------------------------------ changing, deleting


def test_an_edit_changes_the_dose_along(alice: Phone, kitchen: Unit) -> None:
    row = dose(alice, device_id=str(kitchen.id), metadata={"note": "x"}).data
    [before] = Dispense.objects.all()
    changes = {"dose_amount": "4ml", "timestamp": iso(at(days=-1)), "metadata": {"note": "y"}}
    after = alice.put(f"/activities/{row['id']}", changes).data
    assert after == {
        **row,
        "dose_amount": "4ml",
        "timestamp": iso(at(days=-1)),
        "local_date": "2026-03-09",
        "metadata": {
            "note": "y",
            "dispense_id": str(before.pk),
            "dose_amount": "4ml",
            "triggered_by": "manual",
        },
    }
    assert counted() == [("omega", 4, "ml", "dispensed", "person", at(days=-1), True)]
    assert alice.get(f"/activities/{row['id']}").data == after
    assert alice.put(f"/activities/{row['id']}", changes).data == after


def test_an_edit_moves_a_line_to_another_month_and_its_id_still_finds_it(alice: Phone) -> None:
    row = alice.post("/activities", {"action": "note"}).data
    moved = alice.put(f"/activities/{row['id']}", {"timestamp": iso(at(days=-20))}).data
    assert (moved["id"], moved["timestamp"]) == (row["id"], iso(at(days=-20)))
    assert alice.get(f"/activities/{row['id']}").data == moved
    assert alice.get("/activities").data["pagination"]["total"] == 1


def test_an_edit_may_say_what_a_dose_was_of(alice: Phone, kitchen: Unit) -> None:
    row = dose(alice, dose_amount="1000IU").data
    assert counted() == []
    path = f"/activities/{row['id']}"
    assert alice.put(path, {"supplement": "fish_oil"}).status_code == 422
    assert alice.put(path, {"supplement": "vitamin_d"}).data["metadata"]["supplement"] == "vitamin_d"
    assert [family for family, *_ in counted()] == ["vitamin_d"]
    by_device = alice.put(path, {"device_id": str(kitchen.id), "dose_amount": None}).data
    assert (by_device["dose_amount"], "supplement" in by_device["metadata"]) == ("5ml", False)
    assert [(family, unit) for family, _, unit, *_ in counted()] == [("omega", "ml")]
    alone = alice.put(path, {"device_id": None}).data
    assert (alone["dose_amount"], "dispense_id" in alone["metadata"]) == ("5ml", False)
    assert counted() == []


def test_a_local_date_is_never_recut_unless_the_time_moves(alice: Phone) -> None:
    row = dose(alice, timestamp=iso(datetime(2026, 3, 9, 21, 30, tzinfo=UTC))).data
    alice.put("/profile", {"timezone": "America/New_York"})
    path = f"/activities/{row['id']}"
    assert alice.put(path, {"metadata": {"note": "x"}}).data["local_date"] == row["local_date"] == "2026-03-10"
    moved = alice.put(path, {"timestamp": iso(datetime(2026, 3, 9, 21, 31, tzinfo=UTC))}).data
    assert moved["local_date"] == "2026-03-09"


def test_an_old_entry_can_be_changed_as_long_as_its_time_stays(alice: Phone, at_noon: Any) -> None:
    row = dose(alice, supplement="fish_oil").data
    at_noon.shift(timedelta(days=60))
    alice = later(alice)
    path = f"/activities/{row['id']}"
    same_time = {"timestamp": row["timestamp"], "metadata": {"note": "late"}}
    assert alice.put(path, same_time).status_code == 200
    assert alice.put(path, {"timestamp": iso(at(minutes=1))}).status_code == 422


def test_an_entry_of_a_removed_device_can_be_changed_and_goes_on_counting(alice: Phone, kitchen: Unit) -> None:
    row = dose(alice, device_id=str(kitchen.id)).data
    alice.delete(f"/devices/{kitchen.id}")
    path = f"/activities/{row['id']}"
    after = alice.put(path, {"dose_amount": "4ml", "metadata": {"note": "x"}})
    assert (after.status_code, after.data["dose_amount"], after.data["device_id"]) == (200, "4ml", str(kitchen.id))
    assert alice.put(path, {"dose_amount": "4IU"}).status_code == 422
    assert [(family, amount) for family, amount, *_ in counted()] == [("omega", 4)]


def test_a_deleted_entry_is_gone_and_counts_no_more(alice: Phone, statements: make.Statements) -> None:
    row = dose(alice, supplement="fish_oil").data
    assert alice.delete(f"/activities/{row['id']}").json() == {"success": True, "message": "Kayıt silindi"}
    assert counted() == []
    assert not ActivityLog.objects.exists()
    assert alice.delete(f"/activities/{row['id']}").status_code == 404
    assert alice.get(f"/activities/{row['id']}").status_code == 404


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"dose_amount": "4IU"}, "dose_amount"),
        ({"timestamp": None}, "timestamp"),
        ({"metadata": None}, "metadata"),
        ({"timestamp": iso(at(days=-31))}, "timestamp"),
        ({"metadata": {"severity": 1}}, "metadata.severity"),
    ],
)
def test_a_wrong_edit_is_422_and_changes_nothing(alice: Phone, said: dict[str, Any], field: str) -> None:
    row = dose(alice, supplement="fish_oil").data
    response = alice.put(f"/activities/{row['id']}", said)
    assert (response.status_code, list(response.error["details"])) == (422, [field])
    assert alice.get(f"/activities/{row['id']}").data == row
    assert len(counted()) == 1


def test_an_edit_ignores_what_cannot_be_changed(alice: Phone) -> None:
    row = dose(alice, supplement="fish_oil").data
    body = {"id": str(uuid4()), "action": "note", "user_id": str(uuid4()), "local_date": "2020-01-01"}
    assert alice.put(f"/activities/{row['id']}", body).data == row


# --------------------------------------------------------------------------------------------- whose it is


def test_only_ones_own_handwriting_can_be_changed(alice: Phone, bob: Phone, kitchen: Unit) -> None:
    mine = dose(alice, supplement="fish_oil").data["id"]
    of_device = line(alice, NOON, device_id=kitchen.id)
    of_device_refill = line(alice, at(hours=-1), device_id=kitchen.id, action="refill", triggered_by="manual")
    before = (list(ActivityLog.objects.order_by("id").values()), counted())

    def refused(who: Any, method: str, path: str) -> tuple[int, str | None]:
        response = who.send(method, path, {"metadata": {"note": "x"}})
        return response.status_code, response.error["details"].get("reason")

    for method in ("PUT", "DELETE"):
        assert refused(bob, method, f"/activities/{mine}") == (403, "not_owner")
        assert refused(bob, method, f"/activities/{of_device}") == (403, "not_owner")
        assert refused(alice, method, f"/activities/{of_device}") == (403, "not_editable")
        assert refused(alice, method, f"/activities/{of_device_refill}") == (403, "not_editable")
        assert refused(alice, method, f"/activities/{uuid4()}") == (404, None)
        assert refused(alice, method, f"/activities/{uuid7(NOON)}") == (404, None)
        assert refused(kitchen, method, f"/activities/{mine}") == (403, "wrong_credential_kind")
    for path in ("/activities", "/activities/batch"):
        assert refused(kitchen, "POST", path) == (403, "wrong_credential_kind")
    assert (list(ActivityLog.objects.order_by("id").values()), counted()) == before


def test_an_entry_names_only_ones_own_devices(alice: Phone, bob: Phone) -> None:
    foreign, mine = bob.dispenser(), dose(alice, supplement="fish_oil").data
    before = (ActivityLog.objects.count(), counted(), level(foreign))
    for action in ("dose_taken_manual", "note", "refill"):
        for device_id, status in ((foreign.id, 403), (uuid4(), 404)):
            body = {"action": action, "device_id": str(device_id)}
            assert alice.post("/activities", body).status_code == status
            assert alice.put(f"/activities/{mine['id']}", {"device_id": str(device_id)}).status_code == status
    assert (ActivityLog.objects.count(), counted(), level(foreign)) == before
    assert alice.get(f"/activities/{mine['id']}").data == mine
