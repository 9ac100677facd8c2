"""After every route that changes anything: `apply(delta, full before) == full after`, on another phone.

The routes come from the URLconf. A new one fails `test_every_mutating_route_is_here` until it has a line in
SCENARIOS: a function that calls it once, successfully.
"""

import base64
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.test import override_settings
from pytest_django import Settings

from accounts.models import Session
from devices.models import Device, ManufacturedUnit
from devices.provisioning import canonical
from notifications.models import Notification
from syncapi.models import SyncMutation
from telemetry import settlement
from telemetry.models import ActivityLog, Dispense
from tests import files, make
from tests.accounts.conftest import keys  # noqa: F401  (a fixture)
from tests.accounts.providers import KeyServer, apple, google
from tests.accounts.test_recovery import mailed
from tests.clients import Api, Phone, Unit
from tests.firmware.conftest import Engineer, offered, rolled_out, say
from tests.routes import routes
from tests.syncapi.phone import SyncedPhone
from zinzino import clock

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class House:
    """Alice's house, with something of everything; `there` is the path of one thing, by its name in the URL."""

    alice: Phone
    kitchen: Unit
    push_token: str = ""

    @property
    def anyone(self) -> Api:
        return Api()

    @property
    def device(self) -> str:
        return f"/devices/{self.kitchen.id}"

    @property
    def notification(self) -> str:
        return f"/notifications/{Notification.objects.filter(user=self.alice.user).latest('created_at').pk}"

    @property
    def other_session(self) -> str:
        sessions = Session.objects.filter(user=self.alice.user, ended_at=None).order_by("-created_at")
        return str(sessions[0].pk)


@pytest.fixture
def house(alice: Phone, kitchen: Unit, settings: Settings, tmp_path: Path, keys: KeyServer) -> House:  # noqa: F811
    files.use(settings, tmp_path)
    kitchen.cup(True)
    kitchen.status(battery_level=5)
    Api().post("/auth/login", {"email": "alice@example.com", "password": make.PASSWORD})
    token = {"token": "t" * 40, "platform": "ios"}
    return House(alice, kitchen, str(alice.post("/notifications/push-tokens", token).data["id"]))


def request_and_confirm(house: House) -> Any:
    asked = house.kitchen.post("/iot/dispense/request", requested())
    dispense_id = asked.data["dispense_id"] or Dispense.objects.latest("authorized_at").pk
    report = {"event_id": str(uuid.uuid4()), "outcome": "dispensed", "amount": 5, "unit": "ml"}
    return house.kitchen.post(f"/iot/dispense/{dispense_id}/confirm", report)


def commanded(house: House) -> str:
    """The id of a command that the kitchen's dispenser has not fetched yet."""
    return str(house.alice.post(f"{house.device}/commands", {"type": "reboot"}).data["id"])


def acknowledge(house: House) -> Any:
    command = commanded(house)
    house.kitchen.get("/iot/commands")
    return house.kitchen.post(f"/iot/commands/{command}/ack", {"status": "succeeded"})


def report_update(house: House) -> Any:
    """The dispenser says that it runs what it was offered."""
    engineer = Engineer()
    with override_settings(FIRMWARE_PUBLIC_KEYS=engineer.setting):
        rolled_out(engineer.publish())
        settlement.sweep(now=clock.now() + timedelta(minutes=2))  # no dose is being poured any more
        house.kitchen.status(battery_level=80)
        return say(house.kitchen, offered(house.kitchen), "succeeded", version="2.2.0")


def journal() -> dict[str, Any]:
    """A dose that was poured offline, and a level."""
    dose = {"k": "dose", "d": {"outcome": "dispensed", "amount": 5, "unit": "ml"}}
    sample = {"k": "sample", "d": {"supplement_level": 12}}
    return {
        "v": 1,
        "ev": [{"id": str(uuid.uuid4()), "seq": seq, **event} for seq, event in enumerate((dose, sample), 1)],
    }


def provision(house: House) -> Any:
    """The unit of the kitchen proves itself with the key from its factory."""
    key, device = Ed25519PrivateKey.generate(), Device.objects.get(pk=house.kitchen.id)
    names = {"serial_number": device.serial_number, "mac_address": device.mac_address}
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    ManufacturedUnit.objects.create(**names, public_key=public, imported_at=clock.now())
    body = {**names, "ts": clock.epoch_ms(clock.now()), "nonce": uuid.uuid4().hex}
    signature = base64.b64encode(key.sign(canonical(body))).decode()
    return house.anyone.post("/iot/provision", {**body, "proof": {"alg": "ed25519", "sig": signature}})


def requested() -> dict[str, Any]:
    return {"request_id": str(uuid.uuid4()), "cup_placed": True}


def written(house: House) -> str:
    """The path of an entry of Alice's own."""
    return f"/activities/{house.alice.post('/activities', BY_HAND).data['id']}"


