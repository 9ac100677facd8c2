"""What section 6 accepts and answers."""

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext_lazy
from rest_framework import serializers

from telemetry import log
from telemetry.models import Action, TriggeredBy
from telemetry.serializers import Activity as Activity  # one import for the views
from telemetry.serializers import ActivityList as ActivityList
from zinzino.api.fields import DayOrInstant
from zinzino.api.pagination import PageQuery


class OneOrMore(serializers.CharField):
    """Choices, separated by commas."""

    default_error_messages = {"unknown": gettext_lazy("Not known: {names}.")}

    def __init__(self, choices: Sequence[str], **kwargs: Any) -> None:
        super().__init__(help_text=f"One or more, separated by commas: {', '.join(choices)}.", **kwargs)
        self.choices = choices

    def to_internal_value(self, data: Any) -> Any:
        names = [name.strip() for name in str(super().to_internal_value(data)).split(",")]
        if unknown := [name for name in names if name not in self.choices]:
            self.fail("unknown", names=", ".join(unknown)[:100])
        return names


class Chosen(serializers.Serializer[Any]):
    device_id = serializers.UUIDField(default=None)
    action = OneOrMore(Action.values, default=None)
    triggered_by = OneOrMore(TriggeredBy.values, default=None)
    start_date = DayOrInstant(default=None)
    end_date = DayOrInstant(default=None)
    order = serializers.ChoiceField(["asc", "desc"], default="desc")


class ListQuery(PageQuery, Chosen):
    pass


class ExportQuery(Chosen):
    format = serializers.ChoiceField(["csv", "json"], default="json")


class SummaryQuery(serializers.Serializer[Any]):
    period = serializers.ChoiceField(list(log.DAYS), default="week")
    device_id = serializers.UUIDField(default=None)


class Export(serializers.Serializer[Any]):
    activities = Activity(many=True)


class DosesOfDay(serializers.Serializer[Any]):
    date = serializers.DateField()
    doses = serializers.IntegerField()


class DosesOfDevice(serializers.Serializer[Any]):
    device_id = serializers.UUIDField(allow_null=True, help_text="Null for doses taken by hand without a device.")
    device_name = serializers.CharField(allow_null=True)
    doses = serializers.IntegerField()


class DosesByTrigger(serializers.Serializer[Any]):
    automatic = serializers.IntegerField()
    scheduled = serializers.IntegerField()
    manual = serializers.IntegerField()


class Summary(serializers.Serializer[Any]):
    period = serializers.ChoiceField(list(log.DAYS))
    start_date = serializers.DateField()
    end_date = serializers.DateField()
    total_doses = serializers.IntegerField()
    by_day = DosesOfDay(many=True)
    by_device = DosesOfDevice(many=True)
    by_trigger = DosesByTrigger()
