from django.contrib import admin

from notifications.models import Notification, PushDelivery, PushRoute
from zinzino.admin import BackOfficeAdmin


@admin.register(Notification)
class NotificationAdmin(BackOfficeAdmin):
    list_display = ("created_at", "user", "type", "title", "is_read")
    list_filter = ("type",)
    list_select_related = ("user",)
    is_personal = True


@admin.register(PushDelivery)
class PushDeliveryAdmin(BackOfficeAdmin):
    """The ledger: what was sent to which phone, or why it was not."""

    list_display = ("created_at", "user", "kind", "status", "reason", "attempts", "sent_at", "detail")
    list_filter = ("status",)
    list_select_related = ("user",)
    exclude = ("phone",)
    is_personal = True


@admin.register(PushRoute)
class PushRouteAdmin(BackOfficeAdmin):
    """Whether a provider takes our pushes."""

    list_display = ("name", "failures", "open_until", "detail")
    ordering = ("name",)
