from django.contrib import admin

from telemetry.models import ActivityLog, Decision, Dispense
from zinzino.admin import BackOfficeAdmin


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


@admin.register(ActivityLog)
class ActivityLogAdmin(BackOfficeAdmin):
    list_display = ("timestamp", "action", "dose_amount", "triggered_by", "confirmation", "user_id")
    list_filter = ("action",)
    ordering = ("-timestamp",)
