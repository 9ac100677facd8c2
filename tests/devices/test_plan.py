"""`/devices/:id/plan`: what a person may plan, and what follows from it (api.md 3)."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from pytest_django import Settings

from devices import planning, plans
from devices.models import Device, SupplementProfile
from telemetry.models import ActivityLog
from tests import make
from tests.clients import Phone, Unit
from tests.threads import together
from zinzino.api.errors import ApiError
from zinzino.clock import iso

NOON = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)  # 12:00 in Istanbul, a Tuesday
WEEK = list(plans.DAYS)


@pytest.fixture(autouse=True)
def noon() -> Iterator[None]:
    with time_machine.travel(NOON, tick=False):
        yield


def slot(at: str, **fields: Any) -> dict[str, Any]:
    return {"local_time": at, **fields}


def put(phone: Phone, unit: Unit, **fields: Any) -> Any:
    return phone.put(f"/devices/{unit.id}/plan", fields)


def test_a_new_dispenser_has_the_plan_of_its_supplement(
    alice: Phone, kitchen: Unit, statements: make.Statements
) -> None:
    alice.get("/devices")
    with statements(3):
        plan = alice.get(f"/devices/{kitchen.id}/plan").data
    assert plan == {
        "version": 1,
        "dose": {"amount": 5, "unit": "ml"},
        "target_per_day": 1,
        "max_per_day": 2,
        "min_interval_min": 240,
        "rolling_hours": 20,
        "slots": [],
        "paused_until": None,
        "timezone": "Europe/Istanbul",
        "warnings": [],
        "updated_at": iso(Device.objects.get().created_at),
    }
    assert {**alice.get("/devices").data[0]["plan"], "warnings": []} == plan


def test_an_edit_is_partial_and_counts_the_version(
    alice: Phone, kitchen: Unit, statements: make.Statements
) -> None:
    alice.get("/devices")
    with statements(6):
        plan = put(alice, kitchen, dose={"amount": 7.5}, rolling_hours=12).data
    assert (plan["version"], plan["dose"], plan["rolling_hours"]) == (2, {"amount": 7.5, "unit": "ml"}, 12)
    assert (plan["max_per_day"], plan["updated_at"]) == (2, iso(NOON))
    assert alice.get(f"/devices/{kitchen.id}").data["plan"]["version"] == 2


def test_the_dispenser_pours_by_the_new_plan(alice: Phone, kitchen: Unit) -> None:
    put(alice, kitchen, dose={"amount": 2.5})
    answer = kitchen.cup(True).data
    assert (answer["dispense_amount"], answer["dose"]["volume_ul"], answer["plan_version"]) == ("2.5ml", 2500, 2)


def test_the_same_edit_again_changes_nothing(alice: Phone, kitchen: Unit) -> None:
    edit = {"slots": [slot("08:00"), slot("20:00", days=["sun", "mon"])], "base_version": 1}
    first, again = put(alice, kitchen, **edit), put(alice, kitchen, **edit)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.data == again.data


@pytest.mark.parametrize(
    ("slots", "derived"),
    [
        ([slot("08:00")], (1, 2, 720)),
        ([slot("08:00"), slot("20:00")], (2, 2, 360)),
        ([slot("08:00"), slot("14:00"), slot("20:00")], (3, 3, 240)),
        ([slot("08:00", days=["mon"]), slot("20:00", days=["tue"])], (1, 2, 720)),
        ([], (1, 2, 240)),
    ],
)
def test_left_out_numbers_follow_from_the_slots(
    alice: Phone, kitchen: Unit, slots: list[Any], derived: tuple[int, ...]
) -> None:
    plan = put(alice, kitchen, slots=slots).data
    assert (plan["target_per_day"], plan["max_per_day"], plan["min_interval_min"]) == derived


def test_slots_have_defaults_an_order_and_ids_that_stay(alice: Phone, kitchen: Unit) -> None:
    first = put(alice, kitchen, slots=[slot("20:00", id="evening"), slot("08:00", days=["sun", "mon"])]).data
    morning, evening = first["slots"]
    assert evening == {"id": "evening", "local_time": "20:00", "days": WEEK, "before_min": 30, "after_min": 240}
    assert (morning["local_time"], morning["days"]) == ("08:00", ["mon", "sun"])
    again = put(alice, kitchen, slots=[slot("08:00", after_min=60), slot("19:00")]).data
    assert again["slots"][0]["id"] == morning["id"]
    assert again["slots"][1]["id"] not in ("evening", morning["id"])


def test_a_chosen_interval_stays_until_it_is_given_back(alice: Phone, kitchen: Unit) -> None:
    put(alice, kitchen, min_interval_min=300)
    assert put(alice, kitchen, slots=[slot("08:00")]).data["min_interval_min"] == 300
    assert put(alice, kitchen, min_interval_min=None).data["min_interval_min"] == 720


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"dose": {"amount": 20.001}}, "dose.amount"),
        ({"dose": {"amount": 10.001}}, "dose.amount"),  # two of them
        ({"max_per_day": 5}, "max_per_day"),
        ({"dose": {"amount": 5, "unit": "IU"}}, "dose.unit"),
        ({"slots": [slot("08:00"), slot("11:59")], "min_interval_min": 240}, "slots"),
        ({"slots": [slot("08:00"), slot("08:00")]}, "slots"),
        ({"slots": [slot("23:00"), slot("02:00")], "min_interval_min": 240}, "slots"),  # over midnight
        (  # from Sunday to Monday
            {"slots": [slot("23:00", days=["sun"]), slot("02:00", days=["mon"])], "min_interval_min": 240},
            "slots",
        ),
        ({"slots": [slot("08:00")], "min_interval_min": 1441}, "slots"),  # the same slot on the next day
        ({"slots": [slot("08:00", id="a"), slot("20:00", id="a")]}, "slots"),
        ({"slots": [slot("08:00"), slot("20:00")], "max_per_day": 1}, "max_per_day"),
        ({"target_per_day": 3}, "target_per_day"),
        ({"slots": [slot(f"{hour:02}:00") for hour in (6, 10, 14, 18, 22)]}, "slots"),  # 25 ml a day
        ({"paused_until": "2030-01-01T00:00:00Z"}, "paused_until"),
    ],
)
def test_what_no_plan_may_say_is_refused_by_field(
    alice: Phone, kitchen: Unit, fields: dict[str, Any], named: str
) -> None:
    before = Device.objects.values().get()
    response = put(alice, kitchen, **fields)
    assert (response.status_code, response.error["code"]) == (422, "VALIDATION_ERROR")
    assert list(response.error["details"]) == [named]
    assert Device.objects.values().get() == before


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"dose": {"amount": 0}}, "dose.amount"),
        ({"dose": {"amount": "5"}}, "dose.amount"),
        ({"dose": {"amount": 0.0001}}, "dose.amount"),
        ({"dose": 5}, "dose"),
        ({"target_per_day": 0}, "target_per_day"),
        ({"min_interval_min": 59}, "min_interval_min"),
        ({"rolling_hours": 49}, "rolling_hours"),
        ({"slots": [slot("8:00")]}, "slots.0.local_time"),
        ({"slots": [slot("24:00")]}, "slots.0.local_time"),
        ({"slots": [slot("08:00", days=[])]}, "slots.0.days"),
        ({"slots": [slot("08:00", days=["monday"])]}, "slots.0.days.0"),
        ({"slots": [slot("08:00", after_min=0)]}, "slots.0.after_min"),
        ({"slots": [slot("08:00", id="x" * 37)]}, "slots.0.id"),
        ({"slots": [slot("08:00")] * 13}, "slots"),
        ({"slots": None}, "slots"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"paused_until": "soon"}, "paused_until"),
        ({"base_version": "1"}, "base_version"),
    ],
)
def test_a_malformed_field_is_named(alice: Phone, kitchen: Unit, fields: dict[str, Any], named: str) -> None:
    response = put(alice, kitchen, **fields)
    assert (response.status_code, list(response.error["details"])) == (422, [named])
    assert Device.objects.get().plan_version == 1


def test_at_the_ceiling_a_plan_is_fine(alice: Phone, kitchen: Unit) -> None:
    assert put(alice, kitchen, dose={"amount": 10}).status_code == 200
    vitamin = alice.dispenser(device_type="vitamin_d")
    assert put(alice, vitamin, dose={"amount": 4000}).status_code == 200
    assert put(alice, vitamin, dose={"amount": 4000.001}).status_code == 422


def test_a_pause_is_taken_whatever_else_the_plan_says(alice: Phone, kitchen: Unit, settings: Settings) -> None:
    settings.DOSE_CEILINGS = {**settings.DOSE_CEILINGS, "omega": 3}
    plan = put(alice, kitchen, paused_until=iso(NOON + timedelta(days=2))).data
    assert kitchen.cup(True).data["reason"] == "plan_paused"
    assert [each["code"] for each in plan["warnings"]] == ["paused"]
    assert put(alice, kitchen, paused_until=None).data["paused_until"] is None


@pytest.mark.parametrize("past", ["0001-01-01T00:00:00Z", iso(NOON)])
def test_a_pause_that_is_over_is_none(alice: Phone, kitchen: Unit, past: str) -> None:
    assert put(alice, kitchen, paused_until=past).data["paused_until"] is None
    assert kitchen.cup(True).data["reason"] == "due"


# ----------------------------------------------------------------------------------------- versions


def test_an_edit_of_an_older_version_is_a_conflict_that_shows_both(alice: Phone, kitchen: Unit) -> None:
    put(alice, kitchen, rolling_hours=12)
    before = Device.objects.values().get()
    response = put(alice, kitchen, rolling_hours=24, max_per_day=2, base_version=1)

    assert (response.status_code, response.error["code"]) == (409, "SYNC_CONFLICT")
    server = alice.get(f"/devices/{kitchen.id}").data["plan"]
    assert response.error["details"]["reason"] == "conflict"
    assert response.error["details"]["conflict"] == {
        "entity": "plan",
        "id": str(kitchen.id),
        "type": "field_conflict",
        "resolution": "server_wins",
        "base_version": 1,
        "server_version": 2,
        "fields": {
            "rolling_hours": {"client": 24, "server": 12, "server_changed_at": server["updated_at"]},
        },
        "applied_fields": [],
        "server_record": server,
    }
    assert Device.objects.values().get() == before
    assert put(alice, kitchen, rolling_hours=24, base_version=2).data["rolling_hours"] == 24


def test_a_conflict_names_whole_slots_and_the_zone(alice: Phone, kitchen: Unit) -> None:
    put(alice, kitchen, slots=[slot("08:00", id="a")])
    response = put(
        alice,
        kitchen,
        slots=[slot("09:00", id="a")],
        timezone="Asia/Kathmandu",
        dose={"amount": 5},
        base_version=1,
    )
    fields = response.error["details"]["conflict"]["fields"]
    assert sorted(fields) == ["slots", "timezone"]
    assert fields["timezone"]["client"] == "Asia/Kathmandu"
    assert fields["slots"]["server"][0]["local_time"] == "08:00"


@pytest.mark.django_db(transaction=True)
def test_eight_edits_of_one_version_at_once_leave_one_winner() -> None:
    alice = Phone(make.person())
    kitchen = alice.dispenser()

    def edit(hours: int) -> int:
        try:
            planning.edit_plan(kitchen.id, alice.user.pk, {"rolling_hours": hours}, now=NOON, base_version=1)
        except ApiError as error:
            return error.status_code
        return 200

    assert sorted(together(edit, range(1, 9))) == [200, *[409] * 7]
    assert Device.objects.get().plan_version == 2


# -------------------------------------------------------------------------------------------- zones


def test_a_new_zone_holds_from_the_next_local_day(alice: Phone, kitchen: Unit) -> None:
    plan = put(alice, kitchen, timezone="America/New_York").data
    assert (plan["timezone"], [each["code"] for each in plan["warnings"]]) == (
        "America/New_York",
        ["zone_changes"],
    )
    assert not set(plan) & set(plans.HIDDEN)
    assert not set(alice.get("/devices").data[0]["plan"]) & set(plans.HIDDEN)
    row = Device.objects.get()
    stored = plans.plan_of(row.plan, version=row.plan_version, timezone=row.timezone)
    assert stored.zone_change == plans.ZoneChange("Europe/Istanbul", datetime(2026, 3, 11, 4, tzinfo=UTC))
    with time_machine.travel(NOON + timedelta(hours=20), tick=False):
        assert alice.get(f"/devices/{kitchen.id}/plan").data["warnings"] == []


def test_until_then_the_log_and_the_statistics_keep_the_former_day(alice: Phone, kitchen: Unit) -> None:
    put(alice, kitchen, timezone="Pacific/Pago_Pago")  # where it is still the 9th
    kitchen.cup(True), kitchen.status(battery_level=5)
    assert {line.local_date for line in ActivityLog.objects.all()} == {date(2026, 3, 10)}
    assert alice.get(f"/devices/{kitchen.id}").data["statistics"]["weekly_total"] == 1


def test_back_home_before_the_day_is_over_nothing_has_happened(alice: Phone, kitchen: Unit) -> None:
    put(alice, kitchen, timezone="America/New_York")
    put(alice, kitchen, timezone="America/New_York")
    plan = put(alice, kitchen, timezone="Europe/Istanbul").data
    assert (plan["version"], plan["warnings"]) == (3, [])
    assert Device.objects.get().plan["zone_change"] is None


# ----------------------------------------------------------------------------------------- warnings


@pytest.mark.parametrize(
    ("fields", "codes"),
    [
        ({"dose": {"amount": 6}}, ["above_usual"]),
        ({"slots": [slot("08:00"), slot("20:00")], "target_per_day": 1}, ["target_differs"]),
        ({"slots": [slot("08:00")], "max_per_day": 1, "rolling_hours": 25}, ["rolling_blocks_slots"]),
        ({"slots": [slot("08:00")], "max_per_day": 1, "rolling_hours": 24}, []),
        ({"slots": [slot("08:00", days=["mon"])], "max_per_day": 1, "rolling_hours": 48}, []),
        ({"slots": [slot("08:00"), slot("20:00")]}, []),
    ],
)
def test_what_is_allowed_but_odd_is_said(
    alice: Phone, kitchen: Unit, fields: dict[str, Any], codes: list[str]
) -> None:
    assert [each["code"] for each in put(alice, kitchen, **fields).data["warnings"]] == codes


def test_other_dispensers_of_the_supplement_are_mentioned_in_the_readers_language(
    alice: Phone, bob: Phone, kitchen: Unit
) -> None:
    put(alice, kitchen, max_per_day=1)
    bob.dispenser(), alice.dispenser(device_type="vitamin_d")
    assert alice.get(f"/devices/{kitchen.id}/plan").data["warnings"] == []
    krill = alice.dispenser(device_type="krill_oil")
    english = alice.get(f"/devices/{kitchen.id}/plan", HTTP_ACCEPT_LANGUAGE="en").data["warnings"]
    turkish = alice.get(f"/devices/{kitchen.id}/plan").data["warnings"]
    assert [each["code"] for each in english] == ["shared_limits"]
    assert english[0]["message"].startswith("Other dispensers of this supplement")
    assert turkish[0]["message"].startswith("Bu takviyenin diğer")
    alice.put(f"/devices/{krill.id}", {"is_active": False})
    assert alice.get(f"/devices/{kitchen.id}/plan").data["warnings"] == []


# ----------------------------------------------------------------------------------------- profiles


def test_the_profiles_of_a_new_database_are_those_that_ship(profiles: None) -> None:
    assert {row.pk: row.defaults for row in SupplementProfile.objects.all()} == plans.DEFAULTS


def test_a_dispenser_takes_the_profile_of_the_moment(profiles: None, alice: Phone, kitchen: Unit) -> None:
    SupplementProfile.objects.filter(pk="fish_oil").update(amount=4, max_per_day=3, min_interval_min=480)
    plan = alice.get(f"/devices/{alice.dispenser().id}/plan").data
    assert (plan["dose"]["amount"], plan["max_per_day"], plan["min_interval_min"]) == (4, 3, 480)
    assert alice.get(f"/devices/{kitchen.id}/plan").data["dose"]["amount"] == 5


def test_a_concentration_says_how_much_to_pump(profiles: None, alice: Phone) -> None:
    SupplementProfile.objects.filter(pk="vitamin_d").update(concentration=4000)
    answer = alice.dispenser(device_type="vitamin_d").cup(True).data
    assert answer["dose"] == {"amount": 1000.0, "unit": "IU", "volume_ul": 250}


def test_without_its_profile_a_type_has_what_ships(alice: Phone) -> None:
    SupplementProfile.objects.all().delete()
    assert alice.get(f"/devices/{alice.dispenser().id}/plan").data["dose"] == {"amount": 5, "unit": "ml"}


@pytest.mark.parametrize(
    ("language", "time", "name"),
    [
        ("tr", "08:00 gibi bir saat olmalı.", "1 ile 36 arasında harf, rakam, tire veya alt çizgi olmalıdır."),
        ("en", "Must be a time such as 08:00.", "Must be 1 to 36 letters, digits, hyphens or underscores."),
    ],
)
def test_what_a_slot_may_say_is_told_in_words(
    alice: Phone, kitchen: Unit, language: str, time: str, name: str
) -> None:
    body = {"slots": [{"id": "ü", "local_time": "8:00"}]}
    refused = alice.put(f"/devices/{kitchen.id}/plan", body, HTTP_ACCEPT_LANGUAGE=language)
    assert refused.error["details"] == {"slots.0.local_time": [time], "slots.0.id": [name]}
