from django.contrib.postgres.indexes import BrinIndex
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('analytics', '0004_fleet'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='doserollup',
            index=BrinIndex(fields=['local_date'], name='dose_rollups_of_day', pages_per_range=16),
        ),
    ]
