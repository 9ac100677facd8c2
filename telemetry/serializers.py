"""What dispensers send, and what sections 3, 4 and 6 answer of it."""

from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy
from rest_framework import serializers

from telemetry.models import Action, Confirmation, TriggeredBy
from telemetry.outcomes import Outcome
from zinzino.api.fields import DayOrInstant, Instant, PlainText, StrictBoolean, StrictInteger, StrictNumber
from zinzino.api.pagination import MAX_LIMIT, PageQuery, Pagination

MAX_SENSOR = 999.99
DAY_S = 86_400
UNITS = ("ml", "IU", "capsule", "drop")
MAX_AMOUNT = 100_000


class Reading(serializers.Serializer[Any]):
    cup_placed = StrictBoolean()
    sensor_reading = StrictNumber(min_value=0, max_value=MAX_SENSOR, required=False, allow_null=True)
    timestamp = Instant(required=False, allow_null=True)
    request_id = serializers.UUIDField(required=False, allow_null=True)
    repeat = StrictBoolean(default=False)


class Step(serializers.Serializer[Any]):
    rule = serializers.CharField()
    passed = serializers.BooleanField()
    detail = serializers.CharField(help_text="What the rule looked at, in the caller's language.")


class Dose(serializers.Serializer[Any]):
    amount = serializers.FloatField()
    unit = serializers.CharField()
    volume_ul = serializers.IntegerField(allow_null=True, help_text="Microlitres, where the dose is a volume.")


class StateAnswer(serializers.Serializer[Any]):
    device_id = serializers.UUIDField()
    cup_placed = serializers.BooleanField()
    last_state_change = serializers.DateTimeField(allow_null=True)
    should_dispense = serializers.BooleanField()
    dispense_amount = serializers.CharField(allow_null=True)
    reason = serializers.CharField()
    reason_class = serializers.CharField(allow_null=True)
    dispense_id = serializers.UUIDField(allow_null=True)
    dose = Dose(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    next_dose_at = serializers.DateTimeField(allow_null=True)
    plan_version = serializers.IntegerField()
    server_time = serializers.DateTimeField()
    server_ms = serializers.IntegerField()


class Decision(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    decided_at = serializers.DateTimeField()
    should_dispense = serializers.BooleanField()
    reason = serializers.CharField()
    reason_class = serializers.CharField(allow_null=True)
    explanation = serializers.CharField(help_text="In the caller's language.")
    trace = Step(many=True)
    dispense_id = serializers.UUIDField(allow_null=True)


class DecisionList(serializers.Serializer[Any]):
    decisions = Decision(many=True)
    pagination = Pagination()


class DecisionReason(serializers.Serializer[Any]):
    code = serializers.CharField()
    reason_class = serializers.CharField(allow_null=True)
    text = serializers.CharField()
    what_to_do = serializers.CharField()


class Amount(StrictNumber):
    """What came out, in the dose's own unit, to the thousandth."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=0, max_value=MAX_AMOUNT, **kwargs)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        amount = super().run_validation(data)
        return amount if amount is None else Decimal(str(amount)).quantize(Decimal("0.001"))


class OutcomeReport(serializers.Serializer[Any]):
    outcome = serializers.ChoiceField([outcome.value for outcome in Outcome])
    amount = Amount(required=False, allow_null=True)
    unit = serializers.ChoiceField(UNITS, required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A dose that came out had an amount: only a failure may say zero."""
        if attrs["outcome"] in {Outcome.DISPENSED, Outcome.PARTIAL} and attrs.get("amount") == 0:
            raise serializers.ValidationError({"amount": [gettext_lazy("Must be above 0 for this outcome.")]})
        return attrs


class LastDispense(OutcomeReport):
    dispense_id = serializers.UUIDField()


class Status(serializers.Serializer[Any]):
    battery_level = StrictInteger(min_value=0, max_value=100, required=False)
    supplement_level = StrictInteger(min_value=0, max_value=100, required=False)
    is_connected = StrictBoolean(required=False)
    firmware_version = PlainText(max_length=50, required=False)
    next_contact_s = StrictInteger(min_value=1, max_value=30 * DAY_S, required=False)
    last_dispense = LastDispense(required=False, allow_null=True)


class StatusAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    battery_level = serializers.IntegerField()
    supplement_level = serializers.IntegerField()
    is_connected = serializers.BooleanField()
    last_sync = serializers.DateTimeField(allow_null=True)
    notifications_sent = serializers.ListField(child=serializers.CharField())
    next_dose_at = serializers.DateTimeField(allow_null=True)
    plan_version = serializers.IntegerField()
    heartbeat_s = serializers.IntegerField()
    rotate_token = serializers.BooleanField()
    server_time = serializers.DateTimeField()
    server_ms = serializers.IntegerField()


class HistoryQuery(PageQuery):
    start_date = DayOrInstant(default=None)
    end_date = DayOrInstant(default=None)


class Activity(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    device_id = serializers.UUIDField(allow_null=True)
    device_name = serializers.CharField(allow_null=True, required=False)
    action = serializers.ChoiceField(Action.choices)
    dose_amount = serializers.CharField(allow_null=True)
    triggered_by = serializers.ChoiceField(TriggeredBy.choices, allow_null=True)
    timestamp = serializers.DateTimeField()
    local_date = serializers.DateField()
    confirmation = serializers.ChoiceField(Confirmation.choices, allow_null=True)
    metadata = serializers.DictField()


class ActivityList(serializers.Serializer[Any]):
    activities = Activity(many=True)
    pagination = Pagination()


class StateHistoryQuery(serializers.Serializer[Any]):
    start_date = DayOrInstant(default=None)
    end_date = DayOrInstant(default=None)
    limit = serializers.IntegerField(min_value=1, max_value=MAX_LIMIT, default=MAX_LIMIT)


class ShortReading(serializers.Serializer[Any]):
    cup_placed = serializers.BooleanField()
    timestamp = serializers.DateTimeField()
    duration_seconds = serializers.IntegerField(
        required=False, help_text="Until the next removal; absent on a removal and while the cup stands."
    )


class PastReading(ShortReading):
    sensor_reading = serializers.FloatField(allow_null=True)


class DeviceState(serializers.Serializer[Any]):
    device_id = serializers.UUIDField()
    cup_placed = serializers.BooleanField()
    sensor_reading = serializers.FloatField(allow_null=True)
    last_state_change = serializers.DateTimeField(allow_null=True)
    state_history = ShortReading(many=True, help_text="The ten newest, oldest first.")


class CupStatistics(serializers.Serializer[Any]):
    total_placements = serializers.IntegerField()
    average_duration_seconds = serializers.IntegerField(
        allow_null=True, help_text="Of the placements that have ended; null without one."
    )
    total_duration_minutes = serializers.IntegerField()


class StateHistory(serializers.Serializer[Any]):
    device_id = serializers.UUIDField()
    history = PastReading(many=True)
    statistics = CupStatistics()


class CurrentState(serializers.Serializer[Any]):
    device_id = serializers.UUIDField()
    device_name = serializers.CharField(required=False)
    cup_placed = serializers.BooleanField()
    sensor_reading = serializers.FloatField(allow_null=True)
    last_state_change = serializers.DateTimeField(allow_null=True)
