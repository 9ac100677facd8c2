import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

from telemetry import partitions
from zinzino import clock

# As in 0001: the key holds the time, as PostgreSQL demands of a partitioned table.
PARTITIONED = """
CREATE TABLE device_samples (
  id uuid NOT NULL,
  device_id uuid NOT NULL,
  battery_level smallint,
  supplement_level smallint,
  rssi smallint,
  timestamp timestamptz NOT NULL,
  received_at timestamptz NOT NULL,
  time_quality varchar(9) NOT NULL,
  device_time timestamptz,
  PRIMARY KEY (id, timestamp)
) PARTITION BY RANGE (timestamp);
CREATE INDEX device_samples_of_device ON device_samples (device_id, timestamp DESC, id DESC);
CREATE TABLE device_samples_default PARTITION OF device_samples DEFAULT;

CREATE TABLE device_reports (
  id uuid NOT NULL,
  device_id uuid NOT NULL,
  kind varchar(5) NOT NULL,
  data jsonb NOT NULL,
  timestamp timestamptz NOT NULL,
  received_at timestamptz NOT NULL,
  time_quality varchar(9) NOT NULL,
  device_time timestamptz,
  PRIMARY KEY (id, timestamp)
) PARTITION BY RANGE (timestamp);
CREATE INDEX device_reports_of_device ON device_reports (device_id, timestamp DESC, id DESC);
CREATE TABLE device_reports_default PARTITION OF device_reports DEFAULT;
"""
DROP = "DROP TABLE device_samples; DROP TABLE device_reports;"


def first_partitions(apps: object, schema_editor: object) -> None:
    partitions.ensure(now=clock.now())


class Migration(migrations.Migration):

    dependencies = [
        ('devices', '0004_removed_devices'),
        ('telemetry', '0006_event_keys_age'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
        migrations.CreateModel(
            name='DeviceReport',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('device_id', models.UUIDField()),
                ('kind', models.CharField(choices=[('alarm', 'Alarm'), ('log', 'Log'), ('purge', 'Purge')], max_length=5)),
                ('data', models.JSONField()),
                ('timestamp', models.DateTimeField()),
                ('received_at', models.DateTimeField()),
                ('time_quality', models.CharField(choices=[('ok', 'Ok'), ('corrected', 'Corrected'), ('clamped', 'Clamped'), ('unknown', 'Unknown')], max_length=9)),
                ('device_time', models.DateTimeField(null=True)),
            ],
            options={
                'db_table': 'device_reports',
            },
        ),
        migrations.CreateModel(
            name='DeviceSample',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('device_id', models.UUIDField()),
                ('battery_level', models.PositiveSmallIntegerField(null=True)),
                ('supplement_level', models.PositiveSmallIntegerField(null=True)),
                ('rssi', models.SmallIntegerField(null=True)),
                ('timestamp', models.DateTimeField()),
                ('received_at', models.DateTimeField()),
                ('time_quality', models.CharField(choices=[('ok', 'Ok'), ('corrected', 'Corrected'), ('clamped', 'Clamped'), ('unknown', 'Unknown')], max_length=9)),
                ('device_time', models.DateTimeField(null=True)),
            ],
            options={
                'db_table': 'device_samples',
            },
        ),
            ],
            database_operations=[migrations.RunSQL(PARTITIONED, DROP)],
        ),
        migrations.RunPython(first_partitions, migrations.RunPython.noop),
        migrations.AddField(
            model_name='devicestate',
            name='device_time',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='devicestate',
            name='time_quality',
            field=models.CharField(choices=[('ok', 'Ok'), ('corrected', 'Corrected'), ('clamped', 'Clamped'), ('unknown', 'Unknown')], db_default='ok', max_length=9),
        ),
        migrations.CreateModel(
            name='JournalAck',
            fields=[
                ('pk', models.CompositePrimaryKey('device_id', 'boot', blank=True, editable=False, primary_key=True, serialize=False)),
                ('boot', models.BigIntegerField()),
                ('acked', models.BigIntegerField()),
                ('taken', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None)),
                ('updated_at', models.DateTimeField()),
                ('device', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='devices.device')),
            ],
            options={
                'db_table': 'journal_acks',
            },
        ),
        migrations.CreateModel(
            name='DeadLetter',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('event_id', models.UUIDField(null=True)),
                ('code', models.CharField(max_length=30)),
                ('message', models.CharField(max_length=500)),
                ('payload', models.TextField()),
                ('fingerprint', models.CharField(max_length=64)),
                ('received_at', models.DateTimeField()),
                ('device', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='devices.device')),
            ],
            options={
                'db_table': 'dead_letters',
                'indexes': [models.Index(fields=['received_at'], name='dead_letters_age')],
                'constraints': [models.UniqueConstraint(fields=('device', 'fingerprint'), name='one_letter_each')],
            },
        ),
    ]
