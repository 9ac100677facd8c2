from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('notifications', '0006_alerts_and_intake'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='alertstate',
            index=models.Index(condition=models.Q(('next_at__isnull', False)), fields=['kind', 'next_at'], name='alert_states_due'),
        ),
    ]
