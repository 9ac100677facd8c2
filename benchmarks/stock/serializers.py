"""Rows as the product shows them."""

from datetime import timedelta
from typing import Any

from django.db.models import Q, Sum
from django.utils import timezone
from rest_framework import serializers

from accounts.models import User
from benchmarks.stock import doses
from devices.models import Device, DoseDay
from devices.plans import HIDDEN
from notifications.models import Notification, NotificationSettings
from telemetry.models import ActivityLog


class DeviceSerializer(serializers.ModelSerializer[Device]):
    plan = serializers.SerializerMethodField()

    class Meta:
        model = Device
        fields: tuple[str, ...] = (
            *("id", "user_id", "device_name", "device_type", "mac_address", "location", "battery_level"),
            *("supplement_level", "is_connected", "last_sync", "last_seen", "firmware_version", "serial_number"),
            *("total_doses_dispensed", "is_active", "setup_state", "plan", "settings", "last_decision"),
            *("created_at", "updated_at"),
        )

    def get_plan(self, device: Device) -> dict[str, Any]:
        shown = {name: value for name, value in device.plan.items() if name not in HIDDEN}
        return shown | {
            "version": device.plan_version,
            "timezone": device.timezone,
            "updated_at": device.plan.get("updated_at", device.created_at),
        }


class StateSerializer(serializers.ModelSerializer[Device]):
    device_id = serializers.UUIDField(source="id")

    class Meta:
        model = Device
        fields = ("device_id", "cup_placed", "sensor_reading", "last_state_change")


class NamedStateSerializer(StateSerializer):
    class Meta(StateSerializer.Meta):
        fields = (*StateSerializer.Meta.fields, "device_name")  # type: ignore[assignment]


class DetailsSerializer(DeviceSerializer):
    current_state = serializers.SerializerMethodField()
    statistics = serializers.SerializerMethodField()
    next_dose_at = serializers.SerializerMethodField()

    class Meta(DeviceSerializer.Meta):
        fields = (*DeviceSerializer.Meta.fields, "current_state", "statistics", "next_dose_at")

    def get_current_state(self, device: Device) -> dict[str, Any]:
        return {"cup_placed": device.cup_placed, "last_state_change": device.last_state_change}

    def get_statistics(self, device: Device) -> dict[str, Any]:
        today = device.dose_plan.local_date(timezone.now())
        found = DoseDay.objects.filter(
            device_id=device.pk, local_date__gt=today - timedelta(days=30), local_date__lte=today
        ).aggregate(month=Sum("doses"), week=Sum("doses", filter=Q(local_date__gt=today - timedelta(days=7))))
        days = min(30, (today - device.created_at.date()).days + 1)
        month = found["month"] or 0
        return {
            "daily_average": round(month / days, 1),
            "weekly_total": found["week"] or 0,
            "monthly_total": month,
        }

    def get_next_dose_at(self, device: Device) -> Any:
        return doses.next_dose_at(device, now=timezone.now())


class NotificationSerializer(serializers.ModelSerializer[Notification]):
    class Meta:
        model = Notification
        fields = (
            *("id", "type", "title", "message", "device_id", "is_read", "read_at", "metadata", "created_at"),
        )


class ActivitySerializer(serializers.ModelSerializer[ActivityLog]):
    class Meta:
        model = ActivityLog
        fields: tuple[str, ...] = (
            *("id", "device_id", "action", "dose_amount", "triggered_by", "timestamp", "local_date"),
            *("confirmation", "metadata"),
        )


class NamedActivitySerializer(ActivitySerializer):
    device_name = serializers.CharField()

    class Meta(ActivitySerializer.Meta):
        fields = (*ActivitySerializer.Meta.fields, "device_name")


class ProfileSerializer(serializers.ModelSerializer[User]):
    class Meta:
        model = User
        fields = (
            *("id", "email", "full_name", "profile_picture", "phone", "notification_enabled", "theme_preference"),
            *("language", "timezone", "is_verified", "created_at", "updated_at"),
        )


class SettingsSerializer(serializers.ModelSerializer[NotificationSettings]):
    class Meta:
        model = NotificationSettings
        exclude = ("user", "next_reminder_at", "replan_from")


class ReadingSerializer(serializers.Serializer[Any]):
    cup_placed = serializers.BooleanField()
    sensor_reading = serializers.FloatField(min_value=0, max_value=999.99, required=False, allow_null=True)
    timestamp = serializers.DateTimeField(required=False, allow_null=True)
    request_id = serializers.UUIDField(required=False, allow_null=True)


class StatusSerializer(serializers.Serializer[Any]):
    battery_level = serializers.IntegerField(min_value=0, max_value=100, required=False)
    supplement_level = serializers.IntegerField(min_value=0, max_value=100, required=False)
    is_connected = serializers.BooleanField(required=False)
    firmware_version = serializers.CharField(max_length=50, required=False)


class DeltaSerializer(serializers.Serializer[Any]):
    last_sync = serializers.DateTimeField()
