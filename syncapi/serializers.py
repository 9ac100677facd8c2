"""What section 5 accepts and answers."""

from typing import Any
from uuid import UUID

from rest_framework import serializers

from accounts.serializers import Profile
from devices.serializers import Device
from notifications.serializers import Notification
from syncapi.feed import Phone, PlaceField
from telemetry.serializers import Activity, CurrentState
from zinzino.api.fields import Instant, PlainText

NO_CLIENT_ID = UUID(int=0)


class DeviceInfo(serializers.Serializer[Any]):
    platform = PlainText(max_length=20, required=False)
    app_version = PlainText(max_length=20, required=False)
    os_version = PlainText(max_length=20, required=False)


class SyncRequest(serializers.Serializer[Any]):
    client_id = serializers.UUIDField(default=NO_CLIENT_ID, help_text="The installation's own id.")
    device_info = DeviceInfo(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs["phone"] = Phone(attrs.pop("client_id"), attrs.pop("device_info", {}))
        return attrs


class DeltaRequest(SyncRequest):
    last_sync = Instant(help_text="The `sync_timestamp` of the last answer, unchanged.")


class FullRequest(SyncRequest):
    cursor = PlaceField(required=False, allow_null=True)


class NotificationSettings(serializers.Serializer[Any]):
    reminder_enabled = serializers.BooleanField()
    reminder_time = serializers.CharField()
    reminder_times = serializers.ListField(child=serializers.CharField())
    reminder_skip_if_taken = serializers.BooleanField()
    low_battery_enabled = serializers.BooleanField()
    low_supplement_enabled = serializers.BooleanField()
    achievement_enabled = serializers.BooleanField()
    device_offline_enabled = serializers.BooleanField()
    dose_missed_enabled = serializers.BooleanField()
    refill_due_enabled = serializers.BooleanField()
    updated_at = serializers.DateTimeField()


class Full(serializers.Serializer[Any]):
    profile = Profile(allow_null=True)
    notification_settings = NotificationSettings(allow_null=True)
    devices = Device(many=True)
    states = CurrentState(many=True)
    activity_logs = Activity(many=True)
    notifications = Notification(many=True)
    sync_timestamp = serializers.DateTimeField()
    has_more = serializers.BooleanField()
    cursor = serializers.CharField(allow_null=True)


class Deleted(serializers.Serializer[Any]):
    devices = serializers.ListField(child=serializers.UUIDField())
    activity_logs = serializers.ListField(child=serializers.UUIDField())
    notifications = serializers.ListField(child=serializers.UUIDField())


class Delta(serializers.Serializer[Any]):
    updated_devices = Device(many=True)
    updated_states = CurrentState(many=True)
    new_activity_logs = Activity(many=True)
    new_notifications = Notification(many=True)
    deleted_items = Deleted()
    updated_profile = Profile(allow_null=True)
    updated_notification_settings = NotificationSettings(allow_null=True)
    updated_notifications = Notification(many=True)
    updated_activity_logs = Activity(many=True)
    sync_status = serializers.ChoiceField(["success", "partial"])
    applied = serializers.ListField(child=serializers.DictField())
    conflicts = serializers.ListField(child=serializers.DictField())
    rejected = serializers.ListField(child=serializers.DictField())
    sync_timestamp = serializers.DateTimeField()
    has_more = serializers.BooleanField()
