from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from telemetry import reasons, safety
from telemetry.models import DeadLetter, Decision, SafetyStop
from zinzino import audit, clock
from zinzino.admin import BackOfficeAdmin, actor


class SafetyStopForm(forms.ModelForm):  # type: ignore[type-arg]
    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if data.get("scope"):
            safety.checked(SafetyStop.Scope(data["scope"]), data.get("value") or "")
        if data.get("until") and data["until"] <= clock.now():
            raise ValidationError({"until": _("This moment is over.")})
        return data


@admin.register(Decision)
class DecisionAdmin(BackOfficeAdmin):
    list_display = ("decided_at", "device", "should_dispense", "why")
    list_filter = ("should_dispense",)
    list_select_related = ("device",)

    @admin.display(description=gettext_lazy("why"))
    def why(self, decision: Decision) -> str:
        return reasons.explained(decision.reason, decision.trace) if decision.reason in reasons.REASONS else "–"


@admin.register(DeadLetter)
class DeadLetterAdmin(BackOfficeAdmin):
    """What dispensers sent and nobody could take."""

    list_display = ("received_at", "device", "code", "message")
    list_select_related = ("device",)
    ordering = ("-received_at",)


@admin.register(SafetyStop)
class SafetyStopAdmin(BackOfficeAdmin):
    """Who may add one may stop the fleet, and may lift what stops it."""

    list_display = ("scope", "value", "reason", "ordered_by", "ordered_at", "until", "lifted_at")
    list_filter = ("scope",)
    fields = ("scope", "value", "reason", "until")
    actions = ("lift",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("telemetry.add_safetystop"))

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
        about = audit.Thing("safety_stop", str(ordered.pk))
        covers = {"scope": obj.scope, "value": obj.value, "until": obj.until and clock.iso(obj.until)}
        audit.record(actor(request), "ordered", about, reason=obj.reason, after=covers)

    @admin.action(description=gettext_lazy("Lift the chosen stops"), permissions=["add"])
    def lift(self, request: HttpRequest, chosen: QuerySet[SafetyStop]) -> None:
        for stop in chosen.filter(lifted_at=None):
            safety.lift(SafetyStop.Scope(stop.scope), stop.value, by=str(request.user), now=clock.now())
            audit.record(actor(request), "lifted", audit.Thing("safety_stop", str(stop.pk)))
