"""The one place where staff change what dispensers pour by: supplement profiles."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.models import User
from devices.models import SupplementProfile
from tests import make

FISH_OIL = {
    "amount": "4",
    "unit": "ml",
    "concentration": "",
    "target_per_day": "2",
    "max_per_day": "3",
    "min_interval_min": "300",
    "rolling_hours": "20",
}


def staff(*permissions: str) -> Client:
    user = User.objects.create_user("staff@example.com", make.PASSWORD, full_name="Staff Person", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def save(client: Client, **fields: str) -> Any:
    page = reverse("admin:devices_supplementprofile_change", args=["fish_oil"])
    return client.post(page, FISH_OIL | fields)


def test_staff_with_the_right_change_a_profile(profiles: None) -> None:
    assert save(staff("view_supplementprofile", "change_supplementprofile")).status_code == 302
    row = SupplementProfile.objects.get(pk="fish_oil")
    assert (int(row.amount), row.target_per_day, row.max_per_day, row.min_interval_min) == (4, 2, 3, 300)


def test_staff_without_it_only_look(profiles: None) -> None:
    client = staff("view_supplementprofile")
    assert client.get(reverse("admin:devices_supplementprofile_changelist")).status_code == 200
    assert save(client).status_code == 403


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"amount": "7"}, "Together more than the ceiling of 20 ml a day."),
        ({"amount": "0"}, "greater than or equal to"),
        ({"unit": "IU"}, "Must be ml"),
        ({"min_interval_min": "59"}, "greater than or equal to 60"),
        ({"rolling_hours": "49"}, "less than or equal to 48"),
        ({"target_per_day": "4"}, "profile_target_within_max"),
    ],
)
def test_nothing_that_no_plan_could_have(
    profiles: None, settings: Settings, fields: dict[str, str], complaint: str
) -> None:
    settings.LANGUAGE_CODE = "en"
    answer = save(staff("change_supplementprofile"), **fields)
    assert answer.status_code == 200
    assert complaint in answer.content.decode()
    assert SupplementProfile.objects.get(pk="fish_oil").amount == 5
