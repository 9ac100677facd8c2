import uuid
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from devices.models import Device, DeviceCredential, DoseDay
from tests import make
from tests.clients import Api, Phone, Unit
from tests.threads import together
from zinzino import clock
from zinzino.api.bearer import token_hash

SALON = {
    "device_name": "Salon Dispenseri",
    "device_type": "krill_oil",
    "mac_address": "FF:EE:DD:CC:BB:AA",
    "location": "Salon",
    "serial_number": "ZNZ-2024-002",
}


def test_adding_a_device_answers_the_documented_shape(alice: Phone) -> None:
    response = alice.post("/devices", SALON)

    assert response.status_code == 201
    assert (
        response.data.items()
        >= {
            **SALON,
            "user_id": str(alice.user.pk),
            "battery_level": 100,
            "supplement_level": 100,
            "is_connected": False,
            "is_active": True,
            "setup_state": "created",
            "total_doses_dispensed": 0,
            "last_sync": None,
            "firmware_version": None,
        }.items()
    )
    assert response.data["plan"]["dose"] == {"amount": 3, "unit": "ml"}
    assert response.data["plan"]["timezone"] == "Europe/Istanbul"


def test_the_device_token_is_kept_as_a_hash_and_works(alice: Phone) -> None:
    made = alice.post("/devices", SALON).data
    credential = DeviceCredential.objects.get()
    assert credential.token_hash == token_hash(made["device_token"])
    assert Unit(made["id"], made["device_token"]).cup(True).status_code == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("device_type", "whisky"),
        ("mac_address", "FF:EE:DD:CC:BB"),
        ("mac_address", "00:00:00:00:00:00"),
        ("mac_address", "ff:ff:ff:ff:ff:ff"),
        ("mac_address", "FF:EE-DD:CC:BB:ZZ"),
        ("serial_number", "AB"),
        ("serial_number", "ZNZ 2024"),
        ("serial_number", "ĞĞĞĞ"),
        ("device_name", ""),
        ("device_name", "\u0007"),
    ],
)
def test_a_wrong_field_is_named_with_422(alice: Phone, field: str, value: str) -> None:
    response = alice.post("/devices", {**SALON, field: value})
    assert (response.status_code, list(response.error["details"])) == (422, [field])
    assert not Device.objects.exists()


def test_mac_and_serial_are_normalised(alice: Phone) -> None:
    made = alice.post(
        "/devices", {**SALON, "mac_address": "ff-ee-dd-cc-bb-aa", "serial_number": "znz-2024-002"}
    ).data
    assert (made["mac_address"], made["serial_number"]) == ("FF:EE:DD:CC:BB:AA", "ZNZ-2024-002")


@pytest.mark.parametrize("same", [{"mac_address": "00:11:22:33:44:55"}, {"serial_number": "ZNZ-2024-003"}])
def test_a_registered_device_says_whose_it_is(alice: Phone, bob: Phone, same: dict[str, str]) -> None:
    alice.post("/devices", SALON)
    mine = alice.post("/devices", {**SALON, **same})
    others = bob.post("/devices", {**SALON, **same})

    assert (mine.status_code, mine.error["code"]) == (409, "DUPLICATE_ENTRY")
    assert mine.error["details"] == {"reason": "duplicate", "owner": "yours"}
    assert others.error["details"] == {"reason": "duplicate", "owner": "other"}
    assert Device.objects.count() == 1


def test_a_lost_answer_gives_the_same_device_with_a_fresh_token(alice: Phone) -> None:
    key = {"HTTP_IDEMPOTENCY_KEY": str(uuid.uuid4())}
    first = alice.post("/devices", SALON, **key).data
    again = alice.post("/devices", SALON, **key).data
    assert again["id"] == first["id"]
    assert again["device_token"] != first["device_token"]
    assert Unit(again["id"], again["device_token"]).cup(False).status_code == 200


def test_the_list_is_one_statement_whatever_it_holds(alice: Phone, statements: make.Statements) -> None:
    for name in ("b", "A", "c"):
        alice.dispenser(device_name=name)
    alice.get("/devices")
    with statements(2):
        rows = alice.get("/devices?sort=name&order=desc").data
    assert [row["device_name"] for row in rows] == ["c", "b", "A"]


def test_the_list_leaves_out_inactive_devices_and_other_people(alice: Phone, bob: Phone) -> None:
    off, on = alice.dispenser(), alice.dispenser()
    bob.dispenser()
    alice.put(f"/devices/{off.id}", {"is_active": False})
    assert [row["id"] for row in alice.get("/devices").data] == [str(on.id)]
    assert len(alice.get("/devices?include_inactive=true").data) == 2


