import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('devices', '0005_manufactured_units'),
    ]

    operations = [
        migrations.CreateModel(
            name='DeviceCommand',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('type', models.CharField(choices=[('dispense_now', 'Dispense Now'), ('identify', 'Identify'), ('reboot', 'Reboot'), ('sync', 'Sync'), ('log_upload', 'Log Upload')], max_length=20)),
                ('params', models.JSONField(default=dict)),
                ('status', models.CharField(choices=[('queued', 'Queued'), ('sent', 'Sent'), ('delivered', 'Delivered'), ('succeeded', 'Succeeded'), ('failed', 'Failed'), ('rejected', 'Rejected'), ('expired', 'Expired'), ('cancelled', 'Cancelled')], db_default='queued', max_length=10)),
                ('created_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('sent_at', models.DateTimeField(null=True)),
                ('delivered_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('code', models.CharField(max_length=50, null=True)),
                ('result', models.JSONField(null=True)),
            ],
            options={
                'db_table': 'device_commands',
            },
        ),
        migrations.AddField(
            model_name='device',
            name='boot',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='device',
            name='conn',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='device',
            name='hardware_rev',
            field=models.CharField(max_length=50, null=True),
        ),
        migrations.AddField(
            model_name='device',
            name='mqtt_online',
            field=models.BooleanField(db_default=False),
        ),
        migrations.AddField(
            model_name='device',
            name='polls_until',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='devicecredential',
            name='by_device',
            field=models.BooleanField(db_default=False),
        ),
        migrations.AddField(
            model_name='devicecredential',
            name='mqtt_hash',
            field=models.CharField(db_default='', max_length=150),
        ),
        migrations.AddField(
            model_name='devicecommand',
            name='device',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='commands', to='devices.device'),
        ),
        migrations.AddIndex(
            model_name='devicecommand',
            index=models.Index(fields=['device', '-id'], name='commands_newest'),
        ),
        migrations.AddIndex(
            model_name='devicecommand',
            index=models.Index(condition=models.Q(('status__in', ('queued', 'sent', 'delivered'))), fields=['expires_at'], name='commands_under_way'),
        ),
    ]
