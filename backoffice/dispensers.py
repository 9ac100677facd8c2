"""The page of one dispenser: what happened, why, and what it said of itself; bounded, by its indexes."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from django.db import connection
from django.http import Http404

from devices.models import Device
from telemetry.models import ActivityLog, Decision
from zinzino import clock

SHOWN = 20
LINES, SAMPLES = 40, 200
DAYS = 30
# Beyond these, nobody knows of a level that has not changed since.
DAYS_BEFORE = 90

DETAILS = """
SELECT json_build_object(
  'states', (SELECT coalesce(json_agg(s), '[]') FROM (
      SELECT timestamp, cup_placed, sensor_reading, time_quality FROM device_states
       WHERE device_id = %(id)s ORDER BY timestamp DESC, id DESC LIMIT %(most)s) s),
  'samples', (SELECT coalesce(json_agg(s ORDER BY s.timestamp), '[]') FROM (
      SELECT timestamp, battery_level, supplement_level, rssi FROM device_samples
       WHERE device_id = %(id)s ORDER BY timestamp DESC, id DESC LIMIT %(samples)s) s),
  'reports', (SELECT coalesce(json_agg(r), '[]') FROM (
      SELECT timestamp, kind, data FROM device_reports
       WHERE device_id = %(id)s ORDER BY timestamp DESC, id DESC LIMIT %(most)s) r),
  'days', (SELECT coalesce(json_agg(r ORDER BY r.local_date), '[]') FROM (
      SELECT local_date, connected_ms, disconnects, battery_used, supplement_used, connected_since,
             battery_level, supplement_level
        FROM device_rollups WHERE device_id = %(id)s AND local_date > %(since)s) r),
  'levels_before', (SELECT to_json(r) FROM (
      SELECT battery_level, supplement_level FROM device_rollups
       WHERE device_id = %(id)s AND local_date BETWEEN %(earliest)s AND %(since)s AND battery_level IS NOT NULL
       ORDER BY local_date DESC LIMIT 1) r),
  'credentials', (SELECT coalesce(json_agg(c), '[]') FROM (
      SELECT id, created_at, first_used_at, ended_at, by_device FROM device_credentials
       WHERE device_id = %(id)s ORDER BY id DESC LIMIT 10) c),
  'alerts', (SELECT coalesce(json_agg(a), '[]') FROM (
      SELECT kind, severity, episodes, low_told_at, critical_told_at FROM alert_states
       WHERE device_id = %(id)s ORDER BY kind) a),
  'commands', (SELECT coalesce(json_agg(c), '[]') FROM (
      SELECT type, status, created_at, expires_at, delivered_at, finished_at, code FROM device_commands
       WHERE device_id = %(id)s ORDER BY id DESC LIMIT 10) c),
  'unit', (SELECT to_json(u) FROM (
      SELECT batch, lot, hardware_rev, imported_at FROM manufactured_units WHERE serial_number = %(serial)s) u)
)::text"""


def of(device_id: UUID) -> Device:
    """With its owner. Raises Http404."""
    device = Device.objects.select_related("user").filter(pk=device_id, user__deleted_at=None).first()
    if device is None:
        raise Http404
    return device


def details(device: Device) -> dict[str, Any]:
    """By the indexes of each table's dispensers: so many rows of each, however long it has been in use."""
    since = today(device) - timedelta(days=DAYS)
    asked: dict[str, Any] = {
        "id": device.pk,
        "serial": device.serial_number,
        "most": SHOWN,
        "samples": SAMPLES,
        "since": since,
        "earliest": since - timedelta(days=DAYS_BEFORE),
    }
    with connection.cursor() as cursor:
        cursor.execute(DETAILS, asked)
        found: dict[str, Any] = orjson.loads(cursor.fetchone()[0])
    return found


def today(device: Device) -> date:
    """Where the dispenser stands."""
    return clock.now().astimezone(ZoneInfo(device.timezone)).date()


def levels_by_day(device: Device, found: dict[str, Any]) -> list[tuple[date, int, int]]:
    """Battery and supplement in per cent, as last heard when each of the last days ended.

    From the first that is known of. A day on which nothing changed has no level of its own; that of the newest
    report is what the dispenser has now.
    """
    known = {each["local_date"]: each for each in found["days"] if each["battery_level"] is not None}
    if device.levels_at:
        heard = device.levels_at.astimezone(ZoneInfo(device.timezone)).date().isoformat()
        now = {"battery_level": device.battery_level, "supplement_level": device.supplement_level}
        known.setdefault(heard, now)
    held, days = found["levels_before"], []
    for day in (today(device) - timedelta(days=back) for back in reversed(range(DAYS))):
        held = known.get(day.isoformat(), held)
        if held:
            days.append((day, held["battery_level"], held["supplement_level"]))
    return days


def lines(device: Device) -> list[ActivityLog]:
    """The newest of its log, of this owner alone; by activity_logs_of_device."""
    own = ActivityLog.objects.filter(device_id=device.pk, user_id=device.user_id)
    return list(own.order_by("-timestamp", "-id")[:LINES])


def decisions(device: Device) -> list[Decision]:
    return list(Decision.objects.filter(device=device).order_by("-decided_at")[:SHOWN])
