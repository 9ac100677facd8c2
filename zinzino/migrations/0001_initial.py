"""Two SQL functions that every app's row shapes use, and the remembered outcomes."""

from django.db import migrations, models

# The API's only form of an instant: UTC, three digits, Z (api.md 0).
ISO_MS = """
CREATE FUNCTION iso_ms(moment timestamptz) RETURNS text LANGUAGE sql STABLE STRICT PARALLEL SAFE
RETURN to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
EPOCH_MS = """
CREATE FUNCTION epoch_ms(moment timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN floor(extract(epoch FROM moment) * 1000)::bigint"""


class Migration(migrations.Migration):
    initial = True
    dependencies = ()
    operations = (
        migrations.RunSQL(ISO_MS, "DROP FUNCTION iso_ms"),
        migrations.RunSQL(EPOCH_MS, "DROP FUNCTION epoch_ms"),
        migrations.CreateModel(
            name="RememberedOutcome",
            fields=(
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("scope", models.CharField(max_length=64)),
                ("key", models.UUIDField()),
                ("request_hash", models.CharField(max_length=64)),
                ("status", models.PositiveSmallIntegerField(null=True)),
                ("data", models.JSONField(null=True)),
                ("reference", models.UUIDField(null=True)),
                ("created_at", models.DateTimeField(db_index=True)),
            ),
            options={
                "db_table": "remembered_outcomes",
                "constraints": [
                    models.UniqueConstraint(fields=("scope", "key"), name="one_outcome_per_key")
                ],
            },
        ),
    )
