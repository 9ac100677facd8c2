"""The back office orders and lifts safety stops by the same service as the command."""

import pytest
from django.test import Client

from accounts.models import User
from telemetry.models import SafetyStop
from tests import make
from tests.clients import Unit

PAGE = "/admin/telemetry/safetystop/"


def signed_in(*, is_superuser: bool) -> Client:
    facts = {"full_name": "Staff Person", "is_staff": True, "is_superuser": is_superuser}
    user = User.objects.create_user("staff@example.com", make.PASSWORD, **facts)
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def superuser(db: None) -> Client:
    return signed_in(is_superuser=True)


def order(client: Client, **fields: str) -> int:
    form = {"scope": "all", "value": "", "reason": "Restored", "until_0": "", "until_1": "", **fields}
    return client.post(f"{PAGE}add/", form).status_code


def test_a_superuser_stops_the_fleet_and_lifts_the_stop(superuser: Client, kitchen: Unit) -> None:
    assert order(superuser) == 302
    assert SafetyStop.objects.get().ordered_by == "staff@example.com"
    assert kitchen.cup(True).data["reason"] == "safety_stop"

    chosen = [str(pk) for pk in SafetyStop.objects.values_list("pk", flat=True)]
    lifted = superuser.post(PAGE, {"action": "lift", "_selected_action": chosen})
    assert lifted.status_code == 302
    assert SafetyStop.objects.get().lifted_by == "staff@example.com"
    assert kitchen.cup(True).data["reason"] == "due"


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": ""},
        {"value": "x"},
        {"scope": "type"},
        {"scope": "type", "value": "rum"},
        {"until_0": "2020-01-01", "until_1": "00:00:00"},
    ],
)
def test_a_form_that_names_nothing_is_shown_again(superuser: Client, fields: dict[str, str]) -> None:
    assert order(superuser, **fields) == 200
    assert not SafetyStop.objects.exists()


def test_other_staff_stop_nothing(db: None) -> None:
    assert order(signed_in(is_superuser=False)) == 403
    assert not SafetyStop.objects.exists()