def test_names_are_sorted_by_the_turkish_alphabet(alice: Phone) -> None:
    names = [
        "2. kat",
        "Âli",
        "Çalışma",
        "cam",
        "Işık",
        "ızgara",
        "İzmir",
        "kiler",
        "Öğün",
        "oda",
        "şömine",
        "Su",
        "üst",
    ]
    for name in reversed(names):
        alice.dispenser(device_name=name)
    wanted = [
        "2. kat",
        "Âli",
        "cam",
        "Çalışma",
        "Işık",
        "ızgara",
        "İzmir",
        "kiler",
        "oda",
        "Öğün",
        "Su",
        "şömine",
        "üst",
    ]
    assert [row["device_name"] for row in alice.get("/devices?sort=name").data] == wanted
    assert [row["device_name"] for row in alice.get("/devices?sort=name&order=desc").data] == wanted[::-1]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_equal_values_keep_one_order(alice: Phone, order: str) -> None:
    units = sorted(str(alice.dispenser(device_name="Mutfak").id) for _ in range(4))
    for sort in ("name", "battery_level"):
        assert [row["id"] for row in alice.get(f"/devices?sort={sort}&order={order}").data] == units


@pytest.mark.parametrize("query", ["sort=price", "order=up", "include_inactive=maybe"])
def test_an_unknown_sort_is_422(alice: Phone, query: str) -> None:
    assert alice.get(f"/devices?{query}").status_code == 422


def test_an_update_is_partial_and_merges_settings(alice: Phone, kitchen: Unit) -> None:
    answer = alice.put(f"/devices/{kitchen.id}", {"device_name": "Mutfak - Balık Yağı", "settings": {"volume": 9}})
    assert answer.data["device_name"] == "Mutfak - Balık Yağı"
    assert answer.data["location"] == "Mutfak"
    assert answer.data["settings"] == {"led": "auto", "volume": 9, "child_lock": False}


def test_hardware_facts_cannot_be_written(alice: Phone, kitchen: Unit) -> None:
    before = Device.objects.values().get()
    alice.put(
        f"/devices/{kitchen.id}",
        {"mac_address": "00:11:22:33:44:55", "total_doses_dispensed": 9, "user_id": str(uuid.uuid4())},
    )
    assert Device.objects.values().get() == before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/devices/{id}"),
        ("PUT", "/devices/{id}"),
        ("DELETE", "/devices/{id}"),
        ("POST", "/devices/{id}/token"),
        ("GET", "/devices/{id}/history"),
    ],
)
def test_a_foreign_device_is_403_an_unknown_404_and_nothing_changes(
    bob: Phone, kitchen: Unit, method: str, path: str
) -> None:
    before = list(Device.objects.values()), list(DeviceCredential.objects.values())
    foreign = bob.send(method, path.format(id=kitchen.id), {"device_name": "mine"})
    unknown = bob.send(method, path.format(id=uuid.uuid4()), {"device_name": "mine"})

    assert (foreign.status_code, foreign.error["code"]) == (403, "FORBIDDEN")
    assert foreign.error["details"] == {"reason": "not_owner"}
    assert (unknown.status_code, unknown.error["code"]) == (404, "NOT_FOUND")
    assert (list(Device.objects.values()), list(DeviceCredential.objects.values())) == before


def test_a_malformed_id_is_404_and_capitals_are_fine(alice: Phone, kitchen: Unit) -> None:
    assert alice.get("/devices/xyz").status_code == 404
    assert alice.get(f"/devices/{str(kitchen.id).upper()}").data["id"] == str(kitchen.id)


def test_a_removed_device_frees_its_hardware_and_its_token(alice: Phone, bob: Phone) -> None:
    made = alice.post("/devices", SALON).data
    answer = alice.delete(f"/devices/{made['id']}")

    assert answer.json() == {"success": True, "message": "Cihaz başarıyla silindi"}
    assert Unit(made["id"], made["device_token"]).cup(True).status_code == 401
    assert alice.get(f"/devices/{made['id']}").status_code == 404
    assert bob.post("/devices", SALON).status_code == 201


def test_a_new_token_replaces_the_old_at_its_first_use(alice: Phone, kitchen: Unit) -> None:
    kitchen.cup(False)
    new = Unit(kitchen.id, alice.post(f"/devices/{kitchen.id}/token").data["device_token"])

    assert kitchen.cup(True).status_code == 200
    assert new.cup(False).status_code == 200
    assert kitchen.cup(True).error["details"] == {"reason": "token_invalid"}


