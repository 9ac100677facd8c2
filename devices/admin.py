from typing import Any

from django.contrib import admin, messages
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest

from devices import claiming
from devices.models import Device, ManufacturedUnit, SupplementProfile
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


@admin.register(ManufacturedUnit)
class ManufacturedUnitAdmin(BackOfficeAdmin):
    """What the factory made, and whether somebody has added it."""

    list_display = ("serial_number", "mac_address", "device_type", "batch", "lot", "hardware_rev", "is_registered")
    list_filter = ("device_type",)
    search_fields = ("serial_number", "mac_address", "lot", "batch")
    exclude = ("claim_code_hash",)
    actions = ("forget_wrong_codes",)
    ordering = ("serial_number",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ManufacturedUnit]:
        added = Device.objects.filter(serial_number=OuterRef("pk"))
        units: QuerySet[ManufacturedUnit] = super().get_queryset(request)
        return units.annotate(registered=Exists(added))

    @admin.display(boolean=True, description="registered")
    def is_registered(self, unit: Any) -> bool:
        return bool(unit.registered)

    def has_help_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("devices.change_manufacturedunit"))

    @admin.action(description="Forget wrong claim codes", permissions=["help"])
    def forget_wrong_codes(self, request: HttpRequest, units: QuerySet[ManufacturedUnit]) -> None:
        """For somebody who has typed the code wrongly too often and is on the phone."""
        for serial_number in units.values_list("pk", flat=True):
            claiming.forget_tries(serial_number)
        self.message_user(request, "The codes can be tried again.", messages.SUCCESS)
