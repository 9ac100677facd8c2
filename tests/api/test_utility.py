"""Section 10: what an app asks at its start, and what becomes of one that is too old."""

from typing import Any

import pytest

from devices.models import SupplementProfile
from tests.clients import Api, Phone, Unit

OLD = {"HTTP_X_PLATFORM": "ios", "HTTP_X_APP_VERSION": "1.3.9"}
NEW = {"HTTP_X_PLATFORM": "iOS", "HTTP_X_APP_VERSION": "1.10.0"}
STORE = "https://apps.example.com/zinzino"


@pytest.fixture
def least(settings: Any) -> None:
    ios = {"min_version": "1.4.0", "latest_version": "1.10.0", "store_url": STORE}
    settings.APPS_IN_STORES = {**settings.APPS_IN_STORES, "ios": ios}


def test_an_old_app_is_sent_to_its_store(alice: Phone, least: None) -> None:
    answer = alice.get("/devices", **OLD)
    assert (answer.status_code, answer.error["code"]) == (426, "UPGRADE_REQUIRED")
    assert answer.error["details"] == {"min_version": "1.4.0", "store_url": STORE}
    for said in (NEW, {}, {**OLD, "HTTP_X_APP_VERSION": "a build"}, {**OLD, "HTTP_X_PLATFORM": "android"}):
        assert alice.get("/devices", **said).status_code == 200


def test_an_old_app_can_sync_and_leave(alice: Phone, least: None) -> None:
    assert alice.post("/sync/full", {}, **OLD).status_code == 200
    assert alice.post("/profile/export", {}, **OLD).status_code == 202
    refreshed = alice.post("/auth/refresh", {"refresh_token": alice.refresh_token}, **OLD)
    assert refreshed.status_code == 200
    alice.token = refreshed.data["token"]
    assert alice.delete("/profile", {}, **OLD).status_code == 400
    assert alice.post("/auth/logout", {}, **OLD).status_code == 200


def test_a_dispenser_is_never_sent_to_a_store(kitchen: Unit, least: None) -> None:
    assert kitchen.patch(f"/devices/{kitchen.id}/status", {"battery_level": 70}, **OLD).status_code == 200


def test_the_apps_own_config(anyone: Api, db: None, least: None, settings: Any) -> None:
    settings.APP_NOTICE = {"tr": "Bakım var.", "en": "Maintenance."}
    data = anyone.get("/utility/app-config?platform=ios", **OLD).data
    assert (data["min_supported_version"], data["latest_version"], data["update_required"]) == (
        "1.4.0",
        "1.10.0",
        True,
    )
    assert (data["notice"], data["maintenance"], data["token_refresh_before_s"]) == ("Bakım var.", False, 300)
    assert data["features"] == {"claim_mode": "open"}
    assert not anyone.get("/utility/app-config?platform=ios&version=1.4").data["update_required"]
    android = anyone.get("/utility/app-config?platform=android", HTTP_ACCEPT_LANGUAGE="en").data
    assert (android["min_supported_version"], android["notice"]) == (None, "Maintenance.")
    assert anyone.get("/utility/app-config?platform=palm").status_code == 422


def test_device_types_take_what_staff_say(anyone: Api, profiles: None) -> None:
    SupplementProfile.objects.filter(pk="krill_oil").update(amount=2)
    first = anyone.get("/utility/device-types")
    assert first.data == [
        {"code": "fish_oil", "name": "Balık Yağı", "default_dose": "5ml"},
        {"code": "vitamin_d", "name": "D Vitamini", "default_dose": "1000IU"},
        {"code": "krill_oil", "name": "Kril Yağı", "default_dose": "2ml"},
        {"code": "vegan", "name": "Vegan Omega", "default_dose": "5ml"},
    ]
    english = anyone.get("/utility/device-types", HTTP_ACCEPT_LANGUAGE="en").data
    assert english[0]["name"] == "Fish oil"


def test_languages_and_zones(anyone: Api, db: None) -> None:
    assert anyone.get("/utility/languages").data == [
        {"code": "tr", "name": "Türkçe", "native_name": "Türkçe"},
        {"code": "en", "name": "İngilizce", "native_name": "English"},
    ]
    zones = {each["name"]: each["utc_offset_minutes"] for each in anyone.get("/utility/timezones").data}
    assert (zones["Europe/Istanbul"], zones["Asia/Kathmandu"], zones["Etc/GMT+5"]) == (180, 345, -300)


@pytest.mark.parametrize("path", ["languages", "timezones", "device-types", "app-config?platform=ios"])
def test_what_is_known_already_is_not_sent_again(anyone: Api, db: None, path: str) -> None:
    first = anyone.get(f"/utility/{path}")
    again = anyone.http.get(f"/v1/utility/{path}", HTTP_IF_NONE_MATCH=first["ETag"])
    assert (again.status_code, again.content) == (304, b"")
