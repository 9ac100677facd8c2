import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests import make
from tests.clients import Phone, Unit

PAGES = [
    reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") for model in admin.site._registry
]


@pytest.fixture
def staff(db: None) -> Client:
    user = User.objects.create_superuser("staff@example.com", make.PASSWORD, full_name="Staff Person")
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("page", [reverse("admin:index"), *PAGES])
def test_every_page_opens_for_staff(staff: Client, kitchen: Unit, page: str) -> None:
    kitchen.cup(True)
    assert staff.get(page).status_code == 200


def test_staff_sign_in_with_the_form(db: None) -> None:
    User.objects.create_superuser("staff@example.com", make.PASSWORD, full_name="Staff Person")
    client = Client()
    answer = client.post("/admin/login/", {"username": "staff@example.com", "password": make.PASSWORD})
    assert (answer.status_code, client.get("/admin/").status_code) == (302, 200)


@pytest.mark.parametrize("page", PAGES)
def test_customers_stay_outside(alice: object, page: str) -> None:
    client = Client()
    client.force_login(User.objects.get(email="alice@example.com"))
    assert client.get(page).status_code == 302


def test_nothing_can_be_edited(staff: Client, kitchen: Unit) -> None:
    page = reverse("admin:devices_device_change", args=[kitchen.id])
    assert staff.get(page).headers["Location"] == f"/admin/dispensers/{kitchen.id}/"
    assert staff.post(page, {"device_name": "x"}).status_code == 403


def test_no_page_shows_a_password_hash(staff: Client, alice: Phone) -> None:
    user = User.objects.get(pk=alice.user.pk)
    for page in (reverse("admin:customer", args=[user.pk]), reverse("admin:accounts_user_changelist")):
        assert user.password not in staff.get(page).content.decode()
