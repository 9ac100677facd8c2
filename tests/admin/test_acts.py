"""What staff do takes effect by the API's own rules, and stands in the audit log with its reason."""

import csv
import io
import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import cache

from accounts.models import Mail, User
from devices import claiming
from devices.models import Device, DeviceCommand
from notifications.models import PushDelivery
from telemetry import settlement
from telemetry.models import ActivityLog, Dispense
from tests import make
from tests.admin.desk import Staff, body, signed_in, written_by
from tests.clients import Api, Phone, Unit
from tests.test_ownership import snapshot
from zinzino import clock
from zinzino.models import AuditEntry
from zinzino.redis_client import client

WHY = "The customer has asked for it"


@pytest.fixture
def staff(db: None) -> Staff:
    return signed_in("support_l2")


def act(staff: Staff, subject: Any, name: str, *, item: object = "", **said: str) -> Any:
    kind, pk = ("customers", subject.user.pk) if isinstance(subject, Phone) else ("dispensers", subject.id)
    return staff.post(f"/admin/{kind}/{pk}/{name}/?item={item}", {"reason": WHY, **said})


def test_ending_all_sessions_signs_every_phone_out_at_once(staff: Staff, alice: Phone) -> None:
    other = Api().post("/auth/login", {"email": "alice@example.com", "password": make.PASSWORD}).data["token"]
    assert act(staff, alice, "revoke_sessions").status_code == 302
    for phone in (alice, Api(other)):
        assert phone.get("/profile").error["details"]["reason"] == "session_revoked"
    row = AuditEntry.objects.get(actor_id=staff.user.pk)
    assert (row.action, row.object_id, row.reason, row.after) == (
        "revoke_sessions",
        str(alice.user.pk),
        WHY,
        {"sessions": 2},
    )


def test_ending_one_session_leaves_the_others(staff: Staff, alice: Phone) -> None:
    first = alice.user.sessions.get()
    other = Api(Api().post("/auth/login", {"email": "alice@example.com", "password": make.PASSWORD}).data["token"])
    assert act(staff, alice, "revoke_session", item=first.pk).status_code == 302
    assert (alice.get("/profile").status_code, other.get("/profile").status_code) == (401, 200)


def test_a_session_of_another_customer_stays(staff: Staff, alice: Phone, bob: Phone) -> None:
    answer = act(staff, alice, "revoke_session", item=bob.user.sessions.get().pk)
    assert answer.status_code == 200
    assert bob.get("/profile").status_code == 200
    assert written_by(staff) == []


@pytest.mark.parametrize("item", ["", "x", "1' OR 1=1"])
def test_an_item_that_is_none_is_404(staff: Staff, alice: Phone, item: str) -> None:
    assert act(staff, alice, "revoke_session", item=item).status_code == 404


@pytest.mark.parametrize("reason", ["", "    ", "asdf"])
def test_without_a_reason_nothing_happens(staff: Staff, alice: Phone, reason: str) -> None:
    assert act(staff, alice, "revoke_sessions", reason=reason).status_code == 200
    assert alice.get("/profile").status_code == 200
    assert written_by(staff) == []


def test_looking_at_an_act_does_nothing(staff: Staff, alice: Phone) -> None:
    body(staff.get(f"/admin/customers/{alice.user.pk}/revoke_sessions/"))
    assert alice.get("/profile").status_code == 200


def test_acts_need_the_token_of_a_form(alice: Phone) -> None:
    staff = signed_in("support_l2")
    staff.handler.enforce_csrf_checks = True
    assert act(staff, alice, "revoke_sessions").status_code == 403
    assert staff.post("/admin/search/", {"q": "alice@example.com"}).status_code == 403
    assert alice.get("/profile").status_code == 200


def test_the_confirmation_mail_is_sent_again(staff: Staff, alice: Phone) -> None:
    mails = Mail.objects.filter(user=alice.user, kind="verify_email")
    before = mails.count()
    assert act(staff, alice, "resend_verification").status_code == 302
    assert mails.count() == before + 1
    User.objects.filter(pk=alice.user.pk).update(is_verified=True)
    act(staff, alice, "resend_verification")
    assert "confirmed already" in body(staff.get(f"/admin/customers/{alice.user.pk}/"))
    assert mails.count() == before + 1


def test_a_test_push_goes_to_the_phones_or_says_that_there_are_none(staff: Staff, alice: Phone) -> None:
    assert "No phone is registered" in body(act(staff, alice, "send_test_push"))
    alice.post("/notifications/push-tokens", {"token": "t" * 40, "platform": "ios"})
    alice.post("/notifications/push-tokens", {"token": "a1" * 32, "platform": "ios"})
    assert act(staff, alice, "send_test_push").status_code == 302
    assert PushDelivery.objects.filter(user=alice.user, status="queued").exists()


def test_a_dose_is_corrected_once_and_frees_no_limit(staff: Staff, alice: Phone, kitchen: Unit) -> None:
    kitchen.cup(True)
    settlement.sweep(now=clock.now() + timedelta(minutes=2))
    line = ActivityLog.objects.get(action="dose_dispensed")
    assert act(staff, alice, "correct_dose", item=line.pk, outcome="not_taken").status_code == 302
    dose = Dispense.objects.get()
    assert (dose.resolved_as, dose.counts) == ("not_taken", True)
    assert "answered otherwise" in body(act(staff, alice, "correct_dose", item=line.pk, outcome="taken"))


def test_a_dose_of_another_customer_stays(staff: Staff, alice: Phone, bob: Phone) -> None:
    bob.dispenser().cup(True)
    line = ActivityLog.objects.get(action="dose_dispensed")
    assert act(staff, alice, "correct_dose", item=line.pk, outcome="taken").status_code == 200
    assert Dispense.objects.get().resolved_as is None


