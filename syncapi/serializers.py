"""What section 5 accepts and answers."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts import serializers as accounts
from accounts.authentication import caller
from accounts.linking import Provider
from accounts.models import DataExport
from accounts.serializers import Profile
from devices.serializers import Device, Update
from notifications.serializers import Notification, SharedSettings
from syncapi.edits import NO_CLIENT_ID, RULES, Sent
from syncapi.feed import Phone, PlaceField
from telemetry.serializers import Activity, CurrentState
from zinzino.api.fields import Instant, Password, PlainText, QueriedInstant

MOST_CHANGES = 100


class DeviceInfo(serializers.Serializer[Any]):
    platform = PlainText(max_length=20, required=False)
    app_version = PlainText(max_length=20, required=False)
    os_version = PlainText(max_length=20, required=False)


class Change(serializers.Serializer[Any]):
    """One offline write; what is wrong with it is said in `rejected`, so that it stops no other."""

    mutation_id = serializers.UUIDField(help_text="Made by the phone; the same one again has no effect.")
    entity = serializers.ChoiceField(sorted({entity for entity, _ in RULES}))
    op = serializers.ChoiceField(sorted({op for _, op in RULES}))
    id = serializers.UUIDField(required=False, help_text="May be left out where a person has only one.")
    base_version = Instant(required=False, help_text="The `sync_timestamp` at the time of the edit.")
    client_timestamp = serializers.CharField(required=False, help_text="For support; it orders nothing.")

    def get_fields(self) -> dict[str, Any]:
        # The class itself has a `fields`.
        return {**super().get_fields(), "fields": serializers.DictField(required=False)}


@extend_schema_field(Change)
class ChangeField(serializers.Field[Sent, Any, Any, Any]):
    """Taken as it is: only what names it has to be there."""

    default_error_messages = {"invalid": gettext_lazy("Must be an object.")}

    def to_internal_value(self, data: Any) -> Sent:
        if not isinstance(data, dict):
            self.fail("invalid")
        try:
            mutation_id = serializers.UUIDField().run_validation(data.get("mutation_id"))
        except serializers.ValidationError as error:
            raise serializers.ValidationError({"mutation_id": error.detail}) from error
        return Sent(mutation_id, data)


class SyncRequest(serializers.Serializer[Any]):
    client_id = serializers.UUIDField(default=NO_CLIENT_ID, help_text="The installation's own id.")
    device_info = DeviceInfo(required=False)
    changes = serializers.ListField(
        child=ChangeField(), max_length=MOST_CHANGES, default=list, help_text="Offline writes, in their order."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        user = caller(self.context["request"])
        info = attrs.pop("device_info", {})
        attrs["phone"] = Phone(attrs.pop("client_id"), user.session_id, user.timezone, info)
        return attrs


class DeltaRequest(SyncRequest):
    last_sync = Instant(help_text="The `sync_timestamp` of the last answer, unchanged.")


class FullRequest(SyncRequest):
    cursor = PlaceField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """There is no `last_sync` that a change could be based on; and changes come with the first page."""
        missing = [self.fields["client_id"].error_messages["required"]]
        faults: dict[str, Any] = {
            str(number): {"base_version": missing}
            for number, each in enumerate(attrs["changes"])
            if each.raw.get("base_version") is None
        }
        if faults:
            raise serializers.ValidationError({"changes": faults})
        if attrs["changes"] and attrs.get("cursor"):
            raise serializers.ValidationError({"changes": [_("Changes are sent with the first page.")]})
        return super().validate(attrs)


class DeviceUpdate(Update):
    base_version = Instant(
        required=False, help_text="Refuse with 409 what has changed since this `sync_timestamp`."
    )


class ProfileUpdate(accounts.ProfileUpdate):
    base_version = Instant(
        required=False, help_text="Refuse with 409 what has changed since this `sync_timestamp`."
    )


class Applied(serializers.Serializer[Any]):
    mutation_id = serializers.UUIDField()
    entity = serializers.CharField()
    id = serializers.UUIDField()
    status = serializers.ChoiceField(["applied", "duplicate", "noop"])
    version = serializers.DateTimeField()


class LostField(serializers.Serializer[Any]):
    client = serializers.JSONField(allow_null=True)
    server = serializers.JSONField(allow_null=True)
    server_changed_at = serializers.DateTimeField(allow_null=True)


class Conflict(serializers.Serializer[Any]):
    mutation_id = serializers.UUIDField()
    entity = serializers.CharField()
    id = serializers.UUIDField()
    type = serializers.ChoiceField(["field_conflict", "deleted_on_server", "already_exists"])
    resolution = serializers.ChoiceField(["server_wins"])
    base_version = serializers.DateTimeField()
    server_version = serializers.DateTimeField()
    applied_fields = serializers.ListField(child=serializers.CharField())
    server_record = serializers.DictField(allow_null=True, help_text="As in the lists; null where it is deleted.")

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), "fields": serializers.DictField(child=LostField())}


class Rejected(serializers.Serializer[Any]):
    mutation_id = serializers.UUIDField()
    code = serializers.ChoiceField(
        ["VALIDATION_ERROR", "NOT_FOUND", "FORBIDDEN", "DUPLICATE_ENTRY", "UNSUPPORTED"]
    )
    message = serializers.CharField()
    details = serializers.DictField()


class Told(serializers.Serializer[Any]):
    """What came of the changes."""

    sync_status = serializers.ChoiceField(["success", "partial"])
    applied = Applied(many=True)
    conflicts = Conflict(many=True)
    rejected = Rejected(many=True)


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
    # Where there were changes.
    sync_status = serializers.ChoiceField(["success", "partial"], required=False)
    applied = Applied(many=True, required=False)
    conflicts = Conflict(many=True, required=False)
    rejected = Rejected(many=True, required=False)


class Deleted(serializers.Serializer[Any]):
    devices = serializers.ListField(child=serializers.UUIDField())
    activity_logs = serializers.ListField(child=serializers.UUIDField())
    notifications = serializers.ListField(child=serializers.UUIDField())


class Delta(Told):
    updated_devices = Device(many=True)
    updated_states = CurrentState(many=True)
    new_activity_logs = Activity(many=True)
    new_notifications = Notification(many=True)
    deleted_items = Deleted()
    updated_profile = Profile(allow_null=True)
    updated_notification_settings = SharedSettings(allow_null=True)
    updated_notifications = Notification(many=True)
    updated_activity_logs = Activity(many=True)
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


class Ticket(serializers.Serializer[Any]):
    ticket = serializers.CharField()
    url = serializers.CharField(help_text="The whole address of the socket; `&since=` may be appended.")
    expires_in = serializers.IntegerField(help_text="Seconds.")
