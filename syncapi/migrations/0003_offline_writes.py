"""What came of offline writes, so that each takes effect once."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = (
        ("syncapi", "0002_all_shown_columns"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    )
    operations = (
        migrations.CreateModel(
            name="SyncMutation",
            fields=(
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "user_id", "mutation_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("mutation_id", models.UUIDField()),
                ("request_hash", models.CharField(max_length=64)),
                ("outcome", models.CharField(max_length=10)),
                ("result", models.JSONField()),
                ("client_id", models.UUIDField()),
                ("object_id", models.UUIDField(null=True)),
                ("version", models.DateTimeField(null=True)),
                ("client_timestamp", models.CharField(blank=True, db_default="", max_length=40)),
                ("created_at", models.DateTimeField(db_index=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ),
            options={"db_table": "sync_mutation"},
        ),
    )
