"""The fleet's page and the adherence report of a person, in the back office."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests import make
from tests.clients import Phone, Unit

FLEET = reverse("admin:analytics_fleetreport_changelist")


def staff(*permissions: str) -> Client:
    user = User.objects.create_user("staff@example.com", make.PASSWORD, full_name="Staff Person", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def page_of(phone: Phone) -> str:
    return reverse("admin:analytics_adherencereport_change", args=[phone.user.pk])


def test_the_fleet(kitchen: Unit) -> None:
    page = staff("view_fleetreport").get(FLEET)
    assert page.status_code == 200
    assert b"Dispensers by type" in page.content
    assert page.content.count(b'viewBox="0 0 640 220"') == 2


def test_the_report_of_a_person(alice: Phone, kitchen: Unit) -> None:
    kitchen.cup(True)
    User.objects.filter(pk=alice.user.pk).update(full_name="<b>Ay\u015fe</b>")
    desk = staff("view_adherencereport")
    page = desk.get(page_of(alice), headers={"accept-language": "en"})
    assert page.status_code == 200
    assert "&lt;b&gt;Ay\u015fe&lt;/b&gt;" in page.content.decode()
    paper = desk.get(page_of(alice) + "?format=pdf")
    assert (paper["Content-Type"], paper.content[:5]) == ("application/pdf", b"%PDF-")
    listed = desk.get(reverse("admin:analytics_adherencereport_changelist") + "?q=ALICE@example.com")
    assert page_of(alice).encode() in listed.content


def test_who_may_not_see_them(alice: Phone, kitchen: Unit) -> None:
    desk = staff("view_device")
    for page in (FLEET, page_of(alice), page_of(alice) + "?format=pdf"):
        assert desk.get(page).status_code == 403


def test_of_nobody_there_is_no_report(db: Any) -> None:
    desk = staff("view_adherencereport")
    for nobody in ("00000000-0000-4000-8000-000000000000", "x"):
        page = reverse("admin:analytics_adherencereport_change", args=[nobody])
        assert desk.get(page).status_code == 404


@pytest.mark.parametrize("method", ["post", "delete"])
def test_they_are_only_read(alice: Phone, kitchen: Unit, method: str) -> None:
    desk = staff("view_adherencereport", "view_fleetreport")
    getattr(desk, method)(page_of(alice), {"full_name": "Eve"})
    assert User.objects.get(pk=alice.user.pk).full_name == "Alice Aydın"
