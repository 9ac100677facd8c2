from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('notifications', '0004_reminders'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='notificationsettings',
            index=models.Index(condition=models.Q(('next_reminder_at__isnull', False)), fields=['next_reminder_at'], name='reminders_due'),
        ),
        AddIndexConcurrently(
            model_name='notificationsettings',
            index=models.Index(condition=models.Q(('replan_from__isnull', False)), fields=['replan_from'], name='reminders_unplanned'),
        ),
    ]
