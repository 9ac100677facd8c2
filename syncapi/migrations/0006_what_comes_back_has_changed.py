"""A device that comes back to its owner, or an entry that moves to another month, conflicts with older edits."""

from django.db import migrations

from syncapi.capture import CAPTURE


class Migration(migrations.Migration):
    dependencies = (("syncapi", "0005_quiet_hours"),)
    operations = (
        migrations.RunSQL(
            CAPTURE.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"), migrations.RunSQL.noop
        ),
    )