def resolve(house: House) -> Any:
    settlement.sweep(now=clock.now() + timedelta(minutes=2))
    assumed = ActivityLog.objects.get(user_id=house.alice.user.pk, action="dose_dispensed")
    return house.alice.post(f"/activities/{assumed.pk}/resolve", {"outcome": "taken"})


def linked(house: House, provider: str) -> None:
    SocialAccount.objects.create(user_id=house.alice.user.pk, provider=provider, uid="1")


def unlink(house: House, provider: str) -> Any:
    linked(house, provider)
    return house.alice.delete(f"/auth/link/{provider}", {"password": make.PASSWORD})


def reset(house: House) -> Any:
    house.anyone.post("/auth/forgot-password", {"email": "alice@example.com"})
    return house.anyone.post(
        "/auth/reset-password", {"token": mailed("reset_password"), "new_password": "Another-1"}
    )


def described() -> dict[str, str]:
    number = uuid.uuid4().hex[:8].upper()
    name = {"device_name": "Salon", "device_type": "vitamin_d"}
    return {**name, "mac_address": make.mac(), "serial_number": f"ZNZ-{number}"}


GOOD = {"password": make.PASSWORD, "confirmation": "DELETE"}
BY_HAND = {"action": "dose_taken_manual", "supplement": "fish_oil"}
PERSON = {"email": "new@example.com", "password": make.PASSWORD, "full_name": "New Person"}

SCENARIOS: dict[str, Callable[[House], Any]] = {
    "POST /auth/register": lambda h: h.anyone.post("/auth/register", PERSON),
    "POST /auth/login": lambda h: h.anyone.post(
        "/auth/login", {"email": "alice@example.com", "password": make.PASSWORD}
    ),
    "POST /auth/google": lambda h: h.anyone.post("/auth/google", {"id_token": google()}),
    "POST /auth/apple": lambda h: h.anyone.post("/auth/apple", {"identity_token": apple()}),
    "POST /auth/link/google": lambda h: h.alice.post(
        "/auth/link/google", {"id_token": google(), "password": make.PASSWORD}
    ),
    "POST /auth/link/apple": lambda h: h.alice.post(
        "/auth/link/apple", {"identity_token": apple(), "password": make.PASSWORD}
    ),
    "DELETE /auth/link/google": lambda h: unlink(h, "google"),
    "DELETE /auth/link/apple": lambda h: unlink(h, "apple"),
    "POST /auth/refresh": lambda h: h.anyone.post("/auth/refresh", {"refresh_token": h.alice.refresh_token}),
    "POST /realtime/ticket": lambda h: h.alice.post("/realtime/ticket"),
    "POST /auth/logout": lambda h: h.alice.post("/auth/logout"),
    "POST /auth/forgot-password": lambda h: h.anyone.post("/auth/forgot-password", {"email": "alice@example.com"}),
    "POST /auth/reset-password": reset,
    "POST /auth/verify-email": lambda h: h.anyone.post("/auth/verify-email", {"token": mailed("verify_email")}),
    "POST /auth/resend-verification": lambda h: h.alice.post("/auth/resend-verification"),
    "DELETE /auth/sessions": lambda h: h.alice.delete("/auth/sessions"),
    "DELETE /auth/sessions/{session_id}": lambda h: h.alice.delete(f"/auth/sessions/{h.other_session}"),
    "PUT /profile": lambda h: h.alice.put("/profile", {"full_name": "Alice A.", "timezone": "Europe/Berlin"}),
    "PUT /profile/password": lambda h: h.alice.put(
        "/profile/password", {"current_password": make.PASSWORD, "new_password": "Another-1"}
    ),
    "POST /profile/email": lambda h: h.alice.post(
        "/profile/email", {"new_email": "alice@new.example", "password": make.PASSWORD}
    ),
    "POST /profile/support-code": lambda h: h.alice.post("/profile/support-code"),
    "POST /profile/picture": lambda h: files.upload(h.alice, files.photo()),
    "DELETE /profile/picture": lambda h: (
        files.upload(h.alice, files.photo()) and h.alice.delete("/profile/picture")
    ),
    "POST /profile/export": lambda h: h.alice.post("/profile/export"),
    "DELETE /profile": lambda h: h.alice.delete("/profile", GOOD),
    "POST /profile/delete": lambda h: h.alice.post("/profile/delete", GOOD),
    "POST /devices": lambda h: h.alice.post("/devices", described()),
    "PUT /devices/{device_id}": lambda h: h.alice.put(
        h.device, {"device_name": "Salon", "settings": {"volume": 1}}
    ),
    "DELETE /devices/{device_id}": lambda h: h.alice.delete(h.device),
    "PUT /devices/{device_id}/plan": lambda h: h.alice.put(f"{h.device}/plan", {"dose": {"amount": 4}}),
    "POST /devices/{device_id}/token": lambda h: h.alice.post(f"{h.device}/token"),
    "PATCH /devices/{device_id}/status": lambda h: h.kitchen.status(battery_level=50, supplement_level=9),
    "POST /states/{device_id}": lambda h: h.kitchen.cup(False, sensor_reading=1.5),
    "POST /iot/dispense/request": lambda h: h.kitchen.post("/iot/dispense/request", requested()),
    "POST /iot/dispense/{dispense_id}/confirm": request_and_confirm,
    "POST /iot/provision": provision,
    "POST /iot/hello": lambda h: h.kitchen.post("/iot/hello", {"battery_level": 40, "firmware_version": "2.2.0"}),
    "POST /iot/heartbeat": lambda h: h.kitchen.post("/iot/heartbeat", {"supplement_level": 12}),
    "POST /iot/events": lambda h: h.kitchen.post("/iot/events", journal()),
    "POST /iot/credentials/rotate": lambda h: h.kitchen.post("/iot/credentials/rotate", {"reason": "yearly"}),
    "POST /iot/factory-reset": lambda h: h.kitchen.post("/iot/factory-reset"),
    "POST /iot/commands/{command_id}/ack": acknowledge,
    "POST /iot/firmware/jobs/{job_id}/status": report_update,
    "POST /devices/{device_id}/commands": lambda h: h.alice.post(f"{h.device}/commands", {"type": "reboot"}),
    "DELETE /devices/{device_id}/commands/{command_id}": lambda h: h.alice.delete(
        f"{h.device}/commands/{commanded(h)}"
    ),
    "POST /activities": lambda h: h.alice.post("/activities", BY_HAND),
    "POST /activities/batch": lambda h: h.alice.post("/activities/batch", {"activities": [BY_HAND] * 3}),
    "PUT /activities/{activity_id}": lambda h: h.alice.put(written(h), {"dose_amount": "4ml"}),
    "DELETE /activities/{activity_id}": lambda h: h.alice.delete(written(h)),
    "POST /activities/{activity_id}/resolve": resolve,
    "PUT /notifications/{notification_id}/read": lambda h: h.alice.put(f"{h.notification}/read"),
    "DELETE /notifications/{notification_id}": lambda h: h.alice.delete(h.notification),
    "PUT /notifications/read-all": lambda h: h.alice.put("/notifications/read-all"),
    "POST /notifications/mark-all-read": lambda h: h.alice.post("/notifications/mark-all-read"),
    "DELETE /notifications": lambda h: (
        h.alice.put("/notifications/read-all") and h.alice.delete("/notifications?is_read=true")
    ),
    "PUT /notifications/settings": lambda h: h.alice.put(
        "/notifications/settings", {"quiet_hours": {"enabled": True}, "reminder_times": ["07:15"]}
    ),
    "POST /notifications/push-tokens": lambda h: h.alice.post(
        "/notifications/push-tokens", {"token": "u" * 40, "platform": "android"}
    ),
    "DELETE /notifications/push-tokens/{push_token_id}": lambda h: h.alice.delete(
        f"/notifications/push-tokens/{h.push_token}"
    ),
    "POST /notifications/test": lambda h: h.alice.post("/notifications/test"),
    "POST /sync/full": lambda h: h.alice.post("/sync/full", {"changes": [pushed()]}),
    "POST /sync/delta": lambda h: h.alice.post(
        "/sync/delta", {"last_sync": clock.iso(clock.now()), "changes": [pushed()]}
    ),
}
# After these the phone that looks on is signed out; it has to sign in again, or there is nothing left to see.
SIGNED_OUT = {"POST /auth/reset-password", "POST /auth/logout"}
GONE = {"DELETE /profile", "POST /profile/delete"}


