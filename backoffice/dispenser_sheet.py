"""A dispenser's page in words; each decision with its reason in the reader's language."""

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from django.urls import reverse
from django.utils.translation import gettext as _

from backoffice import dispensers, masking, words
from backoffice.sections import Button, Chart, Facts, Link, Mark, Series, Sheet, Table, Times, status, yes_no
from devices.models import Device
from devices.plans import DAYS, Slot
from telemetry import reasons
from telemetry.models import ActivityLog, Decision

BATTERY, SUPPLEMENT = "var(--color-primary-600)", "#0f766e"
MS_AN_HOUR = 3_600_000


def sheet(device: Device, *, buttons: list[Button], sees_owner: bool, opens_owner: bool) -> Sheet:
    times = Times(ZoneInfo(device.timezone))
    found = dispensers.details(device)
    sections = [
        facts(device, found, times, sees_owner=sees_owner, opens_owner=opens_owner),
        decisions(dispensers.decisions(device), times),
        timeline(dispensers.lines(device), times),
        *charts(device, found, times),
        plan(device),
        states(found, times),
        alerts(found, times),
        reports(found, times),
        commands(found, times),
        credentials(found, times),
    ]
    note = _("Times are those of %(zone)s.") % {"zone": device.timezone}
    return Sheet(device.serial_number, sections, buttons, note=note)


def facts(device: Device, found: dict[str, Any], times: Times, *, sees_owner: bool, opens_owner: bool) -> Facts:
    unit = found["unit"] or {}
    return Facts(
        _("Dispenser"),
        [
            (_("Owner"), owner(device, sees=sees_owner, opens=opens_owner)),
            (_("Name"), device.device_name),
            (_("Type"), words.said(device.device_type)),
            (_("Connected"), yes_no(device.is_connected)),
            (_("MQTT"), yes_no(device.mqtt_online)),
            (_("Last contact"), times(device.contact_at)),
            (_("Battery"), f"{device.battery_level} %"),
            (_("Supplement"), f"{device.supplement_level} %"),
            (_("Levels of"), times(device.levels_at)),
            (_("Cup"), yes_no(device.cup_placed)),
            (_("Doses dispensed"), str(device.total_doses_dispensed)),
            (_("Firmware"), device.firmware_version or "–"),
            (_("Hardware"), device.hardware_rev or unit.get("hardware_rev") or "–"),
            (_("Production lot"), unit.get("lot") or "–"),
            (_("MAC address"), device.mac_address),
            (_("Switched on"), yes_no(device.is_active)),
            (_("Added"), times(device.created_at)),
            (_("Id"), str(device.pk)),
        ],
    )


def owner(device: Device, *, sees: bool, opens: bool) -> Any:
    user = device.user
    shown = (user.full_name or user.email or str(user.pk)) if sees else masking.email(user.email)
    return Link(shown, reverse("admin:customer", args=[user.pk])) if opens else shown


def decisions(found: list[Decision], times: Times) -> Table:
    rows = [
        [
            times(each.decided_at),
            Mark(_("Poured"), "success") if each.should_dispense else Mark(_("Not poured"), "warning"),
            explained(each),
            str(reasons.REASONS[each.reason].what_to_do) if each.reason in reasons.REASONS else "",
        ]
        for each in found
    ]
    return Table(_("Why it poured or did not"), [_("When"), _("Decision"), _("Why"), _("What to do")], rows)


def explained(decision: Decision) -> str:
    """As the app shows it; a reason of a later version stands as it is."""
    if decision.reason not in reasons.REASONS:
        return decision.reason
    return reasons.explained(decision.reason, decision.trace)


def timeline(lines: list[ActivityLog], times: Times) -> Table:
    rows = [
        [
            times(line.timestamp),
            words.said(line.action),
            line.dose_amount or "",
            status(line.confirmation) if line.confirmation else "",
        ]
        for line in lines
    ]
    return Table(_("Timeline"), [_("When"), _("What"), _("Amount"), _("Known from")], rows)


def charts(device: Device, found: dict[str, Any], times: Times) -> list[Chart]:
    """The levels of each day stand there for every dispenser that has said one; samples only journals bring."""
    days = dispensers.levels_by_day(device, found)
    drawn = [levels_by_day(days)] if days else []
    if found["samples"]:
        drawn.append(samples(found["samples"], times))
    return [*drawn, presence(found["days"]), used(found["days"])]


