"""What section 9 accepts and answers."""

from datetime import date, timedelta
from typing import Any

from django.utils.translation import gettext_lazy
from rest_framework import serializers

LONGEST = timedelta(days=366)
TOO_LONG = gettext_lazy("At most 366 days.")
# Local days, the last one included.
DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}


class RangeQuery(serializers.Serializer[Any]):
    """Local days of the person; without any the last 30 days."""

    default_error_messages = {
        "backwards": gettext_lazy("Must not be before start_date."),
    }

    start_date = serializers.DateField(default=None)
    end_date = serializers.DateField(default=None)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        start, end = attrs["start_date"], attrs["end_date"]
        if start and end and start > end:
            raise serializers.ValidationError({"end_date": [self.error_messages["backwards"]]})
        # A calendar ends, and so does what can be reckoned back from it.
        for name, day in (("start_date", start), ("end_date", end)):
            if day and not date(2000, 1, 1) <= day <= date(2200, 1, 1):
                raise serializers.ValidationError({name: [gettext_lazy("Must lie between 2000 and 2200.")]})
        return attrs


class DoseQuery(RangeQuery):
    device_id = serializers.UUIDField(default=None)


class ReportQuery(DoseQuery):
    format = serializers.ChoiceField(["pdf", "html"], default="pdf")


class UsageQuery(DoseQuery):
    period = serializers.ChoiceField(list(DAYS), default="week", help_text="Ends today, unless dates are given.")


class Range(serializers.Serializer[Any]):
    start_date = serializers.DateField()
    end_date = serializers.DateField()


class Totals(serializers.Serializer[Any]):
    doses = serializers.IntegerField(help_text="Dispensed or taken by hand.")
    amount_ml = serializers.FloatField(help_text="Of the doses measured in ml.")
    days_with_dose = serializers.IntegerField()


class Averages(serializers.Serializer[Any]):
    per_day = serializers.FloatField(allow_null=True)


class UsageDay(serializers.Serializer[Any]):
    date = serializers.DateField()
    doses = serializers.IntegerField()
    amount_ml = serializers.FloatField()


class UsageDevice(serializers.Serializer[Any]):
    device_id = serializers.UUIDField(allow_null=True, help_text="Null for doses taken by hand without a device.")
    doses = serializers.IntegerField()


class Previous(serializers.Serializer[Any]):
    doses = serializers.IntegerField(help_text="In as many days before.")
    change_percent = serializers.FloatField(allow_null=True)


class Usage(serializers.Serializer[Any]):
    period = serializers.ChoiceField(list(DAYS), allow_null=True, help_text="Null where dates were given.")
    range = Range()
    totals = Totals()
    averages = Averages()
    series = UsageDay(many=True)
    by_device = UsageDevice(many=True)
    previous = Previous()


class Battery(serializers.Serializer[Any]):
    level = serializers.IntegerField()
    drain_per_day = serializers.FloatField(allow_null=True, help_text="Percentage points.")
    estimated_empty_at = serializers.DateTimeField(allow_null=True)


class Supply(serializers.Serializer[Any]):
    level = serializers.IntegerField()
    use_per_day = serializers.FloatField(allow_null=True, help_text="Percentage points.")
    runs_out_on = serializers.DateField(allow_null=True)
    confidence = serializers.ChoiceField(["low", "medium", "high"])


class Dispensing(serializers.Serializer[Any]):
    success = serializers.IntegerField()
    failed = serializers.IntegerField()
    success_rate = serializers.FloatField(allow_null=True, help_text="0 to 1; what nobody confirmed is left out.")


class Performance(serializers.Serializer[Any]):
    device_id = serializers.UUIDField()
    uptime_percent = serializers.FloatField(allow_null=True)
    disconnects = serializers.IntegerField()
    battery = Battery()
    supplement = Supply()
    dispense = Dispensing()
    firmware_version = serializers.CharField(allow_null=True)
    last_seen = serializers.DateTimeField(allow_null=True)


class NotificationUse(serializers.Serializer[Any]):
    sent = serializers.IntegerField()
    read = serializers.IntegerField()
    read_rate = serializers.FloatField(allow_null=True, help_text="0 to 1.")


class ReminderResponse(serializers.Serializer[Any]):
    median_minutes = serializers.FloatField(allow_null=True, help_text="Until the next dose of that day.")
    acted_within_1h_rate = serializers.FloatField(allow_null=True, help_text="0 to 1.")


class Engagement(serializers.Serializer[Any]):
    active_days_7 = serializers.IntegerField(help_text="Days with a dose.")
    active_days_30 = serializers.IntegerField()
    sessions_30 = serializers.IntegerField(help_text="Sign-ins that were used within 30 days.")
    notifications = NotificationUse()
    reminder_response = ReminderResponse()


class Adherence(serializers.Serializer[Any]):
    percent_7 = serializers.FloatField(allow_null=True)
    percent_30 = serializers.FloatField(allow_null=True)
    expected_doses = serializers.IntegerField()
    taken_doses = serializers.IntegerField()
    unknown_doses = serializers.IntegerField()


class Streak(serializers.Serializer[Any]):
    current = serializers.IntegerField(help_text="Days.")
    longest = serializers.IntegerField()
    next_milestone = serializers.IntegerField()
    last_dose_at = serializers.DateTimeField(allow_null=True)


class BestTime(serializers.Serializer[Any]):
    window = serializers.CharField(allow_null=True, help_text="The hour with most doses: `08:00-09:00`.")
    share = serializers.FloatField(allow_null=True, help_text="0 to 1.")


class Weekdays(serializers.Serializer[Any]):
    mon = serializers.FloatField(allow_null=True, help_text="Adherence in percent.")
    tue = serializers.FloatField(allow_null=True)
    wed = serializers.FloatField(allow_null=True)
    thu = serializers.FloatField(allow_null=True)
    fri = serializers.FloatField(allow_null=True)
    sat = serializers.FloatField(allow_null=True)
    sun = serializers.FloatField(allow_null=True)


class Trend(serializers.Serializer[Any]):
    direction = serializers.ChoiceField(["up", "down", "steady"], allow_null=True)
    change_points = serializers.FloatField(allow_null=True, help_text="The later half less the earlier one.")


class Insight(serializers.Serializer[Any]):
    code = serializers.CharField()
    severity = serializers.ChoiceField(["positive", "info", "attention"])
    title = serializers.CharField()
    message = serializers.CharField()


class HealthInsights(serializers.Serializer[Any]):
    adherence = Adherence()
    streak = Streak()
    best_time = BestTime()
    weekday = Weekdays()
    trend = Trend()
    insights = Insight(many=True)
    disclaimer = serializers.CharField()


class Today(serializers.Serializer[Any]):
    date = serializers.DateField()
    planned = serializers.IntegerField()
    taken = serializers.IntegerField()
    unknown = serializers.IntegerField()
    pending = serializers.IntegerField()


class DeviceOverview(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    device_name = serializers.CharField()
    device_type = serializers.CharField()
    is_connected = serializers.BooleanField()
    battery_level = serializers.IntegerField()
    supplement_level = serializers.IntegerField()
    doses_today = serializers.IntegerField()


class HomeScreen(serializers.Serializer[Any]):
    today = Today()
    adherence = Adherence()
    streak = Streak()
    devices = DeviceOverview(many=True)
    unread_notifications = serializers.IntegerField()