def pushed() -> dict[str, Any]:
    fields = {"theme_preference": "light"}
    base = {"mutation_id": str(uuid.uuid4()), "base_version": clock.iso(clock.now())}
    return {**base, "entity": "profile", "op": "update", "fields": fields}


def mutating() -> Iterator[str]:
    for route in routes():
        for method in route.methods:
            if method not in ("GET", "HEAD"):
                yield f"{method} {route.address.removeprefix('/v1')}"


def test_every_mutating_route_is_here() -> None:
    assert set(mutating()) == set(SCENARIOS)


@pytest.mark.parametrize("route", SCENARIOS)
def test_after_every_mutating_route_the_delta_makes_the_old_copy_the_new(house: House, route: str) -> None:
    phone = SyncedPhone(house.alice)
    phone.full()
    answer = SCENARIOS[route](house)
    assert answer.status_code < 400, answer.json()

    if route in GONE:
        assert house.alice.post("/sync/full").status_code == 401
        assert not SyncMutation.objects.exists()
        return
    if route in SIGNED_OUT:
        password = "Another-1" if "reset" in route else make.PASSWORD
        again = Api().post("/auth/login", {"email": "alice@example.com", "password": password})
        phone.api.token = again.data["token"]
    phone.delta()
    assert phone.copy == SyncedPhone(phone.api).full()
    assert phone.verified()
