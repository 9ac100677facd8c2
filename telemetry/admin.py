from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest

from telemetry import safety
from telemetry.models import ActivityLog, Decision, Dispense, SafetyStop
from zinzino import clock
from zinzino.admin import BackOfficeAdmin


class SafetyStopForm(forms.ModelForm):  # type: ignore[type-arg]
    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if data.get("scope"):
            safety.checked(SafetyStop.Scope(data["scope"]), data.get("value") or "")
        if data.get("until") and data["until"] <= clock.now():
            raise ValidationError({"until": "This moment is over."})
        return data


@admin.register(Decision)
class DecisionAdmin(BackOfficeAdmin):
    list_display = ("decided_at", "device", "should_dispense", "reason")
    list_filter = ("should_dispense", "reason")
    list_select_related = ("device",)
    ordering = ("-decided_at",)


@admin.register(Dispense)
class DispenseAdmin(BackOfficeAdmin):
    list_display = ("authorized_at", "user", "family", "amount", "unit", "status")
    list_filter = ("status", "family")
    list_select_related = ("user",)
    ordering = ("-authorized_at",)


@admin.register(SafetyStop)
class SafetyStopAdmin(BackOfficeAdmin):
    """Who may add one may stop the fleet: superusers, until roles say otherwise."""

    list_display = ("scope", "value", "reason", "ordered_by", "ordered_at", "until", "lifted_at")
    list_filter = ("scope",)
    fields = ("scope", "value", "reason", "until")
    actions = ("lift",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, form=SafetyStopForm, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        ordered = safety.order(
            SafetyStop.Scope(obj.scope),
            obj.value,
            reason=obj.reason,
            until=obj.until,
            by=str(request.user),
            now=clock.now(),
        )
        obj.pk = ordered.pk

    @admin.action(description="Lift the chosen stops", permissions=["add"])
    def lift(self, request: HttpRequest, chosen: QuerySet[SafetyStop]) -> None:
        for stop in chosen.filter(lifted_at=None):
            safety.lift(SafetyStop.Scope(stop.scope), stop.value, by=str(request.user), now=clock.now())


@admin.register(ActivityLog)
class ActivityLogAdmin(BackOfficeAdmin):
    list_display = ("timestamp", "action", "dose_amount", "triggered_by", "confirmation", "user_id")
    list_filter = ("action",)
    ordering = ("-timestamp",)
