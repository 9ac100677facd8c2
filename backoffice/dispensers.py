"""The page of one dispenser: what happened, why, and what it said of itself; bounded, by its indexes."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
from django.db import connection
from django.http import Http404

from devices.models import Device
from telemetry.models import ActivityLog, Decision
from zinzino import clock

SHOWN = 20
LINES, SAMPLES = 40, 200
DAYS = 30

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
      SELECT local_date, connected_ms, disconnects, battery_used, supplement_used, connected_since
        FROM device_rollups WHERE device_id = %(id)s AND local_date > %(since)s) r),
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
    asked: dict[str, Any] = {
        "id": device.pk,
        "serial": device.serial_number,
        "most": SHOWN,
        "samples": SAMPLES,
        "since": clock.now().date() - timedelta(days=DAYS),
    }
    with connection.cursor() as cursor:
        cursor.execute(DETAILS, asked)
        found: dict[str, Any] = orjson.loads(cursor.fetchone()[0])
    return found


def lines(device: Device) -> list[ActivityLog]:
    """The newest of its log, of this owner alone; by activity_logs_of_device."""
    own = ActivityLog.objects.filter(device_id=device.pk, user_id=device.user_id)
    return list(own.order_by("-timestamp", "-id")[:LINES])


def decisions(device: Device) -> list[Decision]:
    return list(Decision.objects.filter(device=device).order_by("-decided_at")[:SHOWN])
