"""Every migration leaves the version before at work (docs/operations.md, Deploy)."""

from typing import Any

import pytest
from django.apps import apps
from django.contrib.postgres.operations import AddConstraintNotValid, AddIndexConcurrently, ValidateConstraint
from django.db import migrations, models
from django.db.migrations.state import ProjectState

from tests.operations import online

pytestmark = pytest.mark.django_db(transaction=True)

OURS = {
    each.label for each in apps.get_app_configs() if "." not in each.name and not each.name.startswith("django")
}
# What has been applied everywhere is never edited.
APPLIED = {
    "notifications.0006_alerts_and_intake": ["alert_states.full_level: CHECK without NOT VALID"],
    "analytics.0006_levels_of_a_day": [
        "device_rollups.battery_level: CHECK without NOT VALID",
        "device_rollups.supplement_level: CHECK without NOT VALID",
    ],
}


def test_no_migration_stops_a_running_service() -> None:
    assert {"accounts", "telemetry", "syncapi"} <= OURS
    assert online.all_faults(OURS) == APPLIED


def made(name: str, *fields: tuple[str, Any]) -> migrations.CreateModel:
    return migrations.CreateModel(name, [("id", models.BigAutoField(primary_key=True)), *fields])


BEFORE = [made("Home"), made("Thing", ("size", models.IntegerField(null=True)), ("name", models.TextField()))]
POSITIVE = models.CheckConstraint(condition=models.Q(size__gte=0), name="size_positive")


def faults(*operations: Any) -> list[str]:
    """Of a migration that comes after BEFORE."""
    state = ProjectState()
    for before in BEFORE:
        before.state_forwards("planted", state)

    class Planted(migrations.Migration):
        atomic = False

    Planted.operations = list(operations)
    return online.faults(online.statements(Planted("0002_planted", "planted"), state))


HOME: Any = models.ForeignKey("planted.Home", models.CASCADE, null=True)
BAD: dict[str, tuple[Any, str]] = {
    "a check": (migrations.AddConstraint("thing", POSITIVE), "planted_thing: CHECK without NOT VALID"),
    "a foreign key": (
        migrations.AddField("thing", "home", HOME),
        "planted_thing.home_id: FOREIGN KEY without NOT VALID",
    ),
    "a column that becomes a foreign key": (
        migrations.AlterField(
            "thing", "size", models.ForeignKey("planted.Home", models.CASCADE, db_column="size")
        ),
        "planted_thing: FOREIGN KEY without NOT VALID",
    ),
    "a check in SQL": (
        migrations.RunSQL("ALTER TABLE planted_thing ADD CONSTRAINT c CHECK (size > 0);"),
        "planted_thing: CHECK without NOT VALID",
    ),
    "a foreign key in SQL": (
        migrations.RunSQL(
            "alter table only public.planted_thing\n  add foreign key (size) references planted_home;"
        ),
        "planted_thing: FOREIGN KEY without NOT VALID",
    ),
    "a full column that the database does not fill": (
        migrations.AddField("thing", "kind", models.TextField(default="x")),
        "planted_thing.kind: NOT NULL without db_default, which the version before does not fill",
    ),
    "a column with a check of its own": (
        migrations.AddField("thing", "count", models.PositiveIntegerField(null=True)),
        "planted_thing.count: CHECK without NOT VALID",
    ),
    "a column that may be empty no more": (
        migrations.AlterField("thing", "size", models.IntegerField()),
        "planted_thing.size: SET NOT NULL looks at every row",
    ),
    "a unique constraint": (
        migrations.AddConstraint("thing", models.UniqueConstraint(fields=("name",), name="u")),
        "planted_thing: UNIQUE that makes its own index",
    ),
}
GOOD: dict[str, Any] = {
    "a column that may be empty": [migrations.AddField("thing", "kind", models.TextField(null=True))],
    "a column that the database fills": [
        migrations.AddField("thing", "kind", models.TextField(default="x", db_default="x"))
    ],
    "a check that holds for new rows, then for all": [
        AddConstraintNotValid("thing", POSITIVE),
        ValidateConstraint("thing", "size_positive"),
    ],
    "a foreign key without a constraint": [
        migrations.AddField(
            "thing", "home", models.ForeignKey("planted.Home", models.CASCADE, null=True, db_constraint=False)
        )
    ],
    "a foreign key that is proved later": [
        migrations.RunSQL("ALTER TABLE planted_thing ADD FOREIGN KEY (size) REFERENCES planted_home NOT VALID")
    ],
    "a unique constraint on an index made before": [
        migrations.RunSQL("ALTER TABLE planted_thing ADD CONSTRAINT u UNIQUE USING INDEX i")
    ],
    "an index beside the work": [AddIndexConcurrently("thing", models.Index(fields=("name",), name="i"))],
    "anything on a table of its own": [
        made(
            "New",
            ("home", models.ForeignKey("planted.Home", models.CASCADE)),
            ("n", models.PositiveIntegerField()),
        ),
        migrations.AddConstraint("new", models.CheckConstraint(condition=models.Q(n__gt=0), name="c")),
        migrations.AddField("new", "kind", models.TextField(default="x")),
    ],
}


@pytest.mark.parametrize("name", BAD)
def test_a_planted_migration_that_does_is_found(name: str) -> None:
    operation, fault = BAD[name]
    assert fault in faults(operation)


@pytest.mark.parametrize("name", GOOD)
def test_what_can_be_done_beside_the_work_is_let_be(name: str) -> None:
    assert faults(*GOOD[name]) == []
