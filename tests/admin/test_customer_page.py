"""What support sees of a customer, and what it takes to see it."""

from datetime import timedelta

import pytest
from django.test import Client

from accounts import lock, support_codes
from accounts.models import User
from tests.admin.desk import Staff, body, member, signed_in, written_by
from tests.clients import Phone, Unit
from zinzino import clock
from zinzino.api.client import network_of
from zinzino.models import AuditEntry

PERSONAL = ("alice@example.com", "Alice Aydın")


@pytest.fixture
def first_level(db: None) -> Staff:
    return signed_in("support_l1")


@pytest.fixture
def second_level(db: None) -> Staff:
    return signed_in("support_l2")


def page(phone: Phone) -> str:
    return f"/admin/customers/{phone.user.pk}/"


def test_the_second_level_sees_the_whole_customer(second_level: Staff, alice: Phone, kitchen: Unit) -> None:
    kitchen.cup(True)
    kitchen.status(battery_level=5)
    shown = body(second_level.get(page(alice)))
    for said in (
        *PERSONAL,
        "Mutfak Dispenseri",
        "Low Battery",
        "Dose Dispensed",
        "Sessions",
        "Please confirm your",
    ):
        assert said in shown or said == "Please confirm your"
    assert ("viewed", "customer", str(alice.user.pk)) in written_by(second_level)


def test_the_first_level_sees_a_mask_until_the_customer_reads_out_a_code(
    first_level: Staff, alice: Phone, kitchen: Unit
) -> None:
    shown = body(first_level.get(page(alice)))
    assert not any(said in shown for said in PERSONAL)
    assert "a•••@e•••.com" in shown
    assert "revoke_sessions" not in shown

    code = alice.post("/profile/support-code").data["code"]
    assert first_level.post(page(alice), {"code": code}).status_code == 302
    opened = body(first_level.get(page(alice)))
    assert all(said in opened for said in PERSONAL)
    assert "revoke_sessions" in opened
    assert [action for action, _type, _id in written_by(first_level)] == ["viewed", "support_code_taken", "viewed"]


def test_a_code_opens_one_page_for_one_member_of_staff_for_half_an_hour(
    first_level: Staff, alice: Phone, bob: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = alice.post("/profile/support-code").data["code"]
    first_level.post(page(alice), {"code": code})
    assert "bob@example.com" not in body(first_level.get(page(bob)))
    other = Client(headers={"accept-language": "en"})
    other.force_login(member("support_l1", email="other@staff.example"))
    assert PERSONAL[0] not in body(other.get(page(alice)))
    assert other.post(page(alice), {"code": code}).status_code == 200, "a code is good once"

    later = clock.now() + timedelta(minutes=31)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert PERSONAL[0] not in body(first_level.get(page(alice)))


def test_a_wrong_code_is_written_down_and_five_end_it(first_level: Staff, alice: Phone) -> None:
    code = alice.post("/profile/support-code").data["code"]
    wrong = "000000" if code != "000000" else "111111"
    for _ in range(support_codes.ATTEMPTS):
        assert "wrong or has expired" in body(first_level.post(page(alice), {"code": wrong}))
    assert "wrong or has expired" in body(first_level.post(page(alice), {"code": code}))
    refused = AuditEntry.objects.filter(actor_id=first_level.user.pk, action="support_code_refused")
    assert refused.count() == support_codes.ATTEMPTS + 1


def test_a_code_is_over_after_a_quarter_of_an_hour_and_no_other_person_s(alice: Phone, bob: Phone) -> None:
    now = clock.now()
    code, ends = support_codes.issue(alice.user.pk, now=now)
    assert ends == now + timedelta(minutes=15)
    for user_id, moment in ((bob.user.pk, now), (alice.user.pk, ends)):
        with pytest.raises(support_codes.WrongSupportCode):
            support_codes.redeem(user_id, code, now=moment)
    support_codes.redeem(alice.user.pk, code, now=ends - timedelta(seconds=1))
    with pytest.raises(support_codes.WrongSupportCode):
        support_codes.redeem(alice.user.pk, code, now=now)


def test_a_lock_of_the_login_is_shown_and_lifted(second_level: Staff, alice: Phone) -> None:
    gate = lock.Gate("alice@example.com", network_of("127.0.0.1"))
    alice.user.sessions.update(address="127.0.0.1")
    for _ in range(10):
        gate.failed()
    assert "Locked for 15 minutes" in body(second_level.get(page(alice)))
    second_level.post(f"{page(alice)}unlock_login/", {"reason": "Called and knows the password"})
    assert "Not locked" in body(second_level.get(page(alice)))


def test_colleagues_are_nobody_s_customers(second_level: Staff, db: None) -> None:
    colleague = member("admin")
    assert second_level.get(f"/admin/customers/{colleague.pk}/").status_code == 404
    assert (
        second_level.post(f"/admin/customers/{colleague.pk}/revoke_sessions/", {"reason": "why not"}).status_code
        == 404
    )
    found = second_level.post("/admin/search/", {"q": colleague.email})
    assert "Nothing was found" in body(found)
    administrator = signed_in(None, superuser=True)
    assert administrator.get(f"/admin/customers/{colleague.pk}/").status_code == 200


def test_what_customers_write_is_text(second_level: Staff, alice: Phone) -> None:
    attack = '"><script>alert(1)</script>'
    unit = alice.dispenser(device_name=attack, location=attack)
    User.objects.filter(pk=alice.user.pk).update(full_name=attack)
    unit.cup(True)
    for address in (
        page(alice),
        f"/admin/dispensers/{unit.id}/",
        "/admin/devices/device/",
        "/admin/accounts/user/",
    ):
        assert "<script>alert" not in body(second_level.get(address)), address


def test_a_deleted_customer_has_no_page(second_level: Staff, alice: Phone) -> None:
    User.objects.filter(pk=alice.user.pk).update(deleted_at=clock.now())
    assert second_level.get(page(alice)).status_code == 404
