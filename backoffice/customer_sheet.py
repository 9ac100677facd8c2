"""A customer's page in words: what `customers` found, for a reader who may see all of it or little."""

from typing import Any
from zoneinfo import ZoneInfo

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import lock
from accounts.models import User
from backoffice import customers, masking, words
from backoffice.customers import Customer
from backoffice.sections import Button, Facts, Link, Mark, Sheet, Table, Times, status, yes_no
from devices.models import Device
from telemetry.models import ActivityLog
from zinzino.api.client import network_of


def sheet(customer: Customer, *, buttons: list[Button], correct: bool) -> Sheet:
    """`correct`: whether its reader may write down what became of a dose."""
    times = Times(ZoneInfo(customer.user.timezone))
    if not customer.is_open:
        note = _("Personal data is hidden. Ask the customer for a support code: app, Settings, Support.")
        own = customers.devices(customer.id)
        return Sheet(_("Customer"), [masked_profile(customer.user, times), dispensers(own, times)], note=note)
    found = customers.details(customer.id)
    own = customers.devices(customer.id)
    sections = [
        profile(customer.user, found, times),
        dispensers(own, times),
        doses(customers.lines(customer.id), own, customer, times, correct=correct),
        sessions(customer, found, times, may_end=any("revoke_sessions" in each.href for each in buttons)),
        notifications(found, times),
        deliveries(found, times),
        phones(found, times),
        mails(found, times),
        sync(found, times),
    ]
    note = _("Times are those of %(zone)s.") % {"zone": customer.user.timezone}
    return Sheet(customer.user.full_name or _("Customer"), sections, buttons, note=note)


def masked_profile(user: User, times: Times) -> Facts:
    return Facts(
        _("Profile"),
        [
            (_("Name"), masking.name(user.full_name)),
            (_("E-mail"), masking.email(user.email)),
            (_("Phone"), masking.phone(user.phone)),
            (_("Customer since"), times(user.created_at)),
            (_("Active"), yes_no(user.is_active)),
        ],
    )


def profile(user: User, found: dict[str, Any], times: Times) -> Facts:
    networks = {network_of(each["address"]) for each in found["sessions"] if each["address"]}
    locked = lock.waits(user.email, networks) if user.email else 0
    return Facts(
        _("Profile"),
        [
            (_("Name"), user.full_name),
            (_("E-mail"), user.email or "–"),
            (_("Confirmed"), yes_no(user.is_verified)),
            (_("Phone"), user.phone or "–"),
            (_("Language"), words.said(user.get_language_display())),
            (_("Time zone"), user.timezone),
            (_("Signs in with"), ", ".join(each.title() for each in found["providers"]) or _("Password")),
            (_("Active"), yes_no(user.is_active)),
            (_("Login lock"), locked_for(locked) if locked else Mark(_("Not locked"), "success")),
            (_("Notifications"), yes_no(user.notification_enabled)),
            (_("Reminders"), reminders(found["settings"])),
            (_("Next reminder"), times((found["settings"] or {}).get("next_reminder_at"))),
            (_("Customer since"), times(user.created_at)),
            (_("Id"), str(user.pk)),
        ],
    )


