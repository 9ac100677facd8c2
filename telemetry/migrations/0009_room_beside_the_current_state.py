"""A dispenser's row finds its next version on its own page, and two indexes go whose columns lead the keys."""

import django.db.models.deletion
from django.db import migrations, models


def without_index(model: str, index: str) -> migrations.SeparateDatabaseAndState:
    """Django would drop it with the table locked."""
    device = models.ForeignKey(
        db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="devices.device"
    )
    table = index.partition("_device_id")[0]
    return migrations.SeparateDatabaseAndState(
        state_operations=[migrations.AlterField(model, "device", device)],
        database_operations=[
            migrations.RunSQL(
                f"DROP INDEX CONCURRENTLY IF EXISTS {index}",
                f"CREATE INDEX CONCURRENTLY {index} ON {table} (device_id)",
            )
        ],
    )


class Migration(migrations.Migration):
    # Indexes are dropped concurrently.
    atomic = False
    dependencies = (("telemetry", "0008_intake_of_the_log"), ("devices", "0007_broker_users"))
    operations = (
        migrations.RunSQL(
            "ALTER TABLE devices SET (fillfactor = 70); ALTER TABLE journal_acks SET (fillfactor = 70);",
            "ALTER TABLE devices RESET (fillfactor); ALTER TABLE journal_acks RESET (fillfactor);",
        ),
        without_index("eventkey", "event_keys_device_id_1c985b46"),
        without_index("journalack", "journal_acks_device_id_f688501e"),
    )
