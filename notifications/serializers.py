"""What section 7 accepts and answers."""

import re
from datetime import time
from typing import Any

from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from notifications.models import NotificationType, Platform, Provider, PushContent, PushDelivery
from zinzino.api.fields import DayOrInstant, Instant, PlainText, StrictBoolean
from zinzino.api.pagination import PageQuery, Pagination

MAX_REMINDERS_A_DAY = 12
# The providers name no limit; what they give out has some hundred characters.
MAX_TOKEN = 4096


@extend_schema_field({"type": "string", "pattern": r"^([01]\d|2[0-3]):[0-5]\d$", "example": "08:00"})
class LocalTime(serializers.Field[time, Any, str, Any]):
    """A time of the day on the wall, `HH:MM`."""

    default_error_messages = {"invalid": gettext_lazy("Must be a time such as 08:00.")}

    def to_internal_value(self, data: Any) -> time:
        if not isinstance(data, str) or not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d(:00)?", data, re.ASCII):
            self.fail("invalid")
        return time.fromisoformat(data)

    def to_representation(self, value: time) -> str:
        return f"{value:%H:%M}"


class ListQuery(PageQuery):
    is_read = serializers.BooleanField(allow_null=True, default=None)
    type = serializers.ChoiceField(NotificationType.choices, default=None)
    device_id = serializers.UUIDField(default=None)
    start_date = DayOrInstant(default=None)
    end_date = DayOrInstant(default=None)


class ReadAll(serializers.Serializer[Any]):
    before = Instant(required=False)
    type = serializers.ChoiceField(NotificationType.choices, required=False)


class DeleteQuery(serializers.Serializer[Any]):
    """Only what was read can be deleted at once; the parameter says so, in case somebody forgets it."""

    is_read = serializers.ChoiceField(["true"])


class Notification(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    type = serializers.ChoiceField(NotificationType.choices)
    title = serializers.CharField()
    message = serializers.CharField()
    device_id = serializers.UUIDField(allow_null=True)
    is_read = serializers.BooleanField()
    read_at = serializers.DateTimeField(allow_null=True)
    metadata = serializers.DictField()
    created_at = serializers.DateTimeField()


class NotificationList(serializers.Serializer[Any]):
    notifications = Notification(many=True)
    unread_count = serializers.IntegerField()
    pagination = Pagination()


class UnreadCount(serializers.Serializer[Any]):
    unread_count = serializers.IntegerField()
    by_type = serializers.DictField(child=serializers.IntegerField())


class Marked(serializers.Serializer[Any]):
    marked_count = serializers.IntegerField()


class Deleted(serializers.Serializer[Any]):
    deleted_count = serializers.IntegerField()


class QuietHours(serializers.Serializer[Any]):
    """In the person's time zone; they may reach over midnight."""

    enabled = StrictBoolean(required=False)
    start = LocalTime(required=False)
    end = LocalTime(required=False)


class Wishes(serializers.Serializer[Any]):
    """What is the same on all phones of a person."""

    reminder_enabled = StrictBoolean(required=False)
    reminder_time = LocalTime(required=False, help_text="The first of `reminder_times`; replaces the list.")
    reminder_times = serializers.ListField(
        child=LocalTime(), required=False, min_length=1, max_length=MAX_REMINDERS_A_DAY
    )
    reminder_skip_if_taken = StrictBoolean(required=False)
    low_battery_enabled = StrictBoolean(required=False)
    low_supplement_enabled = StrictBoolean(required=False)
    achievement_enabled = StrictBoolean(required=False)
    device_offline_enabled = StrictBoolean(required=False)
    dose_missed_enabled = StrictBoolean(required=False)
    refill_due_enabled = StrictBoolean(required=False)
    push_content = serializers.ChoiceField(PushContent.choices, required=False)
    quiet_hours = QuietHours(required=False)


class SharedSettings(Wishes):
    """The wishes as they are shown, and as they travel in sync."""

    updated_at = serializers.DateTimeField()


class TokenText(serializers.CharField):
    default_error_messages = {"malformed": gettext_lazy("This is not a push token.")}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=MAX_TOKEN, trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if not re.fullmatch(r"[\x21-\x7e]+", text):
            self.fail("malformed")
        return text


class ChangeSettings(Wishes):
    push_token = TokenText(required=False, allow_null=True, help_text="The calling phone's own; null lets it go.")
    push_platform = serializers.ChoiceField(Platform.choices, required=False, allow_null=True)


class Settings(SharedSettings):
    timezone = serializers.CharField(help_text="That of the profile.")
    next_reminder_at = serializers.DateTimeField(allow_null=True)
    push_token = serializers.CharField(allow_null=True, help_text="The calling phone's own.")
    push_platform = serializers.ChoiceField(Platform.choices, allow_null=True)


class RegisterPhone(serializers.Serializer[Any]):
    token = TokenText()
    platform = serializers.ChoiceField(Platform.choices)
    provider = serializers.ChoiceField(Provider.choices, required=False)
    device_name = PlainText(max_length=100, required=False, allow_blank=True)
    local_reminders = StrictBoolean(required=False)


class Phone(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    token = serializers.CharField(help_text="Masked.")
    platform = serializers.ChoiceField(Platform.choices)
    provider = serializers.ChoiceField(Provider.choices)
    device_name = serializers.CharField()
    local_reminders = serializers.BooleanField()
    current = serializers.BooleanField(help_text="Whether this is the calling phone.")
    created_at = serializers.DateTimeField()
    registered_at = serializers.DateTimeField()


class QueuedDelivery(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    push_token_id = serializers.UUIDField()
    status = serializers.ChoiceField(PushDelivery.Status.choices)


class Trial(serializers.Serializer[Any]):
    deliveries = QueuedDelivery(many=True)


class Delivery(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    push_token_id = serializers.UUIDField(allow_null=True)
    notification_id = serializers.UUIDField(allow_null=True)
    type = serializers.CharField(help_text="Of the notification, or `test`.")
    status = serializers.ChoiceField(PushDelivery.Status.choices)
    reason = serializers.ChoiceField(
        PushDelivery.Reason.choices, allow_null=True, help_text="Why it is late, or was not sent."
    )
    attempts = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    next_attempt_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField()
    sent_at = serializers.DateTimeField(allow_null=True)
