"""What a dispenser reports is stamped at half the cost: its row is not turned into JSON."""

from django.db import migrations

from syncapi.capture import CAPTURE


class Migration(migrations.Migration):
    dependencies = (("syncapi", "0006_what_comes_back_has_changed"),)
    operations = (
        migrations.RunSQL(
            CAPTURE.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"), migrations.RunSQL.noop
        ),
    )
