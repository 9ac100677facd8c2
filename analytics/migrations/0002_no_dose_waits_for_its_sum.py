"""What a dose adds to a roll-up is never null, and where it cannot be kept the dose is."""

from django.db import migrations

from analytics import rollups

FUNCTIONS = rollups.ADD_LINE + rollups.LINE_CHANGED + rollups.DEVICE_CHANGED


class Migration(migrations.Migration):
    dependencies = (("analytics", "0001_initial"),)
    operations = (
        migrations.RunSQL(
            FUNCTIONS.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"), migrations.RunSQL.noop
        ),
    )
