"""What the firmware routes accept and answer (iot.md 2)."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from devices.command_serializers import AckCode
from devices.firmware.jobs import Report
from devices.firmware.models import FirmwareJob
from telemetry.envelopes import MAX_BIGINT
from zinzino.api.fields import PlainText, StrictInteger

# A unit is offered something before it can say anything of it.
REPORTED = [each.value for each in FirmwareJob.Status if each.value not in ("offered", "timed_out", "cancelled")]


class CheckQuery(serializers.Serializer[Any]):
    version = PlainText(max_length=50, required=False, help_text="What runs; else what was said last.")
    hw = PlainText(max_length=50, required=False, help_text="The hardware, as in a manifest.")


class SignedManifest(serializers.Serializer[Any]):
    v = serializers.IntegerField()
    fw = serializers.CharField()
    hw = serializers.CharField()
    min_from = serializers.CharField(allow_null=True)
    size = serializers.IntegerField()
    sha256 = serializers.CharField()
    counter = serializers.IntegerField()
    key_id = serializers.CharField()


class Conditions(serializers.Serializer[Any]):
    battery_min = serializers.IntegerField()
    no_dose_within_s = serializers.IntegerField()


class Offered(serializers.Serializer[Any]):
    job_id = serializers.UUIDField()
    manifest = SignedManifest()
    signature = serializers.CharField(help_text="Ed25519 over the manifest, base64.")
    url = serializers.CharField()
    not_before = serializers.DateTimeField()
    deadline = serializers.DateTimeField()
    conditions = Conditions()


class Checked(Offered):
    """Without an update only `available` and `reason` are there."""

    available = serializers.BooleanField()
    reason = serializers.ChoiceField(
        ["no_update", "battery_low", "dose_soon", "dose_in_progress"], allow_null=True
    )
    job_id = serializers.UUIDField(required=False)
    manifest = SignedManifest(required=False)
    signature = serializers.CharField(required=False)
    url = serializers.CharField(required=False)
    not_before = serializers.DateTimeField(required=False)
    deadline = serializers.DateTimeField(required=False)
    conditions = Conditions(required=False)


class JobReport(serializers.Serializer[Any]):
    seq = StrictInteger(min_value=1, max_value=MAX_BIGINT)
    state = serializers.ChoiceField(REPORTED)
    progress = StrictInteger(min_value=0, max_value=100, required=False, allow_null=True)
    code = AckCode(required=False, allow_null=True)
    version = PlainText(max_length=50, required=False, allow_null=True)


class JobTaken(serializers.Serializer[Any]):
    state = serializers.ChoiceField(FirmwareJob.Status.choices)
    cancel = serializers.BooleanField(help_text="Leave it; it is offered again if it goes on.")


def report_of(form: Mapping[str, Any]) -> Report:
    return Report(**{name: form.get(name) for name in ("seq", "state", "progress", "code", "version")})  # type: ignore[arg-type]
