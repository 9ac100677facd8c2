"""Commits of people who listen are announced (ADR 0026)."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from syncapi.live import hints


class Migration(migrations.Migration):
    dependencies = (
        ("accounts", "0006_apple_grants"),
        ("syncapi", "0007_reports_are_stamped_without_json"),
    )
    operations = (
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name="LiveWatch",
                    fields=[
                        (
                            "user",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                primary_key=True,
                                related_name="+",
                                serialize=False,
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        ("until", models.DateTimeField()),
                    ],
                    options={"db_table": "live_watch"},
                ),
            ],
            database_operations=[migrations.RunSQL(hints.TABLE, "DROP TABLE live_watch;")],
        ),
        migrations.RunSQL(hints.TRIGGERS, hints.DROP),
    )
