from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('accounts', '0007_support_codes'),
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='user',
            index=models.Index(fields=['-created_at'], name='users_newest'),
        ),
        AddIndexConcurrently(
            model_name='user',
            index=models.Index(condition=models.Q(('phone__isnull', False)), fields=['phone'], name='users_of_phone'),
        ),
    ]
