"""What `/devices/:id/plan` accepts (api.md 3); `serializers.Plan` says what it answers."""

from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy
from rest_framework import serializers

from devices import plans
from zinzino.api.fields import Instant, StrictInteger, StrictNumber, TimeZone

MAX_SLOTS = 12
MAX_DOSES_PER_DAY = 24
MAX_VERSION = 2**31 - 1


class Amount(StrictNumber):
    """A number above 0 of the supplement's unit, to the thousandth: of a millilitre that is a microlitre."""

    default_error_messages = {"fine": gettext_lazy("Must be above 0, with at most three decimals.")}

    def to_internal_value(self, data: Any) -> Any:
        amount = Decimal(str(super().to_internal_value(data)))
        if not 0 < amount < 1_000_000 or amount != round(amount, 3):
            self.fail("fine")
        return amount


class DoseEdit(serializers.Serializer[Any]):
    amount = Amount()
    unit = serializers.CharField(max_length=10, required=False)


class SlotEdit(serializers.Serializer[Any]):
    id = serializers.RegexField(
        "^[A-Za-z0-9_-]{1,36}$",
        required=False,
        error_messages={"invalid": gettext_lazy("Must be 1 to 36 letters, digits, hyphens or underscores.")},
        help_text="Left out, a slot at a time of before keeps its own.",
    )
    local_time = serializers.RegexField(
        "^([01][0-9]|2[0-3]):[0-5][0-9]$",
        error_messages={"invalid": gettext_lazy("Must be a time such as 08:00.")},
    )
    days = serializers.ListField(
        child=serializers.ChoiceField(plans.DAYS), allow_empty=False, max_length=7, default=list(plans.DAYS)
    )
    before_min = StrictInteger(min_value=0, max_value=plans.MAX_BEFORE_MIN, default=30)
    after_min = StrictInteger(min_value=1, max_value=plans.MAX_AFTER_MIN, default=240)


class PlanEdit(serializers.Serializer[Any]):
    dose = DoseEdit(required=False)
    target_per_day = StrictInteger(min_value=1, max_value=MAX_DOSES_PER_DAY, required=False)
    max_per_day = StrictInteger(min_value=1, max_value=MAX_DOSES_PER_DAY, required=False)
    min_interval_min = StrictInteger(
        min_value=plans.LEAST_INTERVAL_MIN,
        max_value=plans.MOST_INTERVAL_MIN,
        required=False,
        allow_null=True,
        help_text="null: what the slots make of it.",
    )
    rolling_hours = StrictInteger(min_value=1, max_value=plans.MOST_ROLLING_HOURS, required=False)
    slots = serializers.ListField(child=SlotEdit(), max_length=MAX_SLOTS, required=False)
    paused_until = Instant(required=False, allow_null=True)
    timezone = TimeZone(required=False)
    base_version = StrictInteger(
        min_value=1, max_value=MAX_VERSION, required=False, help_text="The `version` that the edit is of."
    )
