from django.contrib import admin

from notifications.models import Notification
from zinzino.admin import BackOfficeAdmin


@admin.register(Notification)
class NotificationAdmin(BackOfficeAdmin):
    list_display = ("created_at", "user", "type", "title", "is_read")
    list_filter = ("type", "is_read")
    list_select_related = ("user",)
    ordering = ("-created_at",)
