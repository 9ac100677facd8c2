from django.db import migrations


class Migration(migrations.Migration):
    """What comes late to a table that is in use."""

    atomic = False
    initial = True
    operations = (
        migrations.RunSQL(
            "CREATE INDEX CONCURRENTLY late_index ON users (full_name)",
            "DROP INDEX CONCURRENTLY IF EXISTS late_index",
        ),
    )