def test_the_first_token_stays_good_until_the_second_is_used_even_if_it_never_was(
    alice: Phone, kitchen: Unit
) -> None:
    new = Unit(kitchen.id, alice.post(f"/devices/{kitchen.id}/token").data["device_token"])
    assert kitchen.cup(True).status_code == 200
    assert new.cup(False).status_code == 200
    assert kitchen.cup(True).status_code == 401


def test_the_last_three_unused_tokens_live_and_revocation_is_at_once(alice: Phone, kitchen: Unit) -> None:
    def issued(**body: bool) -> Unit:
        return Unit(kitchen.id, alice.post(f"/devices/{kitchen.id}/token", body).data["device_token"])

    kitchen.cup(False)
    first, second, third, fourth = (issued() for _ in range(4))
    assert first.cup(True).status_code == 401
    assert kitchen.cup(True).status_code == 200
    assert [unit.cup(False).status_code for unit in (second, third, kitchen)] == [200, 200, 401]
    assert issued(revoke_old=True).cup(False).status_code == 200
    assert fourth.cup(False).status_code == 401


def test_credentials_of_the_wrong_kind_are_403(alice: Phone, kitchen: Unit) -> None:
    person = Unit(kitchen.id, alice.token).cup(True)
    device = Api(kitchen.token).get("/devices")
    for answer in (person, device):
        assert (answer.status_code, answer.error["details"]) == (403, {"reason": "wrong_credential_kind"})


def test_a_dispenser_speaks_for_itself_alone(alice: Phone, kitchen: Unit) -> None:
    other = alice.dispenser(device_type="vitamin_d")
    for answer in (Unit(other.id, kitchen.token).cup(True), Unit(other.id, kitchen.token).status(battery_level=1)):
        assert (answer.status_code, answer.error["details"]) == (403, {"reason": "not_owner"})
    assert Device.objects.get(pk=other.id).battery_level == 100


def test_details_carry_state_and_statistics(alice: Phone, kitchen: Unit, statements: make.Statements) -> None:
    kitchen.cup(True)
    alice.get("/profile")
    with statements(2):
        details = alice.get(f"/devices/{kitchen.id}").data
    assert details["current_state"]["cup_placed"] is True
    assert details["statistics"] == {"daily_average": 1.0, "weekly_total": 1, "monthly_total": 1}
    assert details["total_doses_dispensed"] == 1
    assert details["last_decision"]["reason"] == "due"
    assert details["next_dose_at"] > details["last_decision"]["at"]


def test_statistics_count_the_local_days_that_were(alice: Phone) -> None:
    registered = clock.now() - timedelta(days=100)
    unit = alice.dispenser(now=registered)
    today = clock.now().astimezone(ZoneInfo("Europe/Istanbul")).date()
    for days, doses in ((0, 1), (6, 2), (7, 4), (29, 8), (30, 16)):
        day = today - timedelta(days=days)
        DoseDay.objects.create(user=alice.user, device_id=unit.id, local_date=day, doses=doses)
    statistics = alice.get(f"/devices/{unit.id}").data["statistics"]
    assert statistics == {"daily_average": 0.5, "weekly_total": 3, "monthly_total": 15}


def test_the_average_of_a_young_device_is_over_its_own_days(alice: Phone) -> None:
    unit = alice.dispenser(now=clock.now() - timedelta(days=3))
    today = clock.now().astimezone(ZoneInfo("Europe/Istanbul")).date()
    DoseDay.objects.create(user=alice.user, device_id=unit.id, local_date=today, doses=5)
    assert alice.get(f"/devices/{unit.id}").data["statistics"]["daily_average"] == 1.3


@pytest.mark.django_db(transaction=True)
def test_of_two_who_add_one_unit_at_once_one_has_it() -> None:
    people = [Phone(make.person()) for _ in range(6)]
    answers = together(lambda phone: phone.post("/devices", SALON), people)
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]
    refused = [answer.error["details"] for answer in answers if answer.status_code == 409]
    assert refused == [{"reason": "duplicate", "owner": "other"}] * 5
    assert Device.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_new_tokens_used_at_once_leave_one_that_lives() -> None:
    alice = Phone(make.person())
    kitchen = alice.dispenser()
    tokens = [alice.post(f"/devices/{kitchen.id}/token").data["device_token"] for _ in range(2)]
    together(lambda token: Unit(kitchen.id, token).status(battery_level=50), [*tokens, kitchen.token, *tokens])
    statuses = [Unit(kitchen.id, token).status(battery_level=50).status_code for token in (kitchen.token, *tokens)]
    assert statuses == [401, 401, 200]
