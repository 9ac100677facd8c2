"""What a dispenser of the full protocol sends (iot.md 2): a request for a dose, its outcome, its journal."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from telemetry import envelopes
from telemetry.events import DeviceClock, JournalEvent, Reading, Sent, Trigger
from telemetry.models import Dispense
from telemetry.outcomes import Outcome, Report
from telemetry.serializers import MAX_SENSOR, OutcomeReport
from zinzino import clock
from zinzino.api.fields import Instant, StrictBoolean, StrictInteger, StrictNumber
from zinzino.api.forms import filled_in

# One request carries what a few cups left behind; a long journal goes to the events endpoint first.
MAX_UNSYNCED = 50
MAX_BIGINT = 2**63 - 1
# 1970 to 9000; an unset clock is dealt with where times are judged.
MAX_EPOCH_MS = 221_845_392_000_000


class EpochMs(StrictInteger):
    """Epoch milliseconds, as an instant."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=0, max_value=MAX_EPOCH_MS, **kwargs)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        ms = super().run_validation(data)
        return ms if ms is None else clock.from_epoch_ms(ms)


def report_of(data: Mapping[str, Any]) -> Report:
    return Report(Outcome(data["outcome"]), data.get("amount"))


class StateEvent(serializers.Serializer[Any]):
    cup_placed = StrictBoolean()
    sensor_reading = StrictNumber(min_value=0, max_value=MAX_SENSOR, required=False, allow_null=True)


class DoseEvent(OutcomeReport):
    dispense_id = serializers.UUIDField(required=False, allow_null=True)


KINDS: dict[str, type[serializers.Serializer[Any]]] = {"state": StateEvent, "dose": DoseEvent}


class Unsynced(serializers.Serializer[Any]):
    """An event of the journal; of the kinds, only those matter to a decision that KINDS names."""

    id = serializers.UUIDField()
    boot = StrictInteger(min_value=0, max_value=MAX_BIGINT, required=False, allow_null=True)
    seq = StrictInteger(min_value=0, max_value=MAX_BIGINT, default=0)
    ts = EpochMs(required=False, allow_null=True)
    up = StrictInteger(min_value=0, max_value=MAX_EPOCH_MS, required=False, allow_null=True)
    k = serializers.CharField(max_length=20)
    d = serializers.DictField(default=dict)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if kind := KINDS.get(attrs["k"]):
            try:
                attrs["d"] = filled_in(kind, attrs["d"])
            except serializers.ValidationError as error:
                raise serializers.ValidationError({"d": error.detail}) from error
        return attrs


class DispenseRequest(serializers.Serializer[Any]):
    request_id = serializers.UUIDField()
    cup_placed = StrictBoolean()
    sensor_reading = StrictNumber(min_value=0, max_value=MAX_SENSOR, required=False, allow_null=True)
    ts = EpochMs(required=False, allow_null=True)
    clk = serializers.ChoiceField([each.value for each in DeviceClock], default=DeviceClock.OK.value)
    boot = StrictInteger(min_value=0, max_value=MAX_BIGINT, required=False, allow_null=True)
    up = StrictInteger(min_value=0, max_value=MAX_EPOCH_MS, required=False, allow_null=True)
    trigger = serializers.ChoiceField([each.value for each in Trigger], default=Trigger.CUP.value)
    unsynced = serializers.ListField(child=Unsynced(), default=list, max_length=MAX_UNSYNCED)


def reading_of(data: Mapping[str, Any]) -> Reading:
    """A dispenser whose clock is not set asks at this moment."""
    clk = DeviceClock(data["clk"])
    return Reading(
        cup_placed=data["cup_placed"],
        sensor_reading=data.get("sensor_reading"),
        timestamp=None if clk is DeviceClock.NONE else data.get("ts"),
        request_id=data["request_id"],
        trigger=Trigger(data["trigger"]),
        confirms=True,
        unsynced=[event_of(each) for each in data["unsynced"] if each["k"] in KINDS],
        sent=Sent(at=data.get("ts"), boot=data.get("boot"), up=data.get("up"), clock=clk),
    )


def event_of(data: Mapping[str, Any]) -> JournalEvent:
    return JournalEvent(
        id=data["id"],
        kind=data["k"],
        data=data["d"],
        at=data.get("ts"),
        boot=data.get("boot"),
        seq=data["seq"],
        up=data.get("up"),
    )


class Confirm(OutcomeReport):
    event_id = serializers.UUIDField()
    started_at = Instant(required=False, allow_null=True)
    finished_at = Instant(required=False, allow_null=True)


class Confirmed(serializers.Serializer[Any]):
    status = serializers.ChoiceField(Dispense.Status.choices)
    total_doses_dispensed = serializers.IntegerField()
    supplement_level = serializers.IntegerField()
    next_dose_at = serializers.DateTimeField(allow_null=True)


class RejectedEvent(serializers.Serializer[Any]):
    id = serializers.UUIDField(allow_null=True)
    code = serializers.CharField()
    message = serializers.CharField()


class Acked(serializers.Serializer[Any]):
    boot = serializers.IntegerField()
    seq = serializers.IntegerField(help_text="All from the batch's `first` up to this one may be forgotten.")


class EventsTaken(serializers.Serializer[Any]):
    accepted = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    rejected = RejectedEvent(many=True, help_text="Kept on the server and acknowledged; do not send them again.")
    acked = Acked(allow_null=True)


class JournalLine(serializers.Serializer[Any]):
    """Describes an event for the API document; `telemetry.envelopes` reads it."""

    id = serializers.UUIDField()
    boot = serializers.IntegerField(min_value=0)
    seq = serializers.IntegerField(min_value=0)
    ts = serializers.IntegerField(required=False, allow_null=True)
    up = serializers.IntegerField(required=False, allow_null=True)
    k = serializers.ChoiceField(list(envelopes.KINDS))
    d = serializers.DictField()


class Envelope(serializers.Serializer[Any]):
    """Describes a batch for the API document; `telemetry.envelopes` reads it."""

    v = serializers.ChoiceField([1], default=1)
    boot = serializers.IntegerField(required=False, allow_null=True, help_text="The boot that sends.")
    first = serializers.IntegerField(
        required=False, allow_null=True, help_text="The oldest number that the journal still holds."
    )
    sent = serializers.IntegerField(required=False, allow_null=True, help_text="Epoch milliseconds.")
    up = serializers.IntegerField(required=False, allow_null=True, help_text="Milliseconds since the boot.")
    clk = serializers.ChoiceField([each.value for each in DeviceClock], default=DeviceClock.OK.value)
    ev = JournalLine(many=True, help_text="At most 500.")
