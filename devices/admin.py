from collections.abc import Mapping
from typing import Any

from django.contrib import admin, messages
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from devices import claiming
from devices.models import Device, ManufacturedUnit, SupplementProfile
from zinzino import audit
from zinzino.admin import BackOfficeAdmin, actor


def by_serial(term: str) -> Mapping[str, Any]:
    """An address has colons; a serial is looked for by how it begins (the index ..._like)."""
    return {"mac_address": term.upper()} if ":" in term else {"serial_number__startswith": term.upper()}


@admin.register(Device)
class DeviceAdmin(BackOfficeAdmin):
    """Whose a dispenser is stands on its page in the desk, as far as its reader may know."""

    list_display = (
        "serial_number",
        "device_name",
        "device_type",
        "is_connected",
        "battery_level",
        "supplement_level",
        "firmware_version",
        "last_seen",
    )
    list_filter = ("device_type", "is_connected", "is_active")
    search_fields = ("serial_number", "mac_address")
    exclude = ("user",)
    desk_page = "admin:dispenser"
    ordering = ("serial_number",)

    def found(self, term: str) -> Mapping[str, Any] | None:
        return by_serial(term)


@admin.register(SupplementProfile)
class SupplementProfileAdmin(BackOfficeAdmin):
    """The one page where staff change numbers: what dispensers pour by that are added from now on."""

    list_display = ("device_type", "amount", "unit", "target_per_day", "max_per_day", "min_interval_min")
    readonly_fields = ("device_type",)
    ordering = ("device_type",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("devices.change_supplementprofile"))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        names = form.changed_data
        before = {name: str(form.initial.get(name)) for name in names}
        super().save_model(request, obj, form, change)
        about = audit.Thing("supplement_profile", str(obj.pk))
        after = {name: str(getattr(obj, name)) for name in names}
        audit.record(actor(request), "changed", about, before=before, after=after)


@admin.register(ManufacturedUnit)
class ManufacturedUnitAdmin(BackOfficeAdmin):
    """What the factory made, and whether somebody has added it."""

    list_display = ("serial_number", "mac_address", "device_type", "batch", "lot", "hardware_rev", "is_registered")
    list_filter = ("device_type",)
    search_fields = ("serial_number", "mac_address")
    exclude = ("claim_code_hash",)
    actions = ("forget_wrong_codes",)
    ordering = ("serial_number",)

    def found(self, term: str) -> Mapping[str, Any] | None:
        return by_serial(term)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ManufacturedUnit]:
        added = Device.objects.filter(serial_number=OuterRef("pk"))
        units: QuerySet[ManufacturedUnit] = super().get_queryset(request)
        return units.annotate(registered=Exists(added))

    @admin.display(boolean=True, description=gettext_lazy("registered"))
    def is_registered(self, unit: Any) -> bool:
        return bool(unit.registered)

    def has_help_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("backoffice.rearm_claim"))

    @admin.action(description=gettext_lazy("Forget wrong claim codes"), permissions=["help"])
    def forget_wrong_codes(self, request: HttpRequest, units: QuerySet[ManufacturedUnit]) -> None:
        """For somebody who has typed the code wrongly too often and is on the phone."""
        for serial_number in units.values_list("pk", flat=True):
            claiming.forget_tries(serial_number)
            audit.record(actor(request), "rearm_claim", audit.Thing("unit", serial_number))
        self.message_user(request, _("The codes can be tried again."), messages.SUCCESS)


# Its pages belong to this app.
import devices.firmware.admin  # noqa: E402, F401