def test_a_new_token_is_shown_once_and_replaces_the_old(staff: Staff, alice: Phone, kitchen: Unit) -> None:
    shown = body(act(staff, kitchen, "reissue_token", revoke_old="on"))
    token = shown.split('<code id="secret">')[1].split("<")[0]
    assert kitchen.status(battery_level=50).status_code == 401
    assert Unit(kitchen.id, token).status(battery_level=50).status_code == 200
    assert token not in body(staff.get(f"/admin/dispensers/{kitchen.id}/"))
    assert token not in json.dumps(list(AuditEntry.objects.values_list("after", flat=True)))


def test_a_released_dispenser_can_be_added_by_another(
    staff: Staff, alice: Phone, bob: Phone, kitchen: Unit
) -> None:
    device = Device.objects.get()
    described = {
        "device_name": "Salon",
        "device_type": "fish_oil",
        "mac_address": device.mac_address,
        "serial_number": device.serial_number,
    }
    assert bob.post("/devices", described).status_code == 409
    assert act(staff, kitchen, "release_device").status_code == 302
    assert bob.post("/devices", described).status_code == 201
    assert alice.get("/devices").data == []


def test_the_dispenser_is_told_to_send_its_log(staff: Staff, kitchen: Unit) -> None:
    assert act(staff, kitchen, "request_diagnostics").status_code == 302
    assert DeviceCommand.objects.get().type == "log_upload"
    assert [each["type"] for each in kitchen.get("/iot/commands").data["commands"]] == ["log_upload"]


def test_claim_codes_can_be_tried_again(staff: Staff, kitchen: Unit) -> None:
    serial = Device.objects.get().serial_number
    client().set(claiming._tries(serial), 9)
    assert act(staff, kitchen, "rearm_claim").status_code == 302
    assert client().get(claiming._tries(serial)) is None


def test_an_act_and_its_line_in_the_audit_log_are_one(
    staff: Staff, alice: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_args: Any, **_named: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr("zinzino.audit.record", fails)
    staff.raise_request_exception = False
    assert act(staff, alice, "revoke_sessions").status_code == 500
    assert alice.user.sessions.filter(ended_at=None).exists()


@pytest.mark.parametrize(
    ("part", "path"), [("profile", "/profile"), ("devices", "/devices"), ("home", "/analytics/summary")]
)
def test_the_app_view_is_what_the_app_gets(
    staff: Staff, alice: Phone, kitchen: Unit, part: str, path: str
) -> None:
    kitchen.cup(True)
    shown = staff.post(f"/admin/customers/{alice.user.pk}/app/", {"reason": WHY, "part": part})
    said = shown.context["sheet"].sections[0].text
    assert json.loads(said) == alice.get(path).data


def test_the_app_view_holds_the_whole_copy_and_writes_nothing(staff: Staff, alice: Phone, kitchen: Unit) -> None:
    kitchen.cup(True)
    before = snapshot()
    shown = staff.post(f"/admin/customers/{alice.user.pk}/app/", {"reason": WHY, "part": "sync"})
    whole = json.loads(shown.context["sheet"].sections[0].text)
    assert [each["device_name"] for each in whole["devices"]] == ["Mutfak Dispenseri"]
    assert {table for table, rows in snapshot().items() if rows != before[table]} <= {
        "audit_log",
        "django_session",
    }


def exported(staff: Staff, page: str, reason: str = WHY) -> str:
    return body(staff.post(f"/admin/export/{page}", {"reason": reason}))


def test_a_list_is_exported_as_it_is_filtered_and_written_down(staff: Staff, alice: Phone, bob: Phone) -> None:
    User.objects.filter(pk=bob.user.pk).update(is_active=False)
    lines = exported(staff, "accounts/user/?is_active__exact=1").lstrip("\ufeff").splitlines()
    assert lines[0].split(",")[:2] == ["email", "full name"]
    assert [line.split(",")[0] for line in lines[1:]] == ["alice@example.com"]
    row = AuditEntry.objects.get(actor_id=staff.user.pk)
    assert (row.action, row.object_type, row.reason, row.after) == (
        "exported",
        "user",
        WHY,
        {"filters": ["is_active__exact"], "rows": 1},
    )


@pytest.mark.parametrize("formula", ['=HYPERLINK("http://x")', "+1+1", "-2", "@SUM(A1)", "\t=1", " =1"])
def test_no_cell_is_a_formula(staff: Staff, alice: Phone, formula: str) -> None:
    User.objects.filter(pk=alice.user.pk).update(full_name=formula)
    rows = list(csv.reader(io.StringIO(exported(staff, "accounts/user/").lstrip("\ufeff"))))
    assert f"'{formula}" in rows[1]


def test_an_export_without_a_reason_is_a_question(staff: Staff, alice: Phone) -> None:
    assert "alice@example.com" not in exported(staff, "accounts/user/", reason="")
    assert "alice@example.com" not in body(staff.get("/admin/export/accounts/user/"))


def test_what_the_dashboard_counts_is_asked_once_a_minute(staff: Staff, alice: Phone, kitchen: Unit) -> None:
    kitchen.cup(True)
    cache.clear()
    assert "1 of 1" in body(staff.get("/admin/"))
    Device.objects.update(is_connected=False)
    assert "1 of 1" in body(staff.get("/admin/"))
    cache.clear()
    assert "0 of 1" in body(staff.get("/admin/"))


def test_uuids_of_nobody_are_404(staff: Staff) -> None:
    for page in (f"/admin/customers/{uuid4()}/", f"/admin/dispensers/{uuid4()}/", "/admin/customers/x/"):
        assert staff.get(page).status_code == 404
