"""What many people hear of at once is stamped by three statements, not one by one."""

from django.db import migrations

from syncapi.capture import CAPTURE, TOLD


class Migration(migrations.Migration):
    dependencies = (("syncapi", "0009_reports_are_stamped_together"),)
    operations = (
        migrations.RunSQL(
            CAPTURE.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION") + TOLD, "DROP FUNCTION sync_told"
        ),
    )
