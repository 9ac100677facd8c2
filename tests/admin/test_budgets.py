"""Every page of the back office, with a house full of rows, stays within its statements."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Mail, User
from devices.firmware.models import FirmwareRelease, FirmwareRollout
from devices.models import Device, ManufacturedUnit
from notifications.models import Notification, PushDelivery, PushRoute
from telemetry import safety
from telemetry.models import DeadLetter, Decision, SafetyStop
from tests import make
from tests.admin.desk import Staff, signed_in
from tests.clients import Phone
from zinzino import audit, clock
from zinzino.ids import uuid7

AT_MOST = 12
ROWS = 60


@pytest.fixture
def staff(db: None) -> Staff:
    """Somebody with every role, which costs two statements more than a superuser."""
    return signed_in("admin")


@pytest.fixture
def full_house(alice: Phone, profiles: None) -> Phone:
    now = clock.now()
    for number in range(ROWS):
        person = make.person(now=now - timedelta(days=number)).user
        unit = make.dispenser(person)
        moment = now - timedelta(minutes=number)
        Decision.objects.create(
            id=uuid7(moment), device=unit.row, decided_at=moment, should_dispense=False, reason="min_interval",
            trace=[], event_count=number,
        )  # fmt: skip
        DeadLetter.objects.create(
            id=uuid7(moment), device=unit.row, code="x", message="x", payload="{}", fingerprint=str(number),
            received_at=moment,
        )  # fmt: skip
        notification = Notification.objects.create(
            id=uuid7(moment), user=person, type="low_battery", title="x", message="x", dedupe_key=str(number),
            created_at=moment,
        )  # fmt: skip
        PushDelivery.objects.create(
            id=uuid7(moment), user=person, notification_id=notification.pk, kind="low_battery", status="failed",
            created_at=moment, next_attempt_at=moment, expires_at=moment,
        )  # fmt: skip
        PushRoute.objects.create(name=f"route {number}", open_until=now)
        ManufacturedUnit.objects.create(pk=f"ZNZ-{number:05}", mac_address=make.mac(), imported_at=now)
        safety.order(SafetyStop.Scope.UNIT, f"Z{number}", reason="x", until=None, by="x", now=now)
        audit.record(audit.Actor(person.pk, "x"), "viewed", audit.Thing("device", str(number)))
        make_staff(number)
        release = FirmwareRelease.objects.create(
            id=uuid7(moment), version="2.2.0", hardware="d1", size=1, sha256="0" * 64, counter=number + 1,
            key_id="x", signature="x", file="x", imported_by="x", imported_at=now,
        )  # fmt: skip
        rollout = FirmwareRollout.objects.create(
            id=uuid7(moment), release=release, hardware="d1", created_by="x", created_at=now
        )
        rollout.events.create(at=now, by="x", what="create")
    kitchen = alice.dispenser()
    for _ in range(5):
        kitchen.cup(True), kitchen.cup(False)
    kitchen.status(battery_level=5)
    return alice


def make_staff(number: int) -> None:
    User.objects.create(email=f"colleague{number}@staff.example", full_name="x", is_staff=True, password="!")


def cost(staff: Staff, address: str, **posted: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        answer = staff.post(address, posted) if posted else staff.get(address)
        assert answer.status_code in (200, 302), address
    return len(captured)


def pages() -> list[tuple[str, str]]:
    names = []
    for model, listed in admin.site._registry.items():
        page = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        names.append((f"list of {model._meta.model_name}", page))
        names += [(f"search of {model._meta.model_name}", f"{page}?q=ZNZ-0")] if listed.search_fields else []
        for option in listed.list_filter:
            field: Any = model._meta.get_field(str(option))
            value = field.choices[0][0] if field.choices else "1"
            names.append((f"filter of {model._meta.model_name} by {option}", f"{page}?{option}__exact={value}"))
    return names


def test_every_list_search_and_row_page_stays_within_its_statements(staff: Staff, full_house: Phone) -> None:
    cache.clear()
    costs = {"dashboard": cost(staff, "/admin/"), "dashboard again": cost(staff, "/admin/")}
    for name, page in pages():
        costs[name] = cost(staff, page)
    for model, listed in admin.site._registry.items():
        row = listed.model._default_manager.order_by("-pk").first()
        if model is User or model.__name__ == "StaffMember":
            row = User.objects.filter(is_staff=model is not User).first()
        change = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
        assert row is not None or model is Mail, model
        if row:
            costs[f"row of {model._meta.model_name}"] = cost(staff, reverse(change, args=[row.pk]))
    assert len(costs) > 3 * len(admin.site._registry)
    assert {name: spent for name, spent in costs.items() if spent > AT_MOST} == {}


def test_the_pages_of_the_desk_stay_within_theirs(staff: Staff, full_house: Phone) -> None:
    device = Device.objects.get(user=full_house.user)
    costs = {
        "customer": cost(staff, f"/admin/customers/{full_house.user.pk}/"),
        "dispenser": cost(staff, f"/admin/dispensers/{device.pk}/"),
        "act": cost(staff, f"/admin/customers/{full_house.user.pk}/revoke_sessions/"),
        "app view": cost(staff, f"/admin/customers/{full_house.user.pk}/app/", reason="x" * 9, part="sync"),
    }
    costs |= {
        term: cost(staff, "/admin/search/", q=term)
        for term in ("alice@example.com", device.serial_number, device.mac_address, str(device.pk), "ZNZ-2024")
    }
    assert {name: spent for name, spent in costs.items() if spent > AT_MOST} == {}


def test_a_list_costs_the_same_however_long_it_is(staff: Staff, full_house: Phone) -> None:
    page = "/admin/devices/device/"
    staff.get(page)
    before = cost(staff, page)
    for _ in range(60):
        make.dispenser(full_house.user)
    assert cost(staff, page) == before


def test_nobody_leafs_without_end(staff: Staff, full_house: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zinzino.admin.COUNTED_AT_MOST", 55)
    assert staff.get("/admin/devices/device/?p=2").status_code == 200
    assert staff.get("/admin/devices/device/?p=3").status_code == 302
