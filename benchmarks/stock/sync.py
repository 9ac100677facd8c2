"""Section 5 of the API, by the times of the rows: simple, and not exact (a row committed late is missed)."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from benchmarks.stock import serializers as s
from benchmarks.stock.views import enveloped, person
from devices.models import Device
from notifications.models import Notification, NotificationSettings
from syncapi.models import SyncChange, SyncMetadata
from telemetry.models import ActivityLog

NO_CLIENT_ID = UUID(int=0)


class SyncViewSet(viewsets.ViewSet):
    def remember(self, user: User, **when: Any) -> None:
        SyncMetadata.objects.update_or_create(
            user_id=user.pk,
            client_id=NO_CLIENT_ID,
            defaults={"sync_status": "success", **when},
            create_defaults={"sync_status": "success", "created_at": timezone.now(), **when},
        )

    def delta(self, request: Request) -> Response:
        form = s.DeltaSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        since, now, user = form.validated_data["last_sync"], timezone.now(), person(request)
        self.remember(user, last_delta_sync=now)
        own = Device.objects.filter(user=user.pk)
        lines = ActivityLog.objects.filter(user_id=user.pk, timestamp__gt=since).order_by("timestamp")
        told = Notification.objects.filter(user=user.pk, created_at__gt=since).order_by("created_at")
        profile = User.objects.filter(pk=user.pk, updated_at__gt=since).first()
        wishes = NotificationSettings.objects.filter(pk=user.pk, updated_at__gt=since).first()
        gone: dict[str, list[Any]] = {"devices": [], "activity_logs": [], "notifications": []}
        for change in SyncChange.objects.filter(user=user.pk, op="D", ts__gt=since):
            gone.setdefault(f"{change.kind}s", []).append(change.object_id)
        return enveloped(
            {
                "updated_devices": s.DeviceSerializer(own.filter(updated_at__gt=since), many=True).data,
                "updated_states": s.StateSerializer(own.filter(last_state_change__gt=since), many=True).data,
                "new_activity_logs": s.ActivitySerializer(lines[: settings.SYNC_PAGE_ROWS], many=True).data,
                "new_notifications": s.NotificationSerializer(told[: settings.SYNC_PAGE_ROWS], many=True).data,
                "deleted_items": gone,
                "updated_profile": s.ProfileSerializer(profile).data if profile else None,
                "updated_notification_settings": s.SettingsSerializer(wishes).data if wishes else None,
                "sync_timestamp": now,
                "has_more": False,
            }
        )

    def full(self, request: Request) -> Response:
        now, user = timezone.now(), person(request)
        self.remember(user, last_full_sync=now)
        oldest, rows = now - timedelta(days=settings.SYNC_FULL_DAYS), settings.SYNC_PAGE_ROWS
        own = list(Device.objects.filter(user=user.pk).order_by("created_at"))
        lines = ActivityLog.objects.filter(user_id=user.pk, timestamp__gte=oldest).order_by("-timestamp", "-id")
        told = Notification.objects.filter(user=user.pk, created_at__gte=oldest).order_by("-created_at", "-id")
        return enveloped(
            {
                "profile": s.ProfileSerializer(user).data,
                "notification_settings": s.SettingsSerializer(NotificationSettings.objects.get(pk=user.pk)).data,
                "devices": s.DeviceSerializer(own, many=True).data,
                "states": s.StateSerializer(own, many=True).data,
                "activity_logs": s.ActivitySerializer(lines[:rows], many=True).data,
                "notifications": s.NotificationSerializer(told[:rows], many=True).data,
                "sync_timestamp": now,
                "has_more": False,
                "cursor": None,
            }
        )
