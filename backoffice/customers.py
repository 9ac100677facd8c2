"""The page of one customer, as support needs it on the phone: few statements, each bounded, by an index."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.db import connection
from django.http import Http404, HttpRequest

from accounts.models import User
from devices.models import Device
from telemetry.models import ActivityLog
from zinzino import clock
from zinzino.admin import SEE_PERSONAL

UNLOCKED = "unlocked_customers"
# After the support code; a call is over by then.
UNLOCKED_FOR = timedelta(minutes=30)
SHOWN = 20
# Doses by activity_logs_of_user: the newest lines alone, whatever they are.
LINES = 40

# By primary keys and the indexes of each person's rows: sessions (user_id), push_deliveries_of_user,
# notifications_newest, mails (user_id).
DETAILS = """
SELECT json_build_object(
  'sessions', (SELECT coalesce(json_agg(s ORDER BY s.last_seen_at DESC), '[]') FROM (
      SELECT id, device_name, platform, app_version, address, created_at, last_seen_at, ended_at, end_reason
        FROM sessions WHERE user_id = %(id)s
       ORDER BY ended_at IS NOT NULL, last_seen_at DESC LIMIT %(most)s) s),
  'phones', (SELECT coalesce(json_agg(p), '[]') FROM (
      SELECT client_id, device_info, last_full_sync, last_delta_sync, sync_status
        FROM sync_metadata WHERE user_id = %(id)s ORDER BY last_delta_sync DESC NULLS LAST LIMIT %(most)s) p),
  'clock', (SELECT ts FROM sync_clock WHERE user_id = %(id)s),
  'push_tokens', (SELECT coalesce(json_agg(t), '[]') FROM (
      SELECT platform, provider, device_name, registered_at, ended_at, end_reason
        FROM push_tokens WHERE user_id = %(id)s ORDER BY ended_at IS NOT NULL, registered_at DESC LIMIT 10) t),
  'providers', (SELECT coalesce(json_agg(a.provider), '[]')
                  FROM socialaccount_socialaccount a WHERE a.user_id = %(id)s),
  'settings', (SELECT to_json(n) FROM notification_settings n WHERE n.user_id = %(id)s),
  'mails', (SELECT coalesce(json_agg(m), '[]') FROM (
      SELECT kind, "to", status, attempts, created_at, sent_at, last_error
        FROM mails WHERE user_id = %(id)s ORDER BY id DESC LIMIT %(most)s) m),
  'notifications', (SELECT coalesce(json_agg(n), '[]') FROM (
      SELECT id, type, title, is_read, created_at FROM notifications
       WHERE user_id = %(id)s ORDER BY created_at DESC, id DESC LIMIT %(most)s) n),
  'deliveries', (SELECT coalesce(json_agg(d), '[]') FROM (
      SELECT d.notification_id, d.kind, d.status, d.reason, d.detail, d.attempts, d.created_at, d.sent_at,
             t.device_name AS phone, t.platform
        FROM push_deliveries d LEFT JOIN push_tokens t ON t.id = d.phone_id
       WHERE d.user_id = %(id)s ORDER BY d.created_at DESC LIMIT %(most)s) d))::text"""


@dataclass(frozen=True, slots=True)
class Customer:
    """Somebody whose page was opened, and whether its reader may see who they are and act for them."""

    user: User
    is_open: bool

    @property
    def id(self) -> UUID:
        return self.user.pk


def of(request: HttpRequest, user_id: UUID) -> Customer:
    """Raises Http404, also for staff: no role below the administrators' looks into or acts on colleagues."""
    reader: Any = request.user
    user = User.objects.filter(pk=user_id, deleted_at=None).first()
    if user is None or (is_staff(user) and not reader.has_perm("backoffice.manage_staff")):
        raise Http404
    return Customer(user, reader.has_perm(SEE_PERSONAL) or is_unlocked(request, user_id))


def is_staff(user: User) -> bool:
    return user.is_staff or user.is_superuser


def is_unlocked(request: HttpRequest, user_id: UUID) -> bool:
    """Whether this session was given the customer's support code a short while ago."""
    until = request.session.get(UNLOCKED, {}).get(str(user_id))
    return bool(until) and datetime.fromisoformat(until) > clock.now()


def unlock(request: HttpRequest, user_id: UUID, *, until: datetime) -> None:
    kept = {pk: end for pk, end in request.session.get(UNLOCKED, {}).items() if end > clock.now().isoformat()}
    request.session[UNLOCKED] = kept | {str(user_id): until.isoformat()}


def details(user_id: UUID) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(DETAILS, {"id": user_id, "most": SHOWN})
        found: dict[str, Any] = orjson.loads(cursor.fetchone()[0])
    return found


def devices(user_id: UUID) -> list[Device]:
    return list(Device.objects.filter(user_id=user_id).order_by("created_at", "pk")[:SHOWN])


def lines(user_id: UUID) -> list[ActivityLog]:
    """The newest of the person's log; by activity_logs_of_user."""
    return list(ActivityLog.objects.filter(user_id=user_id).order_by("-timestamp", "-id")[:LINES])
