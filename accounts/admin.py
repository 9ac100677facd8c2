from collections.abc import Mapping
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.models import Mail, User, normalized_email
from zinzino.admin import BackOfficeAdmin

# allauth registers pages on which links and factors could be edited by hand, and tables that stay empty; Django
# one on which groups could be, which are a table in code (`backoffice.roles`).
for model in (EmailAddress, SocialAccount, SocialApp, SocialToken, Authenticator, Group):
    if admin.site.is_registered(model):
        admin.site.unregister(model)


@admin.register(User)
class UserAdmin(BackOfficeAdmin):
    list_display = ("email", "full_name", "language", "is_verified", "is_active", "created_at")
    list_filter = ("is_active", "is_verified", "language")
    search_fields = ("email", "phone")
    ordering = ("-created_at",)
    exclude = ("password",)
    is_personal = True
    desk_page = "admin:customer"

    def found(self, term: str) -> Mapping[str, Any] | None:
        return {"email": normalized_email(term)} if "@" in term else {"phone": term}

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """Colleagues are on another page, for those who may see it."""
        people: QuerySet[User] = super().get_queryset(request)
        return people.filter(deleted_at=None, is_staff=False, is_superuser=False)


@admin.register(Mail)
class MailAdmin(BackOfficeAdmin):
    """Whether a mail went out. Its text holds links that open accounts, and is shown to nobody."""

    list_display = ("created_at", "kind", "to", "status", "attempts", "sent_at", "last_error")
    list_filter = ("status",)
    exclude = ("text", "html", "user")
    is_personal = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Mail]:
        """Without a colleague's: whom a link went to is nothing for the desk."""
        mails: QuerySet[Mail] = super().get_queryset(request)
        return mails.defer("text", "html")
