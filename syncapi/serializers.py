"""What section 5 accepts and answers."""

from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy
from rest_framework import serializers

from accounts.linking import Provider
from accounts.models import DataExport
from accounts.serializers import Profile
from devices.serializers import Device
from notifications.serializers import Notification, SharedSettings
from syncapi.feed import Phone, PlaceField
from telemetry.serializers import Activity, CurrentState
from zinzino.api.fields import Instant, Password, PlainText, QueriedInstant

NO_CLIENT_ID = UUID(int=0)


class DeviceInfo(serializers.Serializer[Any]):
    platform = PlainText(max_length=20, required=False)
    app_version = PlainText(max_length=20, required=False)
    os_version = PlainText(max_length=20, required=False)


class SyncRequest(serializers.Serializer[Any]):
    client_id = serializers.UUIDField(default=NO_CLIENT_ID, help_text="The installation's own id.")
    device_info = DeviceInfo(required=False)

    changes = serializers.ListField(
        required=False, max_length=0, help_text="Offline writes; not taken yet, and never dropped in silence."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs.pop("changes", None)
        attrs["phone"] = Phone(attrs.pop("client_id"), attrs.pop("device_info", {}))
        return attrs


class DeltaRequest(SyncRequest):
    last_sync = Instant(help_text="The `sync_timestamp` of the last answer, unchanged.")


class FullRequest(SyncRequest):
    cursor = PlaceField(required=False, allow_null=True)


class Full(serializers.Serializer[Any]):
    profile = Profile(allow_null=True)
    notification_settings = SharedSettings(allow_null=True)
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
    updated_notification_settings = SharedSettings(allow_null=True)
    updated_notifications = Notification(many=True)
    updated_activity_logs = Activity(many=True)
    sync_status = serializers.ChoiceField(["success", "partial"])
    applied = serializers.ListField(child=serializers.DictField())
    conflicts = serializers.ListField(child=serializers.DictField())
    rejected = serializers.ListField(child=serializers.DictField())
    sync_timestamp = serializers.DateTimeField()
    has_more = serializers.BooleanField()


class StatusQuery(serializers.Serializer[Any]):
    last_sync = QueriedInstant(required=False, default=None)
    client_id = serializers.UUIDField(required=False, default=None)


class Counts(serializers.Serializer[Any]):
    devices = serializers.IntegerField()
    activity_logs = serializers.IntegerField()
    notifications = serializers.IntegerField()


class Checksums(serializers.Serializer[Any]):
    """Lower-case hex sha256 of the ids since `window_start`, in lower case, sorted, joined by line feeds."""

    devices = serializers.CharField()
    activity_logs = serializers.CharField()
    notifications = serializers.CharField()


class Status(serializers.Serializer[Any]):
    last_full_sync = serializers.DateTimeField(allow_null=True)
    last_delta_sync = serializers.DateTimeField(allow_null=True)
    sync_status = serializers.ChoiceField(["success", "partial", "failed"], allow_null=True)
    server_time = serializers.DateTimeField()
    sync_timestamp = serializers.DateTimeField()
    window_start = serializers.DateTimeField(help_text="From here on the counts and checksums reach.")
    pending_changes = serializers.IntegerField(
        allow_null=True, max_value=1000, help_text="Objects that changed after `last_sync`; null without it."
    )
    full_sync_required = serializers.BooleanField()
    counts = Counts()
    checksums = Checksums()


class Confirmation(serializers.CharField):
    """The word DELETE, so that no slip of a finger ends an account."""

    default_error_messages = {"wrong": gettext_lazy("Must be DELETE.")}

    def to_internal_value(self, data: Any) -> str:
        if data != "DELETE":
            self.fail("wrong")
        return "DELETE"


class Deletion(serializers.Serializer[Any]):
    """`password`; or `provider` and `id_token` where the account has none."""

    confirmation = Confirmation(help_text="The word DELETE.")
    password = Password(max_length=1000, required=False)
    provider = serializers.ChoiceField([each.value for each in Provider], required=False)
    id_token = serializers.CharField(max_length=8192, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "password" not in attrs and not {"provider", "id_token"} <= set(attrs):
            raise serializers.ValidationError({"password": [self.fields["password"].error_messages["required"]]})
        return attrs


class RequestedExport(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    status = serializers.ChoiceField(DataExport.Status.choices)


class Export(RequestedExport):
    created_at = serializers.DateTimeField()
    ready_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    download_url = serializers.URLField(allow_null=True, help_text="Works without a token.")
