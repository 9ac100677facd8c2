"""Each role sees and does exactly its part: every page and act, for every role, from the table of roles."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.urls import reverse

from accounts.models import User
from backoffice import actions, customers, roles, urls
from devices.firmware.models import FirmwareRelease
from devices.models import Device, ManufacturedUnit
from telemetry.models import ActivityLog
from tests.admin.desk import Staff, body, member, signed_in
from tests.clients import Phone, Unit
from tests.firmware.conftest import engineer, release  # noqa: F401  (fixtures)
from zinzino import clock
from zinzino.admin import BackOfficeAdmin
from zinzino.models import AuditEntry

REASON = {"reason": "The customer has asked for it"}


@dataclass(frozen=True)
class Door:
    """One page or act, and the rights that open it."""

    name: str
    address: str
    needs: tuple[str, ...]
    method: str = "GET"
    # On a page that a role without sight of personal data opens with a support code only.
    of_customer: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.name}"


def doors() -> Iterator[Door]:
    yield Door("dashboard", "/admin/", ())
    yield Door("search", "/admin/search/", ("backoffice.search",))
    yield Door("customer", "/admin/customers/{customer}/", ("backoffice.open_customer",))
    yield Door("dispenser", "/admin/dispensers/{device}/", ("backoffice.open_device",))
    yield Door("fleet", "/admin/fleet/", ("backoffice.open_dashboard",))
    report = "/admin/customers/{customer}/report/"
    yield Door("report", report, ("backoffice.open_customer",), of_customer=True)
    own = ("backoffice.open_customer", "backoffice.show_app_view")
    yield Door("app view", "/admin/customers/{customer}/app/", own, "POST", of_customer=True)
    for name, act in actions.CUSTOMER_ACTS.items():
        right = ("backoffice.open_customer", f"backoffice.{act.right or name}")
        for method in ("GET", "POST"):
            yield Door(
                name, f"/admin/customers/{{customer}}/{name}/?item={{{name}}}", right, method, of_customer=True
            )
    for name, act in actions.DEVICE_ACTS.items():
        right = ("backoffice.open_device", f"backoffice.{act.right or name}")
        for method in ("GET", "POST"):
            yield Door(name, f"/admin/dispensers/{{device}}/{name}/", right, method)
    for model, listed in admin.site._registry.items():
        label, name = model._meta.app_label, str(model._meta.model_name)
        view = f"{label}.view_{name}"
        personal = (
            ("backoffice.see_personal",) if isinstance(listed, BackOfficeAdmin) and listed.is_personal else ()
        )
        yield Door(f"list of {name}", reverse(f"admin:{label}_{name}_changelist"), (view,))
        export = reverse("admin:export", args=[label, name])
        yield Door(f"export of {name}", export, (view, "backoffice.export", *personal), "POST")
    block = "/admin/devices/firmwarerelease/{release}/block/"
    for method in ("GET", "POST"):
        yield Door("block of a release", block, ("devices.change_firmwarerelease",), method)
    yield Door("new safety stop", "/admin/telemetry/safetystop/add/", ("telemetry.add_safetystop",))
    yield Door("profile", "/admin/devices/supplementprofile/fish_oil/change/", ("devices.view_supplementprofile",))
    yield Door(
        "profile",
        "/admin/devices/supplementprofile/fish_oil/change/",
        ("devices.change_supplementprofile",),
        "POST",
    )
    yield Door("roles", "/admin/backoffice/staffmember/{colleague}/change/", ("backoffice.view_staffmember",))
    yield Door("roles", "/admin/backoffice/staffmember/{colleague}/change/", ("backoffice.manage_staff",), "POST")


DOORS = list(doors())


@pytest.fixture
def things(
    alice: Phone,
    kitchen: Unit,
    profiles: None,
    release: FirmwareRelease,  # noqa: F811
) -> dict[str, str]:
    kitchen.cup(True)
    line = ActivityLog.objects.get(action="dose_dispensed")
    ActivityLog.objects.filter(pk=line.pk).update(confirmation="none")
    User.objects.filter(pk=alice.user.pk).update(is_verified=False)
    return {
        "customer": str(alice.user.pk),
        "device": str(kitchen.id),
        "colleague": str(member(None).pk),
        "revoke_session": str(alice.user.sessions.first().pk),  # type: ignore[union-attr]
        "correct_dose": str(line.pk),
        "release": str(release.pk),
        **dict.fromkeys(("revoke_sessions", "unlock_login", "resend_verification", "send_test_push"), ""),
    }


def knock(staff: Staff, door: Door, things: dict[str, str]) -> int:
    address = door.address.format_map(things)
    if door.method == "GET":
        return staff.get(address).status_code
    said = REASON | {"outcome": "taken", "part": "profile"}
    return staff.post(address, said).status_code


def unlocked(staff: Staff, customer: str) -> None:
    session = staff.session
    session[customers.UNLOCKED] = {customer: (clock.now() + customers.UNLOCKED_FOR).isoformat()}
    session.save()


@pytest.mark.parametrize("role", roles.ROLES)
def test_a_role_opens_its_doors_and_no_others(role: str, things: dict[str, str]) -> None:
    staff, rights = signed_in(role), roles.ROLES[role]
    unlocked(staff, things["customer"])
    wrong = {}
    # What ends the dispenser comes last.
    for door in sorted(DOORS, key=lambda door: "release_device" in door.address):
        code = knock(staff, door, things)
        if (code in (200, 302)) is not rights.issuperset(door.needs) or code not in (200, 302, 403):
            wrong[str(door)] = code
    assert wrong == {}


@pytest.mark.parametrize("role", roles.ROLES)
def test_without_sight_of_personal_data_nothing_is_done_on_a_closed_page(
    role: str, things: dict[str, str]
) -> None:
    if "backoffice.see_personal" in roles.ROLES[role]:
        return
    staff = signed_in(role)
    opened = [str(door) for door in DOORS if door.of_customer and knock(staff, door, things) != 403]
    assert opened == []
    assert User.objects.get(pk=things["customer"]).sessions.filter(ended_at=None).exists()


@pytest.mark.parametrize("role", [None, *roles.ROLES])
def test_the_navigation_leads_only_where_the_reader_may_go(role: str | None, db: None) -> None:
    staff = signed_in(role)
    shown = body(staff.get("/admin/"))
    links = {link.split('"')[0] for link in shown.split('href="')[1:] if link.startswith("/admin/")}
    assert {link: staff.get(link).status_code for link in links if staff.get(link).status_code != 200} == {}


def test_staff_without_a_role_see_nothing(things: dict[str, str]) -> None:
    staff = Staff(headers={"accept-language": "en"})
    staff.user = User.objects.get(pk=things["colleague"])
    staff.force_login(staff.user)
    opened = [str(door) for door in DOORS if door.needs and knock(staff, door, things) != 403]
    assert opened == []
    assert "Nobody has given you a role yet" in body(staff.get("/admin/"))


def test_customers_and_strangers_stay_outside(alice: Phone, things: dict[str, str]) -> None:
    for user in (User.objects.get(pk=alice.user.pk), None):
        visitor = Staff()
        if user:
            visitor.force_login(user)
        for door in DOORS:
            answer = visitor.generic(door.method, door.address.format_map(things))
            assert answer.status_code == 302, door
            assert answer.headers["Location"].startswith("/admin/login/"), door


def test_every_page_of_ours_stands_behind_a_door() -> None:
    open_pages = {"second_step", "own_factor", "set_language"}
    named = {name for _route, _view, name, _guarded in urls.ROUTES} - open_pages
    pages = {"customer", "app_view", "customer_action", "customer_report", "dispenser", "dispenser_action"}
    assert named == pages | {"export", "fleet"}
    assert {name for _r, _v, name, guarded in urls.ROUTES if not guarded} == {"second_step", "set_language"}


def test_setting_up_again_takes_back_what_the_table_does_not_give(db: None) -> None:
    roles.set_up()
    group = Group.objects.get(name="auditor")
    extra = Permission.objects.filter(codename="see_personal")
    group.permissions.add(*extra)
    assert roles.set_up(dry_run=True)["auditor"] == ["-backoffice.see_personal"]
    call_command("setup_groups", "--json")
    assert roles.set_up(dry_run=True) == {role: [] for role in roles.ROLES}


def test_a_role_with_a_typing_mistake_is_refused(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roles, "ROLES", {"ops": frozenset({"backoffice.serach"})})
    with pytest.raises(LookupError, match="serach"):
        roles.set_up()


def give(staff: Staff, colleague: User, *names: str) -> int:
    groups = [str(pk) for pk in Group.objects.filter(name__in=names).values_list("pk", flat=True)]
    page = reverse("admin:backoffice_staffmember_change", args=[colleague.pk])
    return staff.post(page, {"groups": groups, "is_active": "on"}).status_code


def test_an_administrator_gives_roles_to_others_and_to_no_superuser_and_not_to_themselves(db: None) -> None:
    staff = signed_in("admin")
    colleague, owner = member(None), member(None, email="owner@staff.example", superuser=True)
    stranger = Group.objects.create(name="not a role")
    assert give(staff, colleague, "support_l1") == 302
    assert list(colleague.groups.values_list("name", flat=True)) == ["support_l1"]
    assert give(staff, colleague, "support_l1", stranger.name) == 200, "a group that is no role is refused"
    assert (give(staff, owner, "ops"), give(staff, staff.user, "ops")) == (403, 403)
    assert not owner.groups.exists()
    colleague.refresh_from_db()
    assert not colleague.is_superuser


def test_nobody_becomes_more_by_what_a_form_does_not_show(db: None) -> None:
    staff, colleague = signed_in("admin"), member(None)
    page = reverse("admin:backoffice_staffmember_change", args=[colleague.pk])
    more: dict[str, Any] = {
        "groups": [],
        "is_superuser": "on",
        "user_permissions": ["1"],
        "email": "x@example.com",
    }
    assert staff.post(page, more).status_code == 302
    colleague.refresh_from_db()
    assert (colleague.is_superuser, colleague.user_permissions.count()) == (False, 0)
    assert colleague.email == "None@staff.example".replace("None", "nobody")


def test_who_leaves_is_switched_off_by_an_administrator_and_outside_at_once(db: None) -> None:
    staff, leaving = signed_in("admin"), signed_in("support_l1")
    assert leaving.get("/admin/").status_code == 200
    page = reverse("admin:backoffice_staffmember_change", args=[leaving.user.pk])
    assert staff.post(page, {"groups": []}).status_code == 302
    assert leaving.get("/admin/").status_code == 302
    row = AuditEntry.objects.get(action="roles_changed")
    assert (row.before, row.after) == (
        {"roles": ["support_l1"], "is_active": True},
        {"roles": [], "is_active": False},
    )


def test_units_and_dispensers_are_listed_without_their_owners(alice: Phone, kitchen: Unit) -> None:
    ManufacturedUnit.objects.create(
        pk=Device.objects.get().serial_number, mac_address="02:00:00:00:00:01", imported_at=clock.now()
    )
    staff = signed_in("ops")
    for page in ("/admin/devices/device/", "/admin/devices/manufacturedunit/", f"/admin/dispensers/{kitchen.id}/"):
        shown = body(staff.get(page))
        assert "alice@example.com" not in shown
        assert "Alice Aydın" not in shown


@pytest.mark.parametrize(
    "lookup", ["user__email__startswith=a", "user__email=alice@example.com", "user__password__startswith=b"]
)
def test_a_filter_in_the_address_finds_nothing_out(alice: Phone, kitchen: Unit, lookup: str) -> None:
    answer = signed_in("ops").get(f"/admin/devices/device/?{lookup}")
    assert (answer.status_code, answer.headers.get("Location")) == (400, None)
