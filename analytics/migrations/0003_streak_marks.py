from django.db import migrations, models

from analytics import streaks


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0002_no_dose_waits_for_its_sum'),
    ]

    operations = [
        migrations.CreateModel(
            name='StreakMark',
            fields=[
                ('user_id', models.UUIDField(primary_key=True, serialize=False)),
                ('day', models.DateField()),
                ('current', models.IntegerField()),
                ('longest', models.IntegerField()),
            ],
            options={
                'db_table': 'streak_marks',
            },
        ),
        migrations.RunSQL(streaks.TRIGGERS, streaks.DROP),
    ]
