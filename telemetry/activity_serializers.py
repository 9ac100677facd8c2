"""What section 6 accepts and answers."""

import json
from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework import serializers

from devices import plans
from devices.models import DeviceType
from telemetry import entries, log
from telemetry.models import Action, Dispense, TriggeredBy
from telemetry.serializers import Activity as Activity  # one import for the views
from telemetry.serializers import ActivityList as ActivityList
from zinzino.api.fields import DayOrInstant, Instant
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


class DoseText(serializers.CharField):
    """`5ml`, `1000IU`; the same amount is always written the same way."""

    default_error_messages = {"malformed": gettext_lazy("Must be an amount and a unit, such as 5ml or 1000IU.")}

    def to_internal_value(self, data: Any) -> str:
        found = entries.parsed_dose(str(super().to_internal_value(data)))
        if found is None:
            self.fail("malformed")
        return plans.dose_text(*found)


class Metadata(serializers.JSONField):
    """An object of a client's own, as long as it is small."""

    default_error_messages = {
        "not_an_object": gettext_lazy("Must be an object."),
        "too_large": gettext_lazy("Must be at most {most} bytes."),
    }

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            self.fail("not_an_object")
        if len(json.dumps(data, ensure_ascii=False).encode()) > entries.MAX_METADATA_BYTES:
            self.fail("too_large", most=entries.MAX_METADATA_BYTES)
        return data


def with_amount(said: dict[str, Any]) -> dict[str, Any]:
    """`metadata.dose_amount` is the `dose_amount` where that is absent, and may not be another (api.md 6)."""
    metadata = said.get("metadata", {})
    if "dose_amount" not in metadata:
        return said
    try:
        amount = DoseText().run_validation(metadata["dose_amount"])
    except serializers.ValidationError as error:
        raise serializers.ValidationError({"metadata.dose_amount": error.detail}) from error
    if said.get("dose_amount") not in (None, amount):
        raise serializers.ValidationError({"metadata.dose_amount": [_("Differs from dose_amount.")]})
    rest = {name: value for name, value in metadata.items() if name != "dose_amount"}
    return {**said, "dose_amount": amount, "metadata": rest}


class EntryFields(serializers.Serializer[Any]):
    device_id = serializers.UUIDField(required=False, allow_null=True)
    supplement = serializers.ChoiceField(
        DeviceType.choices, required=False, allow_null=True, help_text="Of a dose from no device: what it was of."
    )
    dose_amount = DoseText(required=False, allow_null=True, help_text="Left out, the dose of the plan.")
    timestamp = Instant(required=False)
    metadata = Metadata(required=False)

    def validate(self, said: dict[str, Any]) -> dict[str, Any]:
        return with_amount(said)


class EditedEntry(EntryFields):
    pass


class NewEntry(EntryFields):
    id = serializers.UUIDField(required=False, allow_null=True, help_text="Made by the client: a retry is known.")
    client_id = serializers.UUIDField(required=False, allow_null=True, help_text="Another name for `id`.")
    action = serializers.ChoiceField(entries.ACTIONS)

    def validate(self, said: dict[str, Any]) -> dict[str, Any]:
        ids = {each for each in (said.pop("client_id", None), said.pop("id", None)) if each}
        if len(ids) > 1:
            raise serializers.ValidationError({"client_id": [_("Differs from id.")]})
        return super().validate(said) | {"id": next(iter(ids), None)}


class Batch(serializers.Serializer[Any]):
    activities = NewEntry(many=True)


class BatchEnvelope(serializers.Serializer[Any]):
    """The entries are looked at one by one: a bad one does not hold up the others."""

    activities = serializers.ListField(child=serializers.JSONField(allow_null=True), min_length=1, max_length=100)


class BatchError(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()
    details = serializers.DictField()


class BatchResult(serializers.Serializer[Any]):
    index = serializers.IntegerField()
    status = serializers.ChoiceField(["created", "duplicate", "rejected"])
    id = serializers.UUIDField(allow_null=True)
    error = BatchError(allow_null=True)


class BatchAnswer(serializers.Serializer[Any]):
    results = BatchResult(many=True)


class Answer(serializers.Serializer[Any]):
    outcome = serializers.ChoiceField(Dispense.Outcome.choices)


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
