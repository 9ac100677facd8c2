"""Daily roll-ups: what analytics read instead of histories. Triggers keep them (`analytics.rollups`, ADR 0015).

None has a foreign key: histories have none either, and no dose shall wait for the row of its person.
"""

from django.contrib.postgres.indexes import BrinIndex
from django.db import models

from devices.models import DeviceType


class ExpectedDoses(models.Model):
    """How many doses a day a dispenser's plan aims at, from one local day on until its next row."""

    id = models.BigAutoField(primary_key=True)
    user_id = models.UUIDField()
    device_id = models.UUIDField()
    device_type = models.CharField(max_length=50, choices=DeviceType)
    # That day counts only where the dispenser gave a dose on it (api.md 9).
    registered_on = models.DateField()
    first_day = models.DateField()
    # 0 while the plan is paused, the dispenser switched off or removed.
    per_day = models.PositiveIntegerField()
    max_per_day = models.PositiveIntegerField()

    class Meta:
        db_table = "expected_doses"
        constraints = (
            models.UniqueConstraint(fields=("device_id", "first_day"), name="one_expectation_from_a_day_on"),
        )
        indexes = (models.Index(fields=("user_id", "first_day"), name="expected_doses_of_user"),)

    def __str__(self) -> str:
        return f"{self.device_id} from {self.first_day}: {self.per_day}"


class DoseRollup(models.Model):
    """The doses of one person, dispenser and local day; exactly the sum of their lines in the log."""

    id = models.BigAutoField(primary_key=True)
    user_id = models.UUIDField()
    local_date = models.DateField()
    # Null for doses taken by hand without a dispenser; then `supplement` is what was named, if anything.
    device_id = models.UUIDField(null=True)
    supplement = models.CharField(max_length=50, null=True)  # noqa: DJ001  (null is part of the key)
    dispensed = models.IntegerField()
    manual = models.IntegerField()
    failed = models.IntegerField()
    # What counts for adherence, by the table of api.md 6.
    taken = models.IntegerField()
    unknown = models.IntegerField()
    pending = models.IntegerField()
    amount_ml = models.DecimalField(max_digits=14, decimal_places=3)

    class Meta:
        db_table = "dose_rollups"
        constraints = (
            models.UniqueConstraint(
                fields=("user_id", "local_date", "device_id", "supplement"),
                name="one_rollup_a_day",
                nulls_distinct=False,
            ),
        )
        # Days follow each other in the table, so that this is a few pages.
        indexes = (BrinIndex(fields=("local_date",), name="dose_rollups_of_day", pages_per_range=16),)

    def __str__(self) -> str:
        return f"{self.user_id} {self.local_date}: {self.taken} taken"


class StreakMark(models.Model):
    """How the streak of a person stood when a local day was over (analytics.streaks). Gone when that changes."""

    user_id = models.UUIDField(primary_key=True)
    day = models.DateField()
    current = models.IntegerField()
    longest = models.IntegerField()

    class Meta:
        db_table = "streak_marks"

    def __str__(self) -> str:
        return f"{self.user_id} {self.day}: {self.current}"


class DeviceRollup(models.Model):
    """What one dispenser reported of itself on one local day: presence, its levels and how far they fell."""

    id = models.BigAutoField(primary_key=True)
    user_id = models.UUIDField()
    device_id = models.UUIDField()
    local_date = models.DateField()
    connected_ms = models.BigIntegerField(db_default=0)
    disconnects = models.IntegerField(db_default=0)
    # Percentage points, refills and charges left out.
    battery_used = models.IntegerField(db_default=0)
    supplement_used = models.IntegerField(db_default=0)
    # In percent, the last of the day; null on a day on which neither changed.
    battery_level = models.PositiveSmallIntegerField(null=True)
    supplement_level = models.PositiveSmallIntegerField(null=True)
    # Set on the day on which a presence began that still lasts.
    connected_since = models.DateTimeField(null=True)

    class Meta:
        db_table = "device_rollups"
        constraints = (
            models.UniqueConstraint(fields=("device_id", "local_date"), name="one_device_rollup_a_day"),
            models.UniqueConstraint(
                fields=("device_id",),
                condition=models.Q(connected_since__isnull=False),
                name="one_open_presence_per_device",
            ),
        )
        indexes = (models.Index(fields=("user_id",), name="device_rollups_of_user"),)

    def __str__(self) -> str:
        return f"{self.device_id} {self.local_date}"


class FleetDay(models.Model):
    """All dispensers of one type and firmware on one day (analytics.fleet)."""

    id = models.BigAutoField(primary_key=True)
    day = models.DateField()
    device_type = models.CharField(max_length=50)
    # As it is when the day is summed.
    firmware_version = models.CharField(max_length=50)
    devices = models.IntegerField()
    # Of these, how many poured or tried to.
    active = models.IntegerField()
    dispensed = models.IntegerField()
    failed = models.IntegerField()
    unknown = models.IntegerField()
    disconnects = models.IntegerField()
    battery_used = models.IntegerField()
    supplement_used = models.IntegerField()

    class Meta:
        db_table = "fleet_days"
        constraints = (
            models.UniqueConstraint(fields=("day", "device_type", "firmware_version"), name="one_fleet_day_each"),
        )

    def __str__(self) -> str:
        return f"{self.day} {self.device_type} {self.firmware_version}"


class AdherenceDay(models.Model):
    """The doses of one supplement family on one day, of the people who registered in one month."""

    id = models.BigAutoField(primary_key=True)
    day = models.DateField()
    family = models.CharField(max_length=20)
    # The first day of that month, in UTC.
    cohort = models.DateField()
    people = models.IntegerField()
    expected = models.IntegerField()
    taken = models.IntegerField()
    unknown = models.IntegerField()

    class Meta:
        db_table = "adherence_days"
        constraints = (models.UniqueConstraint(fields=("day", "family", "cohort"), name="one_adherence_day_each"),)

    def __str__(self) -> str:
        return f"{self.day} {self.family} of {self.cohort}"


class CohortMonth(models.Model):
    """How many of those who registered in one month had a dose in another."""

    id = models.BigAutoField(primary_key=True)
    cohort = models.DateField()
    month = models.DateField()
    people = models.IntegerField()
    active = models.IntegerField()

    class Meta:
        db_table = "cohort_months"
        constraints = (models.UniqueConstraint(fields=("cohort", "month"), name="one_cohort_month_each"),)

    def __str__(self) -> str:
        return f"{self.cohort} in {self.month}: {self.active} of {self.people}"