def levels_by_day(days: list[tuple[date, int, int]]) -> Chart:
    return Chart(
        _("Levels at the end of the day, per cent"),
        _("Day"),
        [day.isoformat() for day, _battery, _supplement in days],
        [
            Series(_("Battery"), [battery for _day, battery, _supplement in days], BATTERY),
            Series(_("Supplement"), [supplement for _day, _battery, supplement in days], SUPPLEMENT),
        ],
    )


def samples(samples: list[dict[str, Any]], times: Times) -> Chart:
    return Chart(
        _("Levels as its journal has them, per cent"),
        _("When"),
        [times(each["timestamp"]) for each in samples],
        [
            Series(_("Battery"), [each["battery_level"] for each in samples], BATTERY),
            Series(_("Supplement"), [each["supplement_level"] for each in samples], SUPPLEMENT),
        ],
    )


def presence(days: list[dict[str, Any]]) -> Chart:
    hours = [round(each["connected_ms"] / MS_AN_HOUR, 1) for each in days]
    return Chart(
        _("Connected, hours a day"),
        _("Day"),
        [each["local_date"] for each in days],
        [
            Series(_("Hours"), hours, BATTERY),
            Series(_("Disconnections"), [each["disconnects"] for each in days], SUPPLEMENT),
        ],
        draws="bar",
    )


def used(days: list[dict[str, Any]]) -> Chart:
    return Chart(
        _("Used, percentage points a day"),
        _("Day"),
        [each["local_date"] for each in days],
        [
            Series(_("Battery"), [each["battery_used"] for each in days], BATTERY),
            Series(_("Supplement"), [each["supplement_used"] for each in days], SUPPLEMENT),
        ],
        draws="bar",
    )


def plan(device: Device) -> Facts:
    held = device.dose_plan
    minutes = int(held.min_interval.total_seconds() // 60)
    rows: list[tuple[str, Any]] = [
        (_("Dose"), held.dose_text),
        (
            _("Doses a day"),
            _("%(target)s, at most %(most)s") % {"target": held.target_per_day, "most": held.max_per_day},
        ),
        (_("Least time between two"), _("%(n)s minutes") % {"n": minutes}),
        (_("Paused until"), Times(held.zone)(held.paused_until)),
        (_("Version"), str(held.version)),
    ]
    return Facts(_("Plan"), [*rows, *((_("Slot"), slot_text(slot)) for slot in held.slots)])


def slot_text(slot: Slot) -> str:
    """`08:00 (-60 / +120 min)`, with its days of the week where it has not all."""
    days = (
        "" if len(slot.days) == len(DAYS) else " " + ", ".join(words.said(day) for day in DAYS if day in slot.days)
    )
    return f"{slot.local_time:%H:%M} (−{slot.before_min} / +{slot.after_min} min){days}"


def states(found: dict[str, Any], times: Times) -> Table:
    rows = [
        [
            times(each["timestamp"]),
            yes_no(each["cup_placed"]),
            "–" if each["sensor_reading"] is None else str(each["sensor_reading"]),
            words.said(each["time_quality"]),
        ]
        for each in found["states"]
    ]
    return Table(_("Cup readings"), [_("When"), _("Cup"), _("Sensor"), _("Clock")], rows)


def alerts(found: dict[str, Any], times: Times) -> Table:
    rows = [
        [
            words.said(each["kind"]),
            Mark(words.said(each["severity"]), "danger") if each["severity"] else Mark(_("None open"), "success"),
            str(each["episodes"]),
            times(each["critical_told_at"] or each["low_told_at"]),
        ]
        for each in found["alerts"]
    ]
    return Table(_("Alerts"), [_("Type"), _("State"), _("Times"), _("Told")], rows)


def reports(found: dict[str, Any], times: Times) -> Table:
    rows = [
        [times(each["timestamp"]), words.said(each["kind"]), str(each["data"])[:300]] for each in found["reports"]
    ]
    return Table(_("What it reported"), [_("When"), _("Type"), _("What")], rows)


def commands(found: dict[str, Any], times: Times) -> Table:
    rows = [
        [times(each["created_at"]), words.said(each["type"]), status(each["status"]), times(each["finished_at"])]
        for each in found["commands"]
    ]
    return Table(_("Commands"), [_("When"), _("Type"), _("State"), _("Finished")], rows)


def credentials(found: dict[str, Any], times: Times) -> Table:
    rows = [
        [
            times(each["created_at"]),
            times(each["first_used_at"]),
            times(each["ended_at"]) if each["ended_at"] else Mark(_("Good"), "success"),
            yes_no(each["by_device"]),
        ]
        for each in found["credentials"]
    ]
    headers = [_("Made"), _("First used"), _("Ended"), _("Taken by the dispenser itself")]
    return Table(_("Device tokens"), headers, rows)
