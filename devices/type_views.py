"""The kinds of dispensers, for the app that adds one (api.md 10)."""

from typing import Any

from django.http import HttpResponseBase
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from devices import plans
from devices.models import DeviceType, SupplementProfile
from zinzino.api.schema import operation
from zinzino.api.service_views import tagged
from zinzino.api.views import OpenViewSet, Request

NAMES = {
    DeviceType.FISH_OIL: _("Fish oil"),
    DeviceType.VITAMIN_D: _("Vitamin D"),
    DeviceType.KRILL_OIL: _("Krill oil"),
    DeviceType.VEGAN: _("Vegan omega"),
}


class Kind(serializers.Serializer[Any]):
    code = serializers.ChoiceField(DeviceType.values)
    name = serializers.CharField()
    default_dose = serializers.CharField(help_text="`5ml`, `1000IU`.")


class DeviceTypesViewSet(OpenViewSet):
    @operation("The kinds of dispensers, with their usual dose", response=Kind, many=True, auth="none")
    def list(self, request: Request) -> HttpResponseBase:
        staffed = {row.device_type: row.defaults for row in SupplementProfile.objects.all()}
        defaults = {code: staffed.get(code, plans.DEFAULTS[code]) for code in NAMES}
        return tagged(
            request,
            [
                {
                    "code": code.value,
                    "name": str(name),
                    "default_dose": plans.dose_text(defaults[code].amount, defaults[code].unit),
                }
                for code, name in NAMES.items()
            ],
        )
