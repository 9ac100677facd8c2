from django.contrib import admin

from devices.models import Device
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
