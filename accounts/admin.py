from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.contrib import admin

from accounts.models import Session, User
from zinzino.admin import BackOfficeAdmin

# allauth registers pages on which links could be edited by hand, and tables that stay empty.
for model in (EmailAddress, SocialAccount, SocialApp, SocialToken):
    admin.site.unregister(model)


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
