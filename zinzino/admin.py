"""The one base of every page of the back office: change it here to change the theme of all."""

from typing import Any, ClassVar

from django.db import models
from django.http import HttpRequest
from unfold.admin import ModelAdmin


class BackOfficeAdmin(ModelAdmin):
    """Read-only pages that stay quick on large tables; support acts through actions, never by editing."""

    list_per_page = 50
    show_full_result_count = False
    ordering: ClassVar[tuple[str, ...]] = ("-pk",)

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """A filter in the address must not find out, letter by letter, what the page does not show."""
        hidden = any(word in lookup for word in ("password", "token_hash", "claim_code"))
        return not hidden and bool(super().lookup_allowed(lookup, value, request))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
