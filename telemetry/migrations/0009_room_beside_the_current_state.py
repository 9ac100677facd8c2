"""A dispenser's row finds its next version on its own page, and two indexes go whose columns lead the keys."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = (("telemetry", "0008_intake_of_the_log"), ("devices", "0007_broker_users"))
    operations = (
        migrations.RunSQL(
            "ALTER TABLE devices SET (fillfactor = 70); ALTER TABLE journal_acks SET (fillfactor = 70);",
            "ALTER TABLE devices RESET (fillfactor); ALTER TABLE journal_acks RESET (fillfactor);",
        ),
        migrations.AlterField(
            "eventkey",
            "device",
            models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="devices.device",
            ),
        ),
        migrations.AlterField(
            "journalack",
            "device",
            models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="devices.device",
            ),
        ),
    )
