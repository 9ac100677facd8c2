"""What section 3 accepts and answers."""

import re
from typing import Any

from django.utils.translation import gettext_lazy
from rest_framework import serializers

from devices.models import DeviceType, SetupState
from devices.plans import DAYS
from zinzino.api.fields import PlainText, StrictBoolean, StrictInteger


class MacAddress(serializers.CharField):
    """Normalised to `AA:BB:CC:DD:EE:FF`; nobody's and everybody's address are refused (api.md 3)."""

    default_error_messages = {"malformed": gettext_lazy("Must be a MAC address such as AA:BB:CC:DD:EE:FF.")}

    def to_internal_value(self, data: Any) -> str:
        address = str(super().to_internal_value(data)).upper().replace("-", ":")
        if not re.fullmatch(r"([0-9A-F]{2}:){5}[0-9A-F]{2}", address) or (
            len(set(address)) == 2 and address[0] in "0F"
        ):
            self.fail("malformed")
        return address


class SerialNumber(serializers.CharField):
    """3 to 100 of `A-Z 0-9 -`, taken in any case."""

    default_error_messages = {"malformed": gettext_lazy("Must be 3 to 100 letters, digits or hyphens.")}

    def to_internal_value(self, data: Any) -> str:
        serial = str(super().to_internal_value(data)).upper()
        if not re.fullmatch(r"[A-Z0-9-]{3,100}", serial):
            self.fail("malformed")
        return serial


class ClaimCode(serializers.CharField):
    """As people type it: in any case, with spaces and hyphens anywhere."""

    def to_internal_value(self, data: Any) -> str:
        return re.sub(r"[\s-]", "", str(super().to_internal_value(data))).upper()


class Register(serializers.Serializer[Any]):
    device_name = PlainText(max_length=255)
    device_type = serializers.ChoiceField(DeviceType.choices)
    mac_address = MacAddress()
    serial_number = SerialNumber()
    location = PlainText(max_length=255, required=False, allow_null=True)
    claim_code = ClaimCode(
        max_length=64,
        required=False,
        allow_null=True,
        help_text="Printed in the box; needed where the server asks for it.",
    )


class Settings(serializers.Serializer[Any]):
    led = serializers.ChoiceField(["on", "off", "auto"], required=False)
    volume = StrictInteger(min_value=0, max_value=10, required=False)
    child_lock = StrictBoolean(required=False)


class Update(serializers.Serializer[Any]):
    device_name = PlainText(max_length=255, required=False)
    location = PlainText(max_length=255, required=False, allow_null=True)
    is_active = StrictBoolean(required=False)
    settings = Settings(required=False)


class NewToken(serializers.Serializer[Any]):
    revoke_old = StrictBoolean(default=False)


class ListQuery(serializers.Serializer[Any]):
    include_inactive = serializers.BooleanField(default=False)
    sort = serializers.ChoiceField(["name", "created_at", "battery_level"], default="created_at")
    order = serializers.ChoiceField(["asc", "desc"], default="asc")


class Dose(serializers.Serializer[Any]):
    amount = serializers.FloatField()
    unit = serializers.CharField()


class Slot(serializers.Serializer[Any]):
    id = serializers.CharField()
    local_time = serializers.CharField(help_text="HH:MM in the plan's time zone.")
    days = serializers.ListField(child=serializers.ChoiceField(DAYS))
    before_min = serializers.IntegerField()
    after_min = serializers.IntegerField()


class Plan(serializers.Serializer[Any]):
    version = serializers.IntegerField()
    dose = Dose()
    target_per_day = serializers.IntegerField()
    max_per_day = serializers.IntegerField()
    min_interval_min = serializers.IntegerField()
    rolling_hours = serializers.IntegerField()
    slots = Slot(many=True)
    paused_until = serializers.DateTimeField(allow_null=True)
    timezone = serializers.CharField()
    updated_at = serializers.DateTimeField()


class PlanWarning(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField(help_text="In the reader's language.")


class PlanWithWarnings(Plan):
    warnings = PlanWarning(many=True)


class LastDecision(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    should_dispense = serializers.BooleanField()
    reason = serializers.CharField()
    reason_class = serializers.CharField(allow_null=True)
    dispense_id = serializers.UUIDField(allow_null=True)


class Device(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    user_id = serializers.UUIDField()
    device_name = serializers.CharField()
    device_type = serializers.ChoiceField(DeviceType.choices)
    mac_address = serializers.CharField()
    location = serializers.CharField(allow_null=True)
    battery_level = serializers.IntegerField(min_value=0, max_value=100)
    supplement_level = serializers.IntegerField(min_value=0, max_value=100)
    is_connected = serializers.BooleanField()
    last_sync = serializers.DateTimeField(allow_null=True)
    last_seen = serializers.DateTimeField(allow_null=True)
    firmware_version = serializers.CharField(allow_null=True)
    serial_number = serializers.CharField()
    total_doses_dispensed = serializers.IntegerField()
    is_active = serializers.BooleanField()
    setup_state = serializers.ChoiceField(SetupState.choices)
    plan = Plan()
    settings = Settings()
    last_decision = LastDecision(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class RegisteredDevice(Device):
    device_token = serializers.CharField(help_text="Shown this once.")


class IssuedToken(serializers.Serializer[Any]):
    device_token = serializers.CharField(help_text="Shown this once.")


class CurrentState(serializers.Serializer[Any]):
    cup_placed = serializers.BooleanField()
    last_state_change = serializers.DateTimeField(allow_null=True)


class Statistics(serializers.Serializer[Any]):
    daily_average = serializers.FloatField()
    weekly_total = serializers.IntegerField()
    monthly_total = serializers.IntegerField()


class DeviceDetails(Device):
    next_dose_at = serializers.DateTimeField(allow_null=True)
    current_state = CurrentState()
    statistics = Statistics()
