from django.contrib import admin

from accounts.models import Session, User
from zinzino.admin import BackOfficeAdmin


@admin.register(User)
class UserAdmin(BackOfficeAdmin):
    list_display = ("email", "full_name", "language", "is_verified", "is_active", "created_at")
    list_filter = ("is_active", "is_verified", "language")
    search_fields = ("email",)
    ordering = ("-created_at",)
    exclude = ("password",)


@admin.register(Session)
class SessionAdmin(BackOfficeAdmin):
    list_display = ("user", "platform", "app_version", "created_at", "last_seen_at", "ended_at", "end_reason")
    list_filter = ("platform", "end_reason")
    list_select_related = ("user",)
    ordering = ("-created_at",)
