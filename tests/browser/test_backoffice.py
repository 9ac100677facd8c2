"""Support on the phone, in a real browser: signing in, finding, reading, acting, exporting."""

import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from datetime import time as hour
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from axe_playwright_python.sync_playwright import Axe
from django.core.cache import cache
from playwright.sync_api import Browser, Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from backoffice import dashboard
from devices.credentials import DeviceCaller
from devices.firmware.models import FirmwareRelease
from devices.models import Device
from telemetry import services as telemetry
from telemetry.events import Reading
from tests import make
from tests.admin.desk import member
from tests.clients import Phone
from zinzino import clock
from zinzino.ids import uuid7

pytestmark = [
    pytest.mark.enable_socket,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("profiles"),
]

ZONE = ZoneInfo("Europe/Istanbul")
LAPTOP, PHONE = {"width": 1366, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture
def alice() -> Phone:
    """Her dispenser poured at 07:00 yesterday, and did not at 08:10."""
    alice = Phone(make.person("alice@example.com", full_name="Alice Aydın"))
    unit = alice.dispenser(serial_number="ZNZ-2024-00815")
    caller = DeviceCaller(unit.id, alice.user.pk, "fish_oil")
    day = clock.now().astimezone(ZONE).date() - timedelta(days=1)
    for at, placed in ((hour(7), True), (hour(7, 5), False), (hour(8, 10), True), (hour(8, 15), False)):
        now = datetime.combine(day, at, ZONE)
        reading = Reading(cup_placed=placed, sensor_reading=100.0 if placed else 0.0, timestamp=now)
        telemetry.report_state(caller, reading, now=now)
    return alice


@pytest.fixture(params=[LAPTOP, PHONE], ids=["laptop", "phone"])
def page(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    context = chromium.new_context(locale="en-GB", viewport=request.param)
    yield context.new_page()
    context.close()


@pytest.fixture
def laptop(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(locale="en-GB", viewport=LAPTOP)  # type: ignore[arg-type]
    yield context.new_page()
    context.close()


def code_of(secret: str, *, steps: int = 0) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps))


def sign_in(page: Page, server: LiveServer, user: User) -> None:
    page.goto(f"{server.url}/admin/")
    page.get_by_label("Email").fill(str(user.email))
    page.locator("[name=password]").fill(make.PASSWORD)
    page.get_by_role("button", name="Log in").click()


def test_a_call_from_signing_in_to_the_export(
    laptop: Page, live_server: LiveServer, alice: Phone, settings: Settings, tmp_path: Path
) -> None:
    settings.STAFF_MFA_REQUIRED = True
    user, secret = member("support_l2"), generate_totp_secret()
    TOTP.activate(user, secret)
    sign_in(laptop, live_server, user)
    laptop.get_by_label("Code").fill(code_of(secret))
    laptop.get_by_role("button", name="Continue").click()
    expect(laptop.get_by_role("heading", name="Dashboard")).to_be_visible()

    laptop.get_by_role("searchbox").fill("znz-2024-00815")
    laptop.keyboard.press("Enter")
    expect(laptop.get_by_role("heading", name="ZNZ-2024-00815")).to_be_visible()
    why = laptop.get_by_role("region", name="Why it poured or did not").first.get_by_role("row")
    at_ten_past_eight = why.filter(has_text=" 08:10:00")
    expect(at_ten_past_eight).to_contain_text("Not poured")
    expect(at_ten_past_eight).to_contain_text("The last dose was too recent. 70 minutes since the last dose")

    assert alice.get("/profile").status_code == 200
    laptop.get_by_role("link", name="Alice Aydın").click()
    sessions = laptop.get_by_role("region", name="Sessions").first
    sessions.get_by_role("link", name="End").click()
    laptop.get_by_label("Reason").fill("The phone was stolen")
    laptop.get_by_role("button", name="End this session").click()
    expect(laptop.get_by_text("Done: End this session.")).to_be_visible()
    assert alice.get("/profile").error["details"]["reason"] == "session_revoked"

    laptop.get_by_role("link", name="Customers").click()
    laptop.get_by_role("link", name="Export as CSV").click()
    laptop.get_by_label("Reason").fill("Monthly list")
    with laptop.expect_download() as download:
        laptop.get_by_role("button", name="Export").click()
    file = tmp_path / "customers.csv"
    download.value.save_as(file)
    assert "alice@example.com" in file.read_text("utf-8-sig")


def pages_of(alice: Phone) -> dict[str, str]:
    device = Device.objects.get()
    customer = f"/admin/customers/{alice.user.pk}/"
    now = clock.now()
    release = FirmwareRelease.objects.create(
        id=uuid7(now), version="2.2.0", hardware="d1", size=1, sha256="0" * 64, counter=1, key_id="x",
        signature="x", file="x", imported_by="x", imported_at=now,
    )  # fmt: skip
    return {
        "dashboard": "/admin/",
        "customer": customer,
        "dispenser": f"/admin/dispensers/{device.pk}/",
        "act": f"{customer}revoke_sessions/",
        "app view": f"{customer}app/",
        "search": "/admin/search/",
        "list": "/admin/devices/device/",
        "empty list": "/admin/telemetry/deadletter/",
        "row": "/admin/devices/supplementprofile/fish_oil/change/",
        "export": "/admin/export/devices/device/",
        "new stop": "/admin/telemetry/safetystop/add/",
        "roles": f"/admin/backoffice/staffmember/{member(None).pk}/change/",
        "audit": "/admin/zinzino/auditentry/",
        "second factor": "/admin/second-factor/",
        "release": f"/admin/devices/firmwarerelease/{release.pk}/change/",
        "block": f"/admin/devices/firmwarerelease/{release.pk}/block/",
    }


def keeps_nobody_out(page: Page, name: str) -> list[str]:
    """What axe finds serious or critical."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response
    assert found["passes"], "axe has looked at nothing"
    return [
        f"{name}: {rule['id']} {node['html'][:200]}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def test_no_page_keeps_anybody_out(page: Page, live_server: LiveServer, alice: Phone) -> None:
    page.goto(f"{live_server.url}/admin/login/")
    faults = keeps_nobody_out(page, "sign in")
    user = member("admin")
    sign_in(page, live_server, user)
    for name, address in (*pages_of(alice).items(), ("recovery codes", "/admin/second-factor/")):
        if name == "recovery codes":
            TOTP.activate(user, generate_totp_secret())
        page.goto(live_server.url + address)
        expect(page.locator("#page")).to_be_visible()
        faults += keeps_nobody_out(page, name)
        if not page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
            faults.append(f"{name}: wider than the screen")
    assert faults == []


def test_every_chart_says_the_same_as_a_table(laptop: Page, live_server: LiveServer, alice: Phone) -> None:
    # The dashboard tells of what was refused within 24 hours.
    device = Device.objects.get()
    caller = DeviceCaller(device.pk, alice.user.pk, "fish_oil")
    for minutes, placed in ((9, True), (6, False), (3, True)):
        now = clock.now() - timedelta(minutes=minutes)
        reading = Reading(cup_placed=placed, sensor_reading=100.0 if placed else 0.0, timestamp=now)
        telemetry.report_state(caller, reading, now=now)
    cache.delete(dashboard.KEY)
    sign_in(laptop, live_server, member("support_l2"))
    for address, least in (("/admin/", 2), (f"/admin/dispensers/{device.pk}/", 2)):
        laptop.goto(live_server.url + address)
        charts = laptop.locator("section:has(canvas)")
        assert charts.count() >= least, address
        for chart in charts.all():
            chart.get_by_text("As a table").click()
            expect(chart.get_by_role("table")).to_be_visible()
            drawn = json.loads(chart.locator("canvas").get_attribute("data-value") or "")
            rows = chart.locator("tbody tr").all_inner_texts()
            said = [
                [label, *(f"{each['data'][n]:g}" for each in drawn["datasets"])]
                for n, label in enumerate(drawn["labels"])
            ]
            assert [row.split("\t") for row in rows] == said


def test_a_customer_is_found_and_signed_out_with_the_keyboard_alone(
    laptop: Page, live_server: LiveServer, alice: Phone
) -> None:
    user = member("support_l2")
    laptop.goto(f"{live_server.url}/admin/")
    laptop.get_by_label("Email").focus()
    for text in (str(user.email), make.PASSWORD):
        laptop.keyboard.type(text)
        laptop.keyboard.press("Tab")
    laptop.locator("[name=password]").focus()
    laptop.keyboard.press("Enter")
    expect(laptop.get_by_role("heading", name="Dashboard")).to_be_visible()
    tab_to(laptop, "find")
    laptop.keyboard.type("alice@example.com")
    laptop.keyboard.press("Enter")
    expect(laptop.get_by_role("heading", name="Alice Aydın")).to_be_visible()
    tab_to(laptop, "End all sessions")
    laptop.keyboard.press("Enter")
    # A person's window stays in front; on a loaded machine Chromium's next page did not.
    expect(laptop.get_by_label("Reason")).to_be_visible()
    laptop.bring_to_front()
    expect(laptop.get_by_label("Reason")).to_be_focused()
    laptop.keyboard.type("The phone was stolen")
    laptop.keyboard.press("Tab")
    laptop.keyboard.press("Enter")
    expect(laptop.get_by_text("Done: End all sessions.")).to_be_visible()
    assert alice.get("/profile").status_code == 401


def test_the_language_and_new_recovery_codes_need_no_mouse(laptop: Page, live_server: LiveServer) -> None:
    user, secret = member("support_l1"), generate_totp_secret()
    TOTP.activate(user, secret)
    sign_in(laptop, live_server, user)
    laptop.get_by_label("Code").fill(code_of(secret))
    laptop.keyboard.press("Enter")
    expect(laptop.get_by_role("heading", name="Dashboard")).to_be_visible()
    tab_to(laptop, "Türkçe")
    laptop.keyboard.press("Enter")
    expect(laptop.locator("html")).to_have_attribute("lang", "tr")
    laptop.goto(f"{live_server.url}/admin/second-factor/")
    laptop.get_by_label("Kod").focus()
    laptop.keyboard.type(code_of(secret, steps=1))
    laptop.keyboard.press("Enter")
    expect(laptop.get_by_role("heading", name="Kurtarma kodları")).to_be_visible()
    assert laptop.get_by_role("listitem").count() == 10
    expect(laptop.get_by_role("button", name="English")).to_have_count(0)


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the element with that id or text has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if name in page.evaluate(
            "[document.activeElement.id, document.activeElement.lastChild?.textContent.trim()]"
        ):
            return
    pytest.fail(f"No Tab leads to {name}")


def test_the_navigation_of_a_phone_opens_and_closes_by_its_button(
    chromium: Browser, live_server: LiveServer
) -> None:
    context = chromium.new_context(locale="tr-TR", viewport=PHONE)  # type: ignore[arg-type]
    page = context.new_page()
    user = member("support_l1")
    page.goto(f"{live_server.url}/admin/")
    page.locator("[name=username]").fill(str(user.email))
    page.locator("[name=password]").fill(make.PASSWORD)
    page.keyboard.press("Enter")
    button = page.get_by_role("button", name="Gezinme")
    expect(button).to_have_attribute("aria-expanded", "false")
    button.press("Enter")
    expect(page.get_by_role("searchbox")).to_be_visible()
    context.close()
