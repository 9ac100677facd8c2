"""Lists of the house itself: the audit log, and the staff with their roles."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from backoffice import words
from backoffice.models import StaffMember
from backoffice.roles import ROLES
from zinzino import audit
from zinzino.admin import BackOfficeAdmin, actor
from zinzino.models import AuditEntry


@admin.register(AuditEntry)
class AuditEntryAdmin(BackOfficeAdmin):
    list_display = ("at", "actor", "done", "about", "object_id", "reason", "address")
    # By the indexes of objects and actors: in the address, as /admin/zinzino/auditentry/?object_id=…
    list_filter = ("object_type",)
    search_fields = ("object_id",)

    @admin.display(description=gettext_lazy("what was done"))
    def done(self, entry: AuditEntry) -> str:
        return words.said(entry.action)

    @admin.display(description=gettext_lazy("about"))
    def about(self, entry: AuditEntry) -> str:
        return words.thing(entry.object_type)

    def found(self, term: str) -> dict[str, Any]:
        return {"object_type__in": KINDS, "object_id": term}


KINDS = (
    "customer",
    "device",
    "staff",
    "unit",
    "safety_stop",
    "supplement_profile",
    "firmware_release",
    "firmware_rollout",
    # Rows of lists that name people.
    "user",
    "mail",
    "notification",
    "pushdelivery",
    "staffmember",
)


@admin.register(StaffMember)
class StaffMemberAdmin(BackOfficeAdmin):
    """Who works here, and as what. Accounts are made by `manage.py create_staff`; superusers are out of reach."""

    list_display = ("email", "full_name", "is_active", "is_superuser", "last_login")
    ordering = ("-created_at",)
    fields = ("email", "full_name", "is_active", "last_login", "groups")
    readonly_fields = ("email", "full_name", "last_login")
    is_personal = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[StaffMember]:
        """By users_of_staff."""
        people: QuerySet[StaffMember] = super().get_queryset(request)
        return people.filter(Q(is_staff=True) | Q(is_superuser=True))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody gives themselves a role, and nobody touches a superuser."""
        allowed = request.user.has_perm("backoffice.manage_staff")
        return bool(allowed and (obj is None or (not obj.is_superuser and obj.pk != request.user.pk)))

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Boxes to tick: a list that filters is not for a keyboard."""
        roles = Group.objects.filter(name__in=ROLES).order_by("name")
        widget = UnfoldAdminCheckboxSelectMultipleWidget()
        return db_field.formfield(queryset=roles, widget=widget, required=False, help_text="", **kwargs)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        member = form.instance
        before = {"roles": roles_of(member), "is_active": form.initial["is_active"]}
        with transaction.atomic():
            super().save_related(request, form, formsets, change)
            after = {"roles": roles_of(member), "is_active": member.is_active}
            about = audit.Thing("staff", str(member.pk))
            audit.record(actor(request), "roles_changed", about, before=before, after=after)


def roles_of(member: StaffMember) -> list[str]:
    return list(member.groups.order_by("name").values_list("name", flat=True))