def locked_for(seconds: int) -> Mark:
    minutes = -(-seconds // 60)
    return Mark(
        ngettext("Locked for %(n)s minute", "Locked for %(n)s minutes", minutes) % {"n": minutes}, "danger"
    )


def reminders(settings: dict[str, Any] | None) -> str:
    if not settings or not settings["reminder_enabled"]:
        return _("Off")
    return ", ".join(each[:5] for each in settings["reminder_times"])


def dispensers(own: list[Device], times: Times) -> Table:
    headers = [
        _("Serial number"),
        _("Name"),
        _("Type"),
        _("Connected"),
        _("Battery"),
        _("Supplement"),
        _("Last seen"),
    ]
    rows = [
        [
            Link(device.serial_number, reverse("admin:dispenser", args=[device.pk])),
            device.device_name,
            words.said(device.device_type),
            yes_no(device.is_connected),
            f"{device.battery_level} %",
            f"{device.supplement_level} %",
            times(device.last_seen),
        ]
        for device in own
    ]
    return Table(_("Dispensers"), headers, rows)


def doses(
    lines: list[ActivityLog], own: list[Device], customer: Customer, times: Times, *, correct: bool
) -> Table:
    names = {device.pk: device.device_name for device in own}
    rows = [
        [
            times(line.timestamp),
            words.said(line.action),
            line.dose_amount or "",
            names.get(line.device_id, "–") if line.device_id else "–",
            status(line.confirmation) if line.confirmation else "",
            correction(line, customer) if correct and is_unsure(line) else "",
        ]
        for line in lines
    ]
    headers = [_("When"), _("What"), _("Amount"), _("Dispenser"), _("Known from"), _("Correct")]
    return Table(_("Newest lines of the log"), headers, rows)


def is_unsure(line: ActivityLog) -> bool:
    """What a person's word may still settle (`telemetry.answers`)."""
    if line.metadata.get("resolved_as"):
        return False
    return line.action == "dose_failed" or (
        line.action == "dose_dispensed" and line.confirmation in ("none", "assumed")
    )


def correction(line: ActivityLog, customer: Customer) -> Link:
    page = reverse("admin:customer_action", args=[customer.id, "correct_dose"])
    return Link(_("Correct"), f"{page}?item={line.pk}")


def sessions(customer: Customer, found: dict[str, Any], times: Times, *, may_end: bool) -> Table:
    page = reverse("admin:customer_action", args=[customer.id, "revoke_session"])
    headers = [_("Phone"), _("App"), _("Address"), _("Signed in"), _("Last seen"), _("State"), _("End")]
    rows = [
        [
            each["device_name"] or words.said(each["platform"] or "unknown"),
            each["app_version"],
            each["address"] or "–",
            times(each["created_at"]),
            times(each["last_seen_at"]),
            Mark(words.said(each["end_reason"])) if each["ended_at"] else Mark(_("Signed in"), "success"),
            Link(_("End"), f"{page}?item={each['id']}") if may_end and not each["ended_at"] else "",
        ]
        for each in found["sessions"]
    ]
    return Table(_("Sessions"), headers, rows)


def notifications(found: dict[str, Any], times: Times) -> Table:
    rows = [
        [times(each["created_at"]), words.said(each["type"]), each["title"], yes_no(each["is_read"])]
        for each in found["notifications"]
    ]
    return Table(_("Notifications"), [_("When"), _("Type"), _("Title"), _("Read")], rows)


def deliveries(found: dict[str, Any], times: Times) -> Table:
    """The ledger: which push went to which phone, or why it did not."""
    rows = [
        [
            times(each["created_at"]),
            words.said(each["kind"]),
            each["phone"] or each["platform"] or "–",
            status(each["status"]),
            words.said(each["reason"]) if each["reason"] else "",
            each["detail"],
            times(each["sent_at"]),
        ]
        for each in found["deliveries"]
    ]
    headers = [_("When"), _("Type"), _("Phone"), _("State"), _("Reason"), _("Provider said"), _("Sent")]
    return Table(_("Pushes"), headers, rows)


def phones(found: dict[str, Any], times: Times) -> Table:
    rows = [
        [
            each["device_name"] or each["platform"],
            each["provider"].upper(),
            times(each["registered_at"]),
            Mark(words.said(each["end_reason"])) if each["ended_at"] else Mark(_("Reached"), "success"),
        ]
        for each in found["push_tokens"]
    ]
    return Table(_("Phones that are told"), [_("Phone"), _("By"), _("Registered"), _("State")], rows)


def mails(found: dict[str, Any], times: Times) -> Table:
    rows = [
        [
            times(each["created_at"]),
            words.said(each["kind"]),
            each["to"],
            status(each["status"]),
            times(each["sent_at"]),
            each["last_error"],
        ]
        for each in found["mails"]
    ]
    return Table(_("Mails"), [_("When"), _("Type"), _("To"), _("State"), _("Sent"), _("Error")], rows)


def sync(found: dict[str, Any], times: Times) -> Table:
    rows = [
        [
            " ".join(
                filter(None, (str(each["device_info"].get(name, "")) for name in ("platform", "app_version")))
            )
            or each["client_id"],
            times(each["last_full_sync"]),
            times(each["last_delta_sync"]),
            Mark(words.said(each["sync_status"]), "success" if each["sync_status"] == "success" else "warning"),
        ]
        for each in found["phones"]
    ]
    note = _("Newest change: %(moment)s") % {"moment": times(found["clock"])}
    return Table(_("Synchronisation"), [_("Phone"), _("Whole copy"), _("Changes"), _("State")], rows, note)
