"""What the dispensers of a batch report is stamped by three statements, not one by one."""

from django.db import migrations

from syncapi.capture import CAPTURE, REPORT


class Migration(migrations.Migration):
    dependencies = (("syncapi", "0008_live_hints"),)
    operations = (
        migrations.RunSQL(
            CAPTURE.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION") + REPORT,
            "DROP FUNCTION sync_report",
        ),
    )
