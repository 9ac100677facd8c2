from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from devices.models import Device, SupplementProfile
from zinzino.admin import BackOfficeAdmin


@admin.register(Device)
class DeviceAdmin(BackOfficeAdmin):
    list_display = (
        "serial_number",
        "device_name",
        "device_type",
        "user",
        "is_connected",
        "battery_level",
        "supplement_level",
        "firmware_version",
        "last_seen",
    )
    list_filter = ("device_type", "is_connected", "is_active")
    list_select_related = ("user",)
    search_fields = ("serial_number", "mac_address")
    ordering = ("-created_at",)


@admin.register(SupplementProfile)
class SupplementProfileAdmin(BackOfficeAdmin):
    """The one page where staff change numbers: what dispensers pour by that are added from now on."""

    list_display = ("device_type", "amount", "unit", "target_per_day", "max_per_day", "min_interval_min")
    readonly_fields = ("device_type",)
    ordering = ("device_type",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("devices.change_supplementprofile"))
