"""What hello, heartbeat and rotation accept and answer (iot.md 2)."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from devices.command_serializers import Command
from devices.serializers import Dose as PlannedDose
from devices.serializers import MacAddress, Settings
from telemetry.contact import Hello
from telemetry.envelopes import MAX_BIGINT
from telemetry.events import DeviceClock
from telemetry.firmware_serializers import Offered
from telemetry.iot_serializers import Acked
from telemetry.presence import Status
from telemetry.serializers import DAY_S
from zinzino.api.fields import PlainText, StrictInteger


class Number(StrictInteger):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=0, max_value=MAX_BIGINT, required=False, allow_null=True, **kwargs)


class Percent(StrictInteger):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=0, max_value=100, required=False, allow_null=True, **kwargs)


class Introduction(serializers.Serializer[Any]):
    boot = Number()
    conn = Number()
    reset_reason = PlainText(max_length=100, required=False, allow_null=True)
    firmware_version = PlainText(max_length=50, required=False, allow_null=True)
    hardware_rev = PlainText(max_length=50, required=False, allow_null=True)
    mac_address = MacAddress(required=False, allow_null=True)
    battery_level = Percent()
    supplement_level = Percent()
    unsynced = Number(help_text="How many events wait in the journal.")
    clk = serializers.ChoiceField([each.value for each in DeviceClock], required=False, allow_null=True)


class Heartbeat(serializers.Serializer[Any]):
    battery_level = Percent()
    supplement_level = Percent()
    rssi = StrictInteger(min_value=-200, max_value=0, required=False, allow_null=True)
    boot = Number()
    conn = Number()
    next_contact_s = StrictInteger(min_value=1, max_value=30 * DAY_S, required=False, allow_null=True)


class Welcome(serializers.Serializer[Any]):
    plan_version = serializers.IntegerField()
    dose = PlannedDose()
    next_dose_at = serializers.DateTimeField(allow_null=True)
    settings = Settings()
    acked = Acked(allow_null=True, help_text="Of the journal that was heard of last.")
    commands = Command(many=True)
    firmware = Offered(allow_null=True, help_text="An update that may be taken now.")
    rotate_token = serializers.BooleanField(help_text="Take a token of your own: POST /iot/credentials/rotate.")
    heartbeat_s = serializers.IntegerField()
    server_time = serializers.DateTimeField()
    server_ms = serializers.IntegerField()


class HeartbeatTaken(serializers.Serializer[Any]):
    plan_version = serializers.IntegerField()
    pending_commands = serializers.IntegerField()
    heartbeat_s = serializers.IntegerField()


class Rotate(serializers.Serializer[Any]):
    reason = PlainText(max_length=100, required=False, allow_null=True)


class RotatedToken(serializers.Serializer[Any]):
    token = serializers.CharField(help_text="Shown this once; the former one ends when this one is first used.")


def hello_of(form: Mapping[str, Any]) -> Hello:
    levels = {name: form.get(name) for name in ("battery_level", "supplement_level", "firmware_version")}
    rest = {name: form.get(name) for name in ("boot", "conn", "reset_reason", "hardware_rev", "mac_address")}
    return Hello(status=Status(**levels), **rest)


def status_of(form: Mapping[str, Any]) -> Status:
    return Status(**{name: form.get(name) for name in ("battery_level", "supplement_level", "next_contact_s")})
