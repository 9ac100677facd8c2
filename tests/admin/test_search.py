"""The one search box finds whatever the caller can read out, and says no more than its reader may know."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Session, User
from backoffice import search
from devices.models import Device, ManufacturedUnit
from notifications.models import Notification, PushDelivery
from telemetry.models import ActivityLog, Decision, Dispense
from tests.admin.desk import Staff, body, signed_in, written_by
from tests.clients import Phone, Unit
from zinzino import clock
from zinzino.models import AuditEntry


@pytest.fixture
def staff(db: None) -> Staff:
    return signed_in("support_l2")


def found(staff: Staff, term: str) -> str:
    answer = staff.post("/admin/search/", {"q": term})
    return str(answer.headers.get("Location", answer.status_code))


TERMS: dict[str, tuple[str, Callable[[Phone, Device], Any]]] = {
    "e-mail": ("customers", lambda alice, device: " Alice@Example.COM "),
    "phone number": ("customers", lambda alice, device: "+90 555 123 45 67"),
    "phone number without its plus": ("customers", lambda alice, device: "905551234567"),
    "phone number with zeros": ("customers", lambda alice, device: "00905551234567"),
    "serial": ("dispensers", lambda alice, device: device.serial_number.lower()),
    "beginning of a serial": ("dispensers", lambda alice, device: device.serial_number[:-1]),
    "address": ("dispensers", lambda alice, device: device.mac_address),
    "address without colons": ("dispensers", lambda alice, device: device.mac_address.replace(":", "").lower()),
    "customer": ("customers", lambda alice, device: alice.user.pk),
    "dispenser": ("dispensers", lambda alice, device: device.pk),
    "session": ("customers", lambda alice, device: Session.objects.filter(user=alice.user).first()),
    "dose": ("customers", lambda alice, device: Dispense.objects.first()),
    "decision": ("dispensers", lambda alice, device: Decision.objects.first()),
    "line of the log": ("customers", lambda alice, device: ActivityLog.objects.first()),
    "notification": ("customers", lambda alice, device: Notification.objects.first()),
    "push": ("customers", lambda alice, device: PushDelivery.objects.first()),
}


@pytest.mark.parametrize("what", TERMS)
def test_everything_is_found_by(staff: Staff, alice: Phone, kitchen: Unit, what: str) -> None:
    User.objects.filter(pk=alice.user.pk).update(phone="+905551234567")
    kitchen.cup(True), kitchen.status(battery_level=5)
    device = Device.objects.get()
    where, term = TERMS[what]
    said = term(alice, device)
    owner = {"customers": alice.user.pk, "dispensers": device.pk}[where]
    assert found(staff, str(getattr(said, "pk", said))) == f"/admin/{where}/{owner}/"


def test_the_audit_log_keeps_how_was_searched_and_not_for_what(staff: Staff, alice: Phone) -> None:
    found(staff, "alice@example.com")
    found(staff, "nobody@example.com")
    assert written_by(staff) == [("searched", "search", "")] * 2
    assert [each.after for each in AuditEntry.objects.filter(actor_id=staff.user.pk).order_by("pk")] == [
        {"by": "email", "found": 1},
        {"by": "email", "found": 0},
    ]


def test_a_unit_that_nobody_has_added_yet_is_found(staff: Staff) -> None:
    ManufacturedUnit.objects.create(pk="ZNZ-FACTORY-1", mac_address="02:00:00:00:00:01", imported_at=clock.now())
    assert "/admin/devices/manufacturedunit/ZNZ" in body(staff.post("/admin/search/", {"q": "znz-factory-1"}))


@pytest.mark.parametrize("term", ["%", "a' OR 1=1 --", "\x01", "ALICE@", "@", "x" * 10_000, "½", "0", "٠١٢٣٤٥٦٧٨"])
def test_nonsense_finds_nothing(staff: Staff, alice: Phone, kitchen: Unit, term: str) -> None:
    assert "Nothing was found" in body(staff.post("/admin/search/", {"q": term}))


def test_parts_of_an_address_find_nobody(staff: Staff, alice: Phone) -> None:
    for term in ("alice", "alice@", "alice@example", "@example.com"):
        assert "Nothing was found" in body(staff.post("/admin/search/", {"q": term}))


def test_the_first_level_finds_people_without_seeing_who_they_are(alice: Phone, bob: Phone, db: None) -> None:
    User.objects.filter(pk__in=(alice.user.pk, bob.user.pk)).update(phone="+905551234567")
    shown = body(signed_in("support_l1").post("/admin/search/", {"q": "+905551234567"}))
    assert "a•••@e•••.com" in shown
    assert "alice@example.com" not in shown


def test_operations_find_dispensers_and_no_people(alice: Phone, kitchen: Unit) -> None:
    ops = signed_in("ops")
    serial = Device.objects.get().serial_number
    assert found(ops, serial) == f"/admin/dispensers/{kitchen.id}/"
    assert "Nothing was found" in body(ops.post("/admin/search/", {"q": "alice@example.com"}))


def test_an_address_holds_nothing_that_was_typed(staff: Staff, alice: Phone) -> None:
    assert "alice" not in found(staff, "alice@example.com")
    assert "By e-mail" in body(staff.get("/admin/search/?q=alice@example.com"))


def test_each_search_is_a_few_statements(alice: Phone, kitchen: Unit) -> None:
    device = Device.objects.get()
    User.objects.filter(pk=alice.user.pk).update(phone="+905551234567")
    for term in ("alice@example.com", "+905551234567", device.serial_number, device.mac_address, str(device.pk)):
        with CaptureQueriesContext(connection) as captured:
            search.find(term)
        assert len(captured) == 1, term
