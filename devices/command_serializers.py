"""What commands accept and answer (iot.md 2)."""

from typing import Any

import orjson
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from devices.models import DeviceCommand
from zinzino.api.fields import StrictInteger

MAX_PARAMS_BYTES = 1024
MAX_TTL_S = 86_400
MAX_WAIT_S = 25
FOR_DEVICE = ("id", "type", "params", "status", "created_at", "expires_at")


class SmallObject(serializers.DictField):
    """Free JSON of at most a kilobyte."""

    default_error_messages = {"too_long": gettext_lazy("At most 1024 bytes of JSON.")}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        value: dict[str, Any] = super().to_internal_value(data)
        try:
            fits = len(orjson.dumps(value)) <= MAX_PARAMS_BYTES
        except TypeError:  # a number that JSON has and no column takes
            fits = False
        if not fits:
            self.fail("too_long")
        return value


class Give(serializers.Serializer[Any]):
    type = serializers.ChoiceField(DeviceCommand.Type.choices)
    params = SmallObject(default=dict)
    ttl_s = StrictInteger(min_value=1, max_value=MAX_TTL_S, required=False, allow_null=True)


class ListQuery(serializers.Serializer[Any]):
    limit = serializers.IntegerField(min_value=1, max_value=100, default=20)


class Command(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    type = serializers.ChoiceField(DeviceCommand.Type.choices)
    params = serializers.DictField()
    status = serializers.ChoiceField(DeviceCommand.Status.choices)
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()


class CommandWithResult(Command):
    code = serializers.CharField(allow_null=True)
    result = serializers.DictField(allow_null=True)


class CommandList(serializers.Serializer[Any]):
    commands = CommandWithResult(many=True)


class CommandsForDevice(serializers.Serializer[Any]):
    commands = Command(many=True)


@extend_schema_field({"type": ["integer", "string"]})
class AckCode(serializers.Field[str, Any, str, Any]):
    """A number or a word of the dispenser's own."""

    default_error_messages = {"invalid": gettext_lazy("Must be an integer or at most 50 characters.")}

    def to_internal_value(self, data: Any) -> str:
        if isinstance(data, bool) or not isinstance(data, (int, str)) or len(str(data)) > 50:
            self.fail("invalid")
        return str(data)


class Ack(serializers.Serializer[Any]):
    status = serializers.ChoiceField(["received", "succeeded", "failed", "rejected"])
    code = AckCode(required=False, allow_null=True)
    result = SmallObject(required=False, allow_null=True)


class Acked(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    status = serializers.ChoiceField(DeviceCommand.Status.choices)


class WaitQuery(serializers.Serializer[Any]):
    wait = serializers.IntegerField(min_value=0, max_value=MAX_WAIT_S, default=0, help_text="Seconds.")


def shown(command: DeviceCommand) -> dict[str, Any]:
    """As its dispenser sees it."""
    return {name: getattr(command, name) for name in FOR_DEVICE}


def shown_to_person(command: DeviceCommand) -> dict[str, Any]:
    return {name: getattr(command, name) for name in (*FOR_DEVICE, "code", "result")}
