"""What section 7 accepts and answers."""

from typing import Any

from rest_framework import serializers

from notifications.models import NotificationType
from zinzino.api.fields import Instant
from zinzino.api.pagination import PageQuery, Pagination


class ListQuery(PageQuery):
    is_read = serializers.BooleanField(allow_null=True, default=None)
    type = serializers.ChoiceField(NotificationType.choices, default=None)
    device_id = serializers.UUIDField(default=None)


class ReadAll(serializers.Serializer[Any]):
    before = Instant(required=False)
    type = serializers.ChoiceField(NotificationType.choices, required=False)


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
